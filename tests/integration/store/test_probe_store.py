"""What watches saw and raised, kept on both databases."""

from __future__ import annotations

from datetime import timedelta

from agent.adapters.fake_clock import FakeClock
from agent.adapters.store import Store
from agent.domain.alert import Severity
from agent.domain.probing import Deed, DeedKind, ProbeState, Raised, Reading


def test_a_state_comes_back_as_it_was_kept_and_the_last_one_counts(store: Store, clock: FakeClock) -> None:
    now = clock.now()
    raised = Raised(Severity.CRITICAL, now, ("a", "b"), "inc-1")
    deed = Deed(
        DeedKind.WORSE, "b", now, "is 57 (critical > 50)", Severity.CRITICAL, 57.0, "critical > 50", ""
    )
    state = ProbeState(
        "backlog",
        "pending",
        "runbooks/backlog.md",
        now,
        (Reading(now - timedelta(seconds=60), 20.5), Reading(now, 57.0)),
        ("critical", "between"),
        raised,
        2,
        "no answer — “ganz” still",
        "prometheus",
        Raised(Severity.WARNING, now, ("c",)),
        (deed,),
    )
    store.keep_probe(ProbeState("backlog", "pending"))
    store.keep_probe(ProbeState("backlog", "other"))
    store.keep_probe(state)

    assert store.probe_states() == [ProbeState("backlog", "other"), state]


def test_what_is_forgotten_is_gone_and_nothing_else_is(store: Store) -> None:
    store.keep_probe(ProbeState("backlog", "pending"))
    store.keep_probe(ProbeState("backlog", "other"))
    store.keep_probe(ProbeState("disk", "pending"))
    store.forget_probe("backlog", "pending")
    store.forget_probe("backlog", "never-seen")

    assert [(each.runbook_id, each.key) for each in store.probe_states()] == [
        ("backlog", "other"),
        ("disk", "pending"),
    ]
