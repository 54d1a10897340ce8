"""SQLite's one writer: in order, together, all or none, durable when it returns, and never stuck."""

from __future__ import annotations

import random
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from agent.adapters.database import Database
from agent.adapters.sqlite_writer import SharedWriter
from agent.domain.errors import StoreError

ROOT = Path(__file__).parent.parent.parent.parent


class Desk:
    """A database with one table of numbers, and threads that write into it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.database = Database(f"sqlite:///{path}")
        self.pool = ThreadPoolExecutor(20)
        with self.database.writing() as connection:
            connection.exec_driver_sql("CREATE TABLE numbers (number INTEGER PRIMARY KEY, by TEXT NOT NULL)")

    def write(self, number: int, *, hold: Callable[[], object] = lambda: None) -> None:
        with self.database.writing() as connection:
            connection.exec_driver_sql("INSERT INTO numbers VALUES (?, 'test')", (number,))
            hold()

    def written(self) -> list[int]:
        """As everybody else sees it."""
        with closing(sqlite3.connect(self.path)) as other:
            return [row[0] for row in other.execute("SELECT number FROM numbers ORDER BY rowid")]

    def submit(self, number: int, hold: Callable[[], object] = lambda: None) -> Future[None]:
        """Write it in a thread of its own; returns once that thread stands in line, or has its turn."""
        before = self.standing
        future = self.pool.submit(self.write, number, hold=hold)
        until(lambda: self.standing > before or future.done())
        return future

    @property
    def standing(self) -> int:
        shared = self.database._shared
        return len(shared._line) + shared._is_taken

    def close(self) -> None:
        self.pool.shutdown()
        self.database.close()


def until(condition: Callable[[], bool], within_s: float = 10.0) -> None:
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.001)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "numbers.db")
    yield desk
    desk.close()


def held(desk: Desk, number: int) -> tuple[Future[None], threading.Event]:
    """A block that has its turn and keeps it until the event."""
    inside, go = threading.Event(), threading.Event()

    def hold() -> None:
        inside.set()
        go.wait(10)

    future = desk.submit(number, hold)
    assert inside.wait(10)
    return future, go


def test_whoever_comes_first_writes_first(desk: Desk) -> None:
    first, go = held(desk, 0)
    order: list[int] = []
    others = [desk.submit(number, lambda number=number: order.append(number)) for number in range(1, 15)]
    go.set()
    for each in (first, *others):
        each.result(10)
    assert order == list(range(1, 15))
    assert desk.written() == list(range(15))


def test_a_block_returns_when_it_is_durable_and_not_before(desk: Desk) -> None:
    """The first is done, and what it wrote is in the transaction of the second: nobody may be told yet."""
    first, let_first_end = held(desk, 1)
    inside, let_second_end = threading.Event(), threading.Event()
    second = desk.submit(2, lambda: (inside.set(), let_second_end.wait(10)))
    let_first_end.set()
    if inside.wait(10) and not first.done():  # else the first took too long and was committed by itself
        assert desk.written() == []
    let_second_end.set()
    first.result(10)
    second.result(10)
    assert desk.written() == [1, 2]


def test_blocks_that_wait_for_each_other_share_a_commit(desk: Desk) -> None:
    commits: list[str] = []
    desk.write(0)
    sqlite = desk.database._shared._sqlite
    assert sqlite is not None
    first, go = held(desk, 1)
    sqlite.set_trace_callback(lambda statement: commits.append(statement) if statement == "COMMIT" else None)
    others = [desk.submit(number) for number in range(2, 12)]
    go.set()
    for each in (first, *others):
        each.result(10)
    assert desk.written() == list(range(12))
    assert len(commits) < 11


def test_a_block_that_raises_takes_back_what_it_wrote_and_nothing_else(desk: Desk) -> None:
    def fail() -> None:
        raise LookupError("not today")

    first, go = held(desk, 1)
    broken = desk.submit(2, fail)
    third = desk.submit(3)
    go.set()
    first.result(10)
    third.result(10)
    with pytest.raises(LookupError, match="not today"):
        broken.result(10)
    assert desk.written() == [1, 3]


def test_a_block_that_raises_alone_leaves_nothing(desk: Desk) -> None:
    def fail() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        desk.write(1, hold=fail)
    assert desk.written() == []
    desk.write(2)
    assert desk.written() == [2]


def test_a_refused_statement_is_a_store_error_of_its_block_alone(desk: Desk) -> None:
    first, go = held(desk, 1)
    twice = desk.submit(1)
    third = desk.submit(3)
    go.set()
    first.result(10)
    third.result(10)
    with pytest.raises(StoreError, match="refused a statement"):
        twice.result(10)
    assert desk.written() == [1, 3]


def test_one_block_inside_another_is_told_and_harms_nobody(desk: Desk) -> None:
    with desk.database.writing() as connection:
        connection.exec_driver_sql("INSERT INTO numbers VALUES (1, 'test')")
        with pytest.raises(RuntimeError, match="inside"), desk.database.chaining():
            pass
    assert desk.written() == [1]
    desk.write(2)


def test_reading_inside_a_block_sees_what_was_there_before(desk: Desk) -> None:
    with desk.database.writing() as connection:
        connection.exec_driver_sql("INSERT INTO numbers VALUES (1, 'test')")
        with desk.database.reading() as other:
            assert other.exec_driver_sql("SELECT count(*) FROM numbers").scalar() == 0


def test_many_threads_lose_nothing(desk: Desk) -> None:
    futures = [desk.pool.submit(desk.write, number) for number in range(500)]
    for each in futures:
        each.result(30)
    assert sorted(desk.written()) == list(range(500))


def disorder(desk: Desk, seed: int) -> tuple[set[int], set[int]]:
    """A hundred blocks that fail, break, hurry and dawdle: which of them were told that they are durable."""
    chance = random.Random(seed)
    told, failed = set(), set()
    for number in range(seed * 1_000, seed * 1_000 + 100):
        what = chance.choice(["fine", "fine", "fine", "raise", "refused", "dawdle", "roll back"])
        try:
            with desk.database.writing(within_s=chance.choice([5, 5, 0.003, 0.0])) as connection:
                connection.exec_driver_sql("INSERT INTO numbers VALUES (?, 'test')", (number,))
                _misbehave(desk, connection, what, number)
        except (LookupError, StoreError):
            failed.add(number)
        else:
            told.add(number)
    return told, failed


def _misbehave(desk: Desk, connection: sa.Connection, what: str, number: int) -> None:
    if what == "raise":
        raise LookupError
    if what == "refused":
        connection.exec_driver_sql("INSERT INTO numbers VALUES (?, 'again')", (number,))
    elif what == "dawdle":
        time.sleep(0.002)
    elif what == "roll back" and number % 10 == 0 and desk.database._shared._sqlite is not None:
        desk.database._shared._sqlite.execute("ROLLBACK")


def test_in_any_disorder_exactly_what_was_told_is_there(desk: Desk) -> None:
    futures = [desk.pool.submit(disorder, desk, seed) for seed in range(12)]
    while not all(each.done() for each in futures):
        desk.database.close()  # at any moment, as an orderly end does
        time.sleep(0.01)
    told = [each.result()[0] for each in futures]
    assert set(desk.written()) == set().union(*told)
    assert desk.standing == 0


@pytest.fixture
def deferring(tmp_path: Path) -> Iterator[tuple[SharedWriter, Path]]:
    """A writer whose table's promises are only looked at when it commits: a commit that fails."""
    path = tmp_path / "deferred.db"
    engine = sa.create_engine(f"sqlite:///{path}")

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA foreign_keys=ON")

    writer = SharedWriter(engine.connect)
    with writer.block(4) as connection:
        connection.exec_driver_sql("CREATE TABLE roots (id INTEGER PRIMARY KEY)")
        connection.exec_driver_sql(
            "CREATE TABLE leaves (root INTEGER REFERENCES roots (id) DEFERRABLE INITIALLY DEFERRED)"
        )
    yield writer, path
    writer.close()
    engine.dispose()


def test_a_commit_that_fails_fails_every_block_in_it_and_the_next_one_works(
    deferring: tuple[SharedWriter, Path],
) -> None:
    writer, path = deferring
    inside, go = threading.Event(), threading.Event()

    def leaf(root: int, *, first: bool = False) -> None:
        with writer.block(4) as connection:
            if first:
                inside.set()
                go.wait(10)
            connection.exec_driver_sql("INSERT INTO leaves VALUES (?)", (root,))

    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(leaf, 1, first=True)]
        assert inside.wait(10)
        for root in (2, 3):
            futures.append(pool.submit(leaf, root))
        until(lambda: len(writer._line) == 2)
        go.set()
        for each in futures:
            with pytest.raises(StoreError, match="FOREIGN KEY"):
                each.result(10)
    with writer.block(4) as connection:
        connection.exec_driver_sql("INSERT INTO roots VALUES (1)")
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT count(*) FROM leaves").fetchone() == (0,)
        assert other.execute("SELECT count(*) FROM roots").fetchone() == (1,)


def test_when_a_statement_breaks_the_whole_transaction_everybody_in_it_is_told(desk: Desk) -> None:
    """SQLite may take back a transaction by itself, say when the disk is full; nobody was told before."""
    first, go = held(desk, 1)

    def take_all_back() -> None:
        sqlite = desk.database._shared._sqlite
        assert sqlite is not None
        sqlite.execute("ROLLBACK")
        raise LookupError

    second = desk.submit(2, take_all_back)
    go.set()
    with pytest.raises(LookupError):
        second.result(10)
    if first.exception(10) is None:  # it was committed by itself, before the second began
        assert desk.written() == [1]
    else:
        assert isinstance(first.exception(), StoreError)
        assert desk.written() == []
    desk.write(3)
    assert desk.written()[-1] == 3


def test_another_process_that_keeps_the_lock_is_a_store_error_in_bounded_time(desk: Desk) -> None:
    with closing(sqlite3.connect(desk.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        begin = time.monotonic()
        with pytest.raises(StoreError, match="locked"), desk.database.writing(within_s=0.2):
            pass
        assert time.monotonic() - begin < 2
        other.execute("ROLLBACK")
    desk.write(1)
    assert desk.written() == [1]


def test_everybody_in_line_behind_a_lock_is_told_in_the_same_time(desk: Desk) -> None:
    def write() -> None:
        with desk.database.writing(within_s=0.3):
            pass

    with closing(sqlite3.connect(desk.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        begin = time.monotonic()
        futures = [desk.pool.submit(write) for _ in range(20)]
        errors = [each.exception(10) for each in futures]
        assert time.monotonic() - begin < 3
        assert all(isinstance(error, StoreError) for error in errors)
        other.execute("ROLLBACK")
    desk.write(1)


def test_whoever_gives_up_in_line_holds_up_nobody(desk: Desk) -> None:
    def impatient() -> None:
        with desk.database.writing(within_s=0.05):
            pass

    first, go = held(desk, 1)
    waiting = desk.pool.submit(impatient)
    third = desk.submit(3)
    with pytest.raises(StoreError, match="no turn to write within"):
        waiting.result(10)
    go.set()
    first.result(10)
    third.result(10)
    assert desk.written() == [1, 3]


def test_a_full_database_is_a_store_error_and_works_again_afterwards(desk: Desk) -> None:
    sqlite = desk.database._shared._sqlite
    assert sqlite is not None
    pages = sqlite.execute("PRAGMA page_count").fetchone()[0]
    sqlite.execute(f"PRAGMA max_page_count={pages + 4}")
    acknowledged: list[int] = []

    def write_pairs() -> None:
        for number in range(1_000):
            with desk.database.writing() as connection:
                for each in (number, number + 10_000):
                    connection.exec_driver_sql("INSERT INTO numbers VALUES (?, ?)", (each, "x" * 2_000))
            acknowledged.append(number)

    with pytest.raises(StoreError, match="full"):
        write_pairs()
    assert desk.written() == sorted([*acknowledged, *(each + 10_000 for each in acknowledged)])
    desk.database.close()  # room again
    desk.write(5_000)
    assert 5_000 in desk.written()


def test_after_it_was_closed_the_next_block_opens_it_again(desk: Desk) -> None:
    desk.write(1)
    desk.database.close()
    desk.write(2)
    assert desk.written() == [1, 2]


#: Threads write pairs, and say so on standard output once they were told that a pair is durable.
WRITER = """
import sys, threading
from agent.adapters.database import Database
from agent.domain.errors import StoreError

database = Database(sys.argv[1])
said = threading.Lock()

def say(word):
    with said:
        sys.stdout.write(word + "\\n")
        sys.stdout.flush()

def work(first):
    for number in range(first, first + 1_000_000):
        try:
            with database.writing() as connection:
                connection.exec_driver_sql("INSERT INTO pairs VALUES (?, 'a', ?)", (number, "x" * 500))
                connection.exec_driver_sql("INSERT INTO pairs VALUES (?, 'b', ?)", (number, "x" * 500))
        except StoreError as error:
            say(f"failed {error}")
            if len(sys.argv) > 2:
                return
        else:
            say(f"done {number}")

with database.writing() as connection:
    connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS pairs (number INTEGER, half TEXT, filling TEXT)")
threads = [threading.Thread(target=work, args=(1_000_000 * n,)) for n in range(8)]
for each in threads:
    each.start()
for each in threads:
    each.join()
if len(sys.argv) > 2:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    with database.writing() as connection:
        connection.exec_driver_sql("INSERT INTO pairs VALUES (-1, 'a', '')")
        connection.exec_driver_sql("INSERT INTO pairs VALUES (-1, 'b', '')")
    say("done -1")
"""


def pairs(path: Path) -> dict[int, str]:
    """Every number with the halves that are there."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT number, group_concat(half, '') FROM pairs GROUP BY number")
        return {number: "".join(sorted(halves)) for number, halves in rows}


def said(lines: list[str]) -> set[int]:
    whole = [line for line in lines if line.startswith("done ") and line.endswith("\n")]
    return {int(line.split()[1]) for line in whole}


@pytest.mark.parametrize("after", [20, 57, 140])
def test_killed_in_the_middle_what_was_said_to_be_durable_is_there_and_nothing_is_there_by_half(
    tmp_path: Path, after: int
) -> None:
    path = tmp_path / "pairs.db"
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, f"sqlite:///{path}"], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(after)]
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.readlines()
    found = pairs(path)
    assert set(found.values()) == {"ab"}
    assert said(lines) <= set(found)


def test_a_full_disk_is_a_store_error_with_nothing_half_written_and_works_again_afterwards(
    tmp_path: Path,
) -> None:
    path = tmp_path / "pairs.db"
    limit = 300_000

    def little_room() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    done = subprocess.run(
        [sys.executable, "-c", WRITER, f"sqlite:///{path}", "until it fails"],
        capture_output=True, text=True, cwd=ROOT, preexec_fn=little_room, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines(keepends=True)
    found = pairs(path)
    assert sum(line.startswith("failed the database cannot") for line in lines) == 8
    assert set(found.values()) == {"ab"}
    assert said(lines) == set(found)
    assert -1 in found
