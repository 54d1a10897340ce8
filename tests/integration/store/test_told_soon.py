"""What a run tells while it only thinks: written with its next transaction, and seen by whoever reads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import sqlalchemy as sa

from agent.adapters.audit_chain import Intact, verify_chain
from agent.adapters.audit_log import chain_of
from agent.adapters.floor import outside
from agent.adapters.store import Store
from agent.adapters.store_schema import outbox
from agent.adapters.stored_run import StoredRun
from agent.domain.decisions import Attempt, AttemptEnd, Matched, Section
from agent.domain.incident import Entry, EventKind, Status
from agent.domain.outbox import ChatLine
from agent.domain.records import AttemptKey, Changes
from agent.domain.runs import Leg, Lost, Memory, Places
from tests.integration.store.test_executors_store import READS
from tests.integration.store.test_runs_store import begun

MATCHED = Changes(status=Status.MATCHED, match=Matched("redis", "abc", 1.0, ()))


class Killed(BaseException):
    """The process is gone."""


@pytest.fixture
def leg(store: Store) -> Leg:
    return begun(store)


@pytest.fixture
def run(store: Store, leg: Leg) -> StoredRun:
    return StoredRun(store, leg, Memory(), executor_id="main", places=Places(32), closing=threading.Event())


@pytest.fixture
def riding(run: StoredRun) -> Iterator[StoredRun]:
    with run.riding():
        yield run


def tell(store: Store, leg: Leg, key: str = "thought", *, changes: Changes | None = None) -> None:
    entry = Entry(key, EventKind.NOTE, f"I {key}")
    store.record_soon(leg.incident_id, [entry], changes=changes, messages=[ChatLine(entry.text)])


def told(store: Store, leg: Leg) -> list[str]:
    """As another process sees it."""
    keys: list[str] = []
    elsewhere = threading.Thread(
        target=lambda: keys.extend(event.key for event in store.timeline(leg.incident_id))
    )
    elsewhere.start()
    elsewhere.join()
    return keys


def tells(run: StoredRun, store: Store, leg: Leg, end: BaseException | None = None) -> None:
    """A run of one step, and how it ends."""
    with run.riding():
        run.step("think", lambda: tell(store, leg), returns=None)
        if end is not None:
            raise end


@contextmanager
def chain_held(store: Store) -> Iterator[None]:
    """By another thread, which tells something for as long as the block lasts."""
    holds, over = threading.Event(), threading.Event()

    def hold() -> None:
        with store.database.chaining():
            holds.set()
            over.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    assert holds.wait(10)
    try:
        yield
    finally:
        over.set()
        thread.join()


def letters(store: Store) -> list[str]:
    with store.database.reading() as connection:
        return list(connection.execute(sa.select(outbox.c.message)).scalars())


@pytest.mark.usefixtures("riding")
def test_it_is_durable_with_what_is_written_next(store: Store, leg: Leg) -> None:
    tell(store, leg)
    assert told(store, leg) == []
    store.learn_own_user_id("PAGENT0")
    assert told(store, leg) == ["thought"]


@pytest.mark.usefixtures("riding")
def test_it_keeps_its_order_and_comes_before_what_is_told_at_once(store: Store, leg: Leg) -> None:
    tell(store, leg, "first")
    tell(store, leg, "second")
    store.record(leg.incident_id, [Entry("third", EventKind.NOTE, "and this")])
    assert told(store, leg) == ["first", "second", "third"]


def test_a_process_that_is_lost_before_has_told_nothing_and_remembers_no_step(
    store: Store, leg: Leg, run: StoredRun
) -> None:
    with pytest.raises(Killed):
        tells(run, store, leg, Killed())
    assert told(store, leg) == []
    assert store.memory_of(leg, "main") == Memory()


def test_the_step_that_told_it_is_remembered_with_it(store: Store, leg: Leg, riding: StoredRun) -> None:
    riding.step("think", lambda: tell(store, leg), returns=None)
    store.learn_own_user_id("PAGENT0")
    assert told(store, leg) == ["thought"]
    assert store.memory_of(leg, "main") == Memory({"think": "null"})


@pytest.mark.usefixtures("riding")
def test_the_run_sees_its_own_story(store: Store, leg: Leg) -> None:
    tell(store, leg)
    assert [each.key for each in store.timeline(leg.incident_id)] == ["thought"]


@pytest.mark.usefixtures("riding")
def test_the_run_sees_what_it_has_changed(store: Store, leg: Leg) -> None:
    tell(store, leg, changes=MATCHED)
    assert store.incident(leg.incident_id).runbook_id == "redis"


@pytest.mark.usefixtures("riding")
def test_an_alert_that_changes_is_written_at_once_for_others_are_compared_with_it(
    store: Store, leg: Leg
) -> None:
    alert = replace(store.incident(leg.incident_id).alert, service="learned")
    tell(store, leg, changes=Changes(alert=alert))
    assert told(store, leg) == ["thought"]
    assert store.service_of(leg.incident_id) == "learned"


@pytest.mark.usefixtures("riding")
def test_an_end_is_written_at_once(store: Store, leg: Leg) -> None:
    tell(store, leg, "first")
    tell(store, leg, "end", changes=Changes(status=Status.IGNORED))
    assert told(store, leg) == ["first", "end"]


@pytest.mark.usefixtures("riding")
def test_who_reads_what_it_leaves_as_it_is_does_not_make_it_durable(store: Store, leg: Leg) -> None:
    tell(store, leg)
    store.incident(leg.incident_id)
    tell(store, leg, "matched", changes=MATCHED)
    assert store.plan(leg.incident_id) is None
    assert store.stand_down_of(leg.incident_id) is None
    assert told(store, leg) == []


@pytest.mark.usefixtures("riding")
def test_it_is_durable_before_anything_outside_is_waited_for(store: Store, leg: Leg) -> None:
    class Vendor:
        def ask(self) -> list[str]:
            return told(store, leg)

    tell(store, leg)
    assert outside(Vendor()).ask() == ["thought"]


def test_it_is_durable_before_a_pause(store: Store, leg: Leg, riding: StoredRun) -> None:
    tell(store, leg)
    riding.sleep(0.0)
    assert told(store, leg) == ["thought"]


def test_it_is_durable_when_the_run_is_over(store: Store, leg: Leg, run: StoredRun) -> None:
    tells(run, store, leg)
    assert told(store, leg) == ["thought"]


def test_what_came_before_a_run_broke_is_told(store: Store, leg: Leg, run: StoredRun) -> None:
    with pytest.raises(ZeroDivisionError):
        tells(run, store, leg, ZeroDivisionError())
    assert told(store, leg) == ["thought"]


@pytest.mark.usefixtures("riding")
def test_what_is_taken_back_with_another_write_is_written_with_the_next(store: Store, leg: Leg) -> None:
    tell(store, leg)
    with pytest.raises(ZeroDivisionError), store.database.writing():
        raise ZeroDivisionError
    assert told(store, leg) == []
    store.learn_own_user_id("PAGENT0")
    assert told(store, leg) == ["thought"]


@pytest.mark.usefixtures("riding")
def test_it_is_told_once_however_often(store: Store, leg: Leg) -> None:
    tell(store, leg)
    tell(store, leg)
    store.learn_own_user_id("PAGENT0")
    assert told(store, leg) == ["thought"]
    (letter,) = letters(store)
    assert "I thought" in letter


def test_who_has_lost_the_run_tells_nothing_more(store: Store, leg: Leg, run: StoredRun) -> None:
    store.take_over([leg], "another")
    with pytest.raises(Lost):
        tells(run, store, leg)
    assert told(store, leg) == []


def test_outside_a_run_it_is_told_at_once(store: Store, leg: Leg) -> None:
    tell(store, leg)
    assert told(store, leg) == ["thought"]


@pytest.mark.usefixtures("riding")
def test_the_chain_holds_over_what_was_told_soon_and_at_once(store: Store, leg: Leg) -> None:
    tell(store, leg, "first")
    store.record(leg.incident_id, [Entry("second", EventKind.NOTE, "at once")])
    tell(store, leg, "third")
    store.timeline(leg.incident_id)
    assert isinstance(verify_chain(chain_of(store), whole=True), Intact)


@pytest.mark.usefixtures("riding")
def test_how_an_attempt_ended_waits_for_nobody_who_tells_something(store: Store, leg: Leg) -> None:
    key = AttemptKey(leg.incident_id, Section.STEPS, 1, 1)
    store.begin_attempt(key, title="Look", charge=READS)
    tell(store, leg, "ended")
    ended = Attempt(Section.STEPS, 1, 1, AttemptEnd.SUCCEEDED, "it holds")
    if store.database.is_sqlite:  # one line for all: it is written with what is told
        store.end_attempt(key, ended)
        assert told(store, leg) == ["ended"]
        return
    with chain_held(store):
        store.end_attempt(key, ended)
        assert store.attempts(leg.incident_id) == [ended]
        assert told(store, leg) == []
    store.timeline(leg.incident_id)
    assert told(store, leg) == ["ended"]
