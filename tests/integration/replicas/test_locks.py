"""Named locks: one process has each, and they go with it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.adapters.executor_lock import ExecutorLock
from agent.adapters.locks import FileLocks, Locks, locks_of
from agent.domain.errors import ExecutorBusyError, StoreError
from tests.integration.replicas.conftest import eventually
from tests.postgres import PostgresServer

Another = Callable[[], Locks]

#: Another process: takes a lock, says so, and holds it until it is ended.
HOLDER = """
import sys
from agent.adapters.executor_lock import ExecutorLock

try:
    lock = ExecutorLock(sys.argv[1], sys.argv[2], patience_s=0.2)
except Exception as error:
    print(f"{type(error).__name__}: {error}", flush=True)
else:
    print("held", flush=True)
    sys.stdin.read()
"""


class Holder:
    """A process that works under an executor id, or was refused to."""

    def __init__(self, url: str, executor_id: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, url, executor_id],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3],
        )  # fmt: skip
        assert self.process.stdout is not None
        self.says = self.process.stdout.readline().strip()

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def another(database_url: str) -> Iterator[Another]:
    """Locks of one more process."""
    made: list[Locks] = []

    def make() -> Locks:
        made.append(locks_of(database_url))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def holder(database_url: str) -> Iterator[Callable[[str], Holder]]:
    made: list[Holder] = []

    def make(executor_id: str) -> Holder:
        made.append(Holder(database_url, executor_id))
        return made[-1]

    yield make
    for each in made:
        each.end()


def test_one_has_it_and_the_others_do_not(another: Another) -> None:
    one, other = another(), another()
    assert one.take("pager")
    assert one.take("pager"), "what is ours stays ours"
    assert not other.take("pager")
    assert (one.holds("pager"), other.holds("pager")) == (True, False)
    assert other.take("chat"), "another name is another lock"


def test_looking_takes_nothing(another: Another) -> None:
    one, other = another(), another()
    assert one.is_free("pager")
    assert other.is_free("pager")
    assert other.take("pager")
    assert not one.is_free("pager")
    assert not other.is_free("pager")


def test_what_is_given_back_may_be_taken(another: Another) -> None:
    one, other = another(), another()
    one.take("pager")
    one.give_back("pager")
    one.give_back("pager")
    assert not one.holds("pager")
    assert other.take("pager")


def test_closing_gives_everything_back(another: Another) -> None:
    one, other = another(), another()
    assert one.take("pager")
    assert one.take("chat")
    one.close()
    eventually(lambda: other.take("pager") and other.take("chat"), "both are free")


def test_keeping_what_nobody_took_away_keeps_it(another: Another) -> None:
    one = another()
    one.take("pager")
    assert one.keep()
    assert one.holds("pager")


@pytest.mark.parametrize("name", ["../elsewhere", "a/b", "ünïcode — name", "x" * 100])
def test_any_name_is_a_name(another: Another, name: str) -> None:
    one, other = another(), another()
    assert one.take(name)
    assert not other.take(name)


def test_a_name_leaves_no_folder(tmp_path: Path) -> None:
    assert FileLocks(tmp_path / "oncall.db").path("../../etc/passwd").parent == tmp_path


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be opened"):
        FileLocks(tmp_path / "file" / "oncall.db").take("pager")


def test_a_second_process_under_the_same_id_is_refused_with_words(
    database_url: str, holder: Callable[[str], Holder]
) -> None:
    assert holder("worker-0").says == "held"
    refused = holder("worker-0").says
    assert refused.startswith("ExecutorBusyError: another process already works as executor 'worker-0' on ")
    assert refused.endswith(
        "; stop it first, or give this one its own executor id (ONCALL_AGENT_EXECUTOR_ID)"
    )
    assert holder("worker-1").says == "held"


def test_the_id_of_a_killed_process_is_free(database_url: str, holder: Callable[[str], Holder]) -> None:
    first = holder("worker-0")
    first.end()
    lock = ExecutorLock(database_url, "worker-0")
    assert lock.keep()
    lock.release()


def test_who_only_looks_refuses_nobody(database_url: str, another: Another) -> None:
    looking = another()
    for _ in range(20):
        assert looking.is_free("executor-worker-0")
        lock = ExecutorLock(database_url, "worker-0", patience_s=0.5)
        lock.release()
        eventually(lambda: looking.is_free("executor-worker-0"), "it is free again")


class TestOnPostgreSQL:
    """Locks hang on a connection, which may be lost."""

    @pytest.fixture
    def database_url(self, postgres_url: str) -> str:
        return postgres_url

    def end_sessions(self, server: PostgresServer, url: str) -> None:
        name = url.rpartition("/")[2]
        server.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")

    def test_a_lost_connection_is_noticed_and_nothing_is_held(
        self, another: Another, postgres_server: PostgresServer, database_url: str
    ) -> None:
        one = another()
        one.take("pager")
        self.end_sessions(postgres_server, database_url)
        assert not one.keep()
        assert not one.holds("pager")
        assert one.take("pager"), "it can be had again"

    def test_an_owner_that_lost_its_lock_takes_it_again(
        self, postgres_server: PostgresServer, database_url: str
    ) -> None:
        lock = ExecutorLock(database_url, "worker-0")
        self.end_sessions(postgres_server, database_url)
        assert lock.keep()
        assert lock.was_lost
        assert lock.keep()
        lock.release()

    def test_an_owner_whose_place_was_taken_is_told(
        self, another: Another, postgres_server: PostgresServer, database_url: str
    ) -> None:
        lock = ExecutorLock(database_url, "worker-0")
        self.end_sessions(postgres_server, database_url)
        assert another().take("executor-worker-0")
        with pytest.raises(ExecutorBusyError, match="another process already works as executor 'worker-0'"):
            lock.keep()
        lock.release()

    def test_every_session_tells_the_server_how_soon_a_silent_client_is_gone(
        self, another: Another, postgres_server: PostgresServer, database_url: str
    ) -> None:
        from agent.adapters import postgres

        connection = postgres.connect(database_url)
        shown = {
            name: connection.execute(f"SHOW {name}").fetchone()[0]  # type: ignore[index]
            for name in ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count")
        }
        connection.close()
        assert sum(int(value) for value in shown.values()) <= 5, shown
