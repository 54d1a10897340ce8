"""Who is gone is taken over, who comes too late finds out, and one at a time leads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
import sqlalchemy as sa

from agent import replicas
from agent.adapters.clock import SystemClock
from agent.adapters.executor_lock import ExecutorLock
from agent.adapters.fake_clock import FakeClock
from agent.adapters.fake_sandbox import FakeSandbox
from agent.adapters.store import Store
from agent.adapters.store_schema import runs
from agent.domain.errors import ExecutorBusyError, StoreError
from agent.domain.executor import Role
from agent.pulse import Pulse
from agent.replicas import Duty, Presence, Reaper, WorkersSeen, own_executor_id
from tests.integration.replicas.conftest import eventually
from tests.postgres import PostgresServer


class RecordedRuns:
    """Stands where `Durable` stands: takes runs over by writing them to its own name."""

    def __init__(self, store: Store, executor_id: str) -> None:
        self._store = store
        self._executor_id = executor_id
        self.taken: list[str] = []

    def take_over(self, executor_id: str) -> int:
        self.taken.append(executor_id)
        with self._store.database.writing() as connection:
            mine = runs.update().where(runs.c.executor_id == executor_id)
            connection.execute(mine.values(executor_id=self._executor_id))
        return 1


@dataclass
class Replica:
    """One process, as far as it concerns the others."""

    url: str
    executor_id: str
    ended: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = Store(self.url, SystemClock())
        self.lock = ExecutorLock(self.url, self.executor_id, patience_s=0.2)
        self.presence = Presence(self.store, self.executor_id, Role.ALL, "1.0", end=self.ended.append)
        self.presence.begin(self.lock)
        self.runs = RecordedRuns(self.store, self.executor_id)
        self.sandbox = FakeSandbox()
        self.reaper = Reaper(
            executor_id=self.executor_id,
            store=self.store,
            durable=self.runs,  # type: ignore[arg-type]
            sandbox=self.sandbox,
            locks=self.lock.locks,
        )

    def works_on(self, *incidents: str) -> None:
        rows = [
            {"incident_id": each, "leg": 1, "executor_id": self.executor_id, "active": True}
            for each in incidents
        ]
        with self.store.database.writing() as connection:
            connection.execute(runs.insert(), rows)

    def duty(self, name: str = "pager") -> Duty:
        return Duty(name, self.lock.locks)

    def vanish(self) -> None:
        """As after a kill: nothing was said, the lock is free."""
        self.lock.release()
        self.store.close()


@pytest.fixture
def replica(database_url: str) -> Iterator[Callable[[str], Replica]]:
    made: list[Replica] = []

    def make(executor_id: str) -> Replica:
        made.append(Replica(database_url, executor_id))
        return made[-1]

    yield make
    for each in made:
        each.vanish()


Make = Callable[[str], Replica]


def looks_until_taken(reaping: Replica, owner: str) -> float:
    """How long it took until the owner's work was taken over."""
    started = time.monotonic()
    eventually(lambda: reaping.reaper.tick() and owner in reaping.runs.taken, f"{owner} is taken over")
    return time.monotonic() - started


def test_the_work_of_a_process_that_is_gone_is_taken_over_after_a_moment(replica: Make) -> None:
    one, other = replica("one"), replica("other")
    one.works_on("inc-1")
    other.reaper.tick()
    assert other.runs.taken == [], "it is alive"
    one.vanish()
    took_s = looks_until_taken(other, "one")
    assert replicas.GONE_AFTER_S <= took_s < 10
    assert other.store.owners() == ["other"]


def test_a_process_that_left_by_itself_is_taken_over_at_once(replica: Make) -> None:
    one, other = replica("one"), replica("other")
    one.works_on("inc-1")
    one.presence.leave()
    other.reaper.tick()
    assert other.runs.taken == [], "it has said that it leaves, and has not left yet"
    one.vanish()
    assert looks_until_taken(other, "one") < 1.0


def test_a_process_that_was_at_nothing_is_left_in_peace(replica: Make) -> None:
    one, other = replica("one"), replica("other")
    one.presence.leave()
    one.vanish()
    other.reaper.tick()
    assert other.runs.taken == []


def test_an_owner_that_comes_back_in_time_is_not_taken_over(replica: Make, database_url: str) -> None:
    one, other = replica("one"), replica("other")
    one.works_on("inc-1")
    one.lock.release()
    other.reaper.tick()
    lock = ExecutorLock(database_url, "one")
    time.sleep(replicas.GONE_AFTER_S)
    other.reaper.tick()
    assert other.runs.taken == []
    lock.release()


def test_of_two_that_look_one_takes_over(replica: Make) -> None:
    one, other, third = replica("one"), replica("other"), replica("third")
    one.works_on("inc-1")
    one.presence.leave()
    one.vanish()
    for _ in range(3):
        other.reaper.tick()
        third.reaper.tick()
    assert len(other.runs.taken + third.runs.taken) == 1


def test_while_its_work_is_taken_over_its_name_is_taken(replica: Make, database_url: str) -> None:
    one, other = replica("one"), replica("other")
    one.works_on("inc-1")
    one.presence.leave()
    one.vanish()
    refused: list[str] = []

    def come_back(markers: object) -> int:
        try:
            ExecutorLock(database_url, "one", patience_s=0.0)
        except ExecutorBusyError as error:
            refused.append(str(error))
        return 0

    other.sandbox.end_orphans = come_back  # type: ignore[method-assign]
    looks_until_taken(other, "one")  # a server notices a moment later that somebody has gone
    assert len(refused) == 1
    ExecutorLock(database_url, "one").release()


def test_a_takeover_that_breaks_off_is_done_again(replica: Make) -> None:
    one, other = replica("one"), replica("other")
    one.works_on("inc-1")
    one.presence.leave()
    one.vanish()
    taking_over, other.runs.take_over = other.runs.take_over, _broken  # type: ignore[method-assign]
    with pytest.raises(StoreError):
        other.reaper.tick()
    other.runs.take_over = taking_over  # type: ignore[method-assign]
    assert looks_until_taken(other, "one") < 1.0


def _broken(_: str) -> int:
    raise StoreError("the database cannot be reached")


def test_who_was_taken_over_while_it_slept_ends_when_it_wakes_up(replica: Make) -> None:
    one, other = replica("one"), replica("other")
    one.works_on("inc-1")
    one.lock.locks.close()  # its machine stood still, and the server gave its lock away
    looks_until_taken(other, "one")
    one.presence.tick()
    assert len(one.ended) == 1
    assert "taken over by another process" in one.ended[0]


def test_who_finds_another_in_its_place_ends(replica: Make, database_url: str) -> None:
    one = replica("one")
    one.lock.locks.close()
    successor = ExecutorLock(database_url, "one")
    one.presence.tick()
    assert len(one.ended) == 1
    assert "another process already works as executor 'one'" in one.ended[0]
    successor.release()


def test_who_keeps_its_place_says_so_from_time_to_time(
    replica: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = replica("one")
    (before,) = one.store.executors()
    one.presence.tick()
    assert one.store.executors()[0].seen_at == before.seen_at, "not at every look"
    monkeypatch.setattr(replicas, "_SEEN_EVERY_S", 0.0)
    one.presence.tick()
    assert one.store.executors()[0].seen_at > before.seen_at
    assert one.ended == []


def test_a_web_process_says_when_nobody_works_on_what_it_takes(database_url: str) -> None:
    clock = FakeClock()
    store = Store(database_url, clock)
    pulse = Pulse(clock)
    seen = WorkersSeen(store, pulse, clock)
    store.begin_work("worker-0", role=Role.WORKER, host="h", version="1")
    for _ in range(10):
        clock.sleep(5)
        store.seen_at_work("worker-0")
        seen.tick()
    assert pulse.problems() == ()
    for _ in range(8):
        clock.sleep(5)
        seen.tick()
    (problem,) = pulse.problems()
    assert problem == "no worker has been seen for 40 s: what comes in is stored, and waits for one"
    store.seen_at_work("worker-0")
    seen.tick()
    assert pulse.problems() == ()
    store.close()


class TestDuty:
    """Leadership: exactly one process sends, and another one when it is gone."""

    def test_the_first_begins_at_once_and_the_others_stand_by(self, replica: Make) -> None:
        one, other = replica("one").duty(), replica("other").duty()
        assert one.is_ours()
        assert not other.is_ours()
        assert one.is_ours(), "it stays"
        one.demand()
        with pytest.raises(StoreError, match="another process may be doing this"):
            other.demand()

    def test_who_stands_by_takes_its_turn_within_seconds(self, replica: Make) -> None:
        first, second = replica("one"), replica("other")
        leading, standing_by = first.duty(), second.duty()
        assert leading.is_ours()
        assert not standing_by.is_ours()
        first.vanish()
        started = time.monotonic()
        eventually(standing_by.is_ours, "it leads")
        assert replicas.GONE_AFTER_S <= time.monotonic() - started < 10

    def test_who_led_before_goes_on_at_once_after_a_lost_connection(self, replica: Make) -> None:
        first, second = replica("one"), replica("other")
        leading, standing_by = first.duty(), second.duty()
        assert leading.is_ours()
        assert not standing_by.is_ours()
        first.lock.locks.close()
        second.lock.locks.close()
        with pytest.raises(StoreError):
            leading.demand()
        assert not standing_by.is_ours(), "it looks twice"
        assert leading.is_ours()

    def test_what_is_led_is_done_by_one_and_the_others_only_ask(self, replica: Make) -> None:
        done: list[str] = []

        def tick(name: str) -> float:
            done.append(name)
            return 60.0

        one = replica("one").duty().led(lambda: tick("one"))
        other = replica("other").duty().led(lambda: tick("other"))
        assert (one(), other()) == (60.0, replicas.LOOK_EVERY_S)
        assert done == ["one"]

    def test_a_lead_that_ends_in_the_middle_of_a_batch_sends_no_further_letter(self, replica: Make) -> None:
        leading = replica("one")

        def send_two() -> float:
            leading.store.begin_delivery([1])
            leading.lock.locks.close()  # the server was restarted, or believes that we are gone
            with pytest.raises(StoreError, match="another process may be doing this now"):
                leading.store.begin_delivery([2])
            return 0.0

        leading.duty().led(send_two)()
        leading.store.begin_delivery([3])  # where nobody needs to lead, nobody asks


class TestOnPostgreSQL:
    """The server itself goes down and comes back."""

    @pytest.fixture
    def database_url(self, postgres_url: str) -> str:
        return postgres_url

    def test_all_sessions_lost_at_once_move_nothing(
        self, replica: Make, postgres_server: PostgresServer, database_url: str
    ) -> None:
        one, other = replica("one"), replica("other")
        one.works_on("inc-1")
        other.works_on("inc-2")
        name = database_url.rpartition("/")[2]
        postgres_server.run(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        )
        until = time.monotonic() + replicas.GONE_AFTER_S + 2
        while time.monotonic() < until:
            for tick in (one.presence.tick, one.reaper.tick, other.presence.tick, other.reaper.tick):
                with suppress(StoreError):  # as a schedule does: it ticks again
                    tick()
            time.sleep(0.3)
        assert (one.runs.taken, other.runs.taken) == ([], [])
        assert (one.ended, other.ended) == ([], [])
        with one.store.database.reading() as connection:
            owners = sa.select(runs.c.incident_id, runs.c.executor_id).order_by(runs.c.incident_id)
            assert [tuple(row) for row in connection.execute(owners)] == [
                ("inc-1", "one"),
                ("inc-2", "other"),
            ]


def test_the_only_process_on_sqlite_is_main_and_on_postgresql_it_is_named_after_its_host(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("ONCALL_AGENT_EXECUTOR_ID", raising=False)
    monkeypatch.setattr("socket.gethostname", lambda: "worker-0")
    assert own_executor_id("sqlite:///data/oncall.db", Role.ALL) == "main"
    assert own_executor_id("postgresql://db/oncall", Role.WORKER) == "worker-0"
    assert own_executor_id("postgresql://db/oncall", Role.WEB).startswith("web:worker-0:")
    monkeypatch.setenv("ONCALL_AGENT_EXECUTOR_ID", "pod-7")
    assert own_executor_id("sqlite:///data/oncall.db", Role.ALL) == "pod-7"
