from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.adapters.store import Store
from agent.domain.alert import Alert
from agent.domain.command import Refusal
from agent.domain.decisions import Attempt, AttemptEnd, Section
from agent.domain.effects import BlastRadius, Effect, EffectClass
from agent.domain.limits import Charge
from agent.domain.records import AlreadyEnded, AttemptKey, BeginAttempt, Begun, Unfinished
from agent.domain.source_event import EventType, SourceEvent

FLUSH = Effect(EffectClass.CACHE_OPERATION, "redis://cache", 1)
READ = Effect(EffectClass.READ, "redis://cache", 1)
ONE = BlastRadius({EffectClass.CACHE_OPERATION: 1})


@pytest.fixture
def incident_id(store: Store) -> str:
    return store.open_manual(Alert("manual", "m-1", "Redis connection timeout"))


def key(incident_id: str, number: int = 1) -> AttemptKey:
    return AttemptKey(incident_id, Section.STEPS, 1, number)


def begin(
    store: Store,
    at: AttemptKey,
    *effects: Effect,
    limits: BlastRadius = ONE,
    **more: Any,
) -> BeginAttempt:
    return store.begin_attempt(at, title="Flush", charge=Charge(effects, len(effects), limits, **more))


def test_an_attempt_is_charged_when_it_begins(store: Store, incident_id: str) -> None:
    assert begin(store, key(incident_id), FLUSH) == Begun()
    assert store.charged(incident_id) == {"cache_operation": 1}


def test_a_second_attempt_over_the_limit_is_refused_with_limit_used_and_asked(
    store: Store, incident_id: str
) -> None:
    begin(store, key(incident_id), FLUSH)
    store.end_attempt(key(incident_id), Attempt(Section.STEPS, 1, 1, AttemptEnd.FAILED))
    refusal = begin(store, key(incident_id, 2), FLUSH)
    assert isinstance(refusal, Refusal)
    assert str(refusal) == (
        "max_cache_operations is 1: 1 used by this incident (step 1, attempt 1), "
        "this attempt asks for 1 more; raise the limit in this runbook if the action is safe"
    )
    assert store.attempts(incident_id)[-1].end is AttemptEnd.REFUSED


def test_reads_are_free(store: Store, incident_id: str) -> None:
    for number in range(1, 6):
        assert begin(store, key(incident_id, number), READ, limits=BlastRadius()) == Begun()
    assert store.charged(incident_id) == {}


def test_a_class_that_the_runbook_does_not_name_is_zero(store: Store, incident_id: str) -> None:
    assert isinstance(begin(store, key(incident_id), FLUSH, limits=BlastRadius()), Refusal)


def test_an_attempt_that_ended_before_a_restart_is_not_begun_again(store: Store, incident_id: str) -> None:
    ended = Attempt(Section.STEPS, 1, 1, AttemptEnd.SUCCEEDED, output="OK", exit_code=0)
    begin(store, key(incident_id), FLUSH)
    store.end_attempt(key(incident_id), ended)
    assert begin(store, key(incident_id), FLUSH) == AlreadyEnded(ended)
    assert store.charged(incident_id) == {"cache_operation": 1}


def test_an_attempt_that_changes_things_and_has_no_known_end_is_unfinished(
    store: Store, incident_id: str
) -> None:
    begin(store, key(incident_id), FLUSH)
    assert begin(store, key(incident_id), FLUSH) == Unfinished()


def test_only_the_daemons_unfinished_attempts_are_hunted_for(store: Store, incident_id: str) -> None:
    alert = Alert("pagerduty", "P1", "Redis connection timeout")
    event = SourceEvent("pagerduty", "d-1", EventType.TRIGGERED, "incident.triggered", "P1", alert=alert)
    accepted = store.accept(event, "{}").incident_id
    begin(store, key(incident_id), FLUSH)
    begin(store, key(accepted), FLUSH)
    assert store.markers_of([""]) == [key(accepted).marker]


def test_an_attempt_that_only_reads_may_begin_again(store: Store, incident_id: str) -> None:
    begin(store, key(incident_id), READ)
    assert begin(store, key(incident_id), READ) == Begun()


def test_the_first_end_of_an_attempt_counts(store: Store, incident_id: str) -> None:
    begin(store, key(incident_id), FLUSH)
    store.end_attempt(key(incident_id), Attempt(Section.STEPS, 1, 1, AttemptEnd.SUCCEEDED))
    store.end_attempt(key(incident_id), Attempt(Section.STEPS, 1, 1, AttemptEnd.FAILED))
    assert [each.end for each in store.attempts(incident_id)] == [AttemptEnd.SUCCEEDED]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    limit=st.integers(0, 5),
    asks=st.lists(st.tuples(st.integers(1, 3), st.booleans()), min_size=1, max_size=8),
)
def test_what_is_charged_never_exceeds_the_limit_whatever_is_asked_and_however_it_ends(
    store: Store, limit: int, asks: list[tuple[int, bool]]
) -> None:
    incident_id = store.open_manual(Alert("manual", "m", "Redis connection timeout"))
    limits = BlastRadius({EffectClass.CACHE_OPERATION: limit})
    for number, (count, ends) in enumerate(asks, start=1):
        at = key(incident_id, number)
        begun = begin(store, at, Effect(EffectClass.CACHE_OPERATION, "redis", count), limits=limits)
        if ends and begun == Begun():
            store.end_attempt(at, Attempt(Section.STEPS, 1, number, AttemptEnd.FAILED))
        assert store.charged(incident_id).get("cache_operation", 0) <= limit


def test_a_refusal_is_written_down_without_a_charge_and_stays_a_refusal(
    store: Store, incident_id: str
) -> None:
    at = key(incident_id)
    store.refuse_attempt(at, title="Flush", refusal=Refusal("it has grown"))
    known = store.look_up_attempt(at, read_only=False)
    assert isinstance(known, AlreadyEnded)
    assert (known.attempt.end, known.attempt.reason) == (AttemptEnd.REFUSED, "it has grown")
    assert begin(store, at, FLUSH) == known
    assert store.charged(incident_id) == {}
    store.refuse_attempt(at, title="Flush", refusal=Refusal("something else"))
    assert store.look_up_attempt(at, read_only=False) == known


def test_a_look_that_was_cut_off_can_be_refused_when_it_is_begun_again(
    store: Store, incident_id: str
) -> None:
    at = key(incident_id)
    assert begin(store, at, READ) == Begun()
    store.refuse_attempt(at, title="Look", refusal=Refusal("its script has changed"))
    known = store.look_up_attempt(at, read_only=True)
    assert isinstance(known, AlreadyEnded)
    assert known.attempt.end is AttemptEnd.REFUSED
