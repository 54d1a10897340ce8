"""What a human may do with an escalation."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from agent.domain.queue import Action, Escalated, Origin, QueueStatus, Rank, Resolution
from agent.escalations import claims
from agent.escalations.claims import NotPossible
from agent.escalations.routing import Criteria, Rule
from agent.escalations.sla import Sla

NOW = datetime(2026, 10, 21, 4, 17, tzinfo=UTC)
SLA = Sla()


def escalated(origin: Origin = Origin.AGENT) -> Escalated:
    return Escalated(
        "esc-1",
        origin,
        "no_match",
        "Redis connection timeout",
        Rank.HIGH,
        NOW,
        SLA.amber_at(Rank.HIGH, NOW),
        SLA.deadline(Rank.HIGH, NOW),
        "Catch-all",
        "team:sre",
    )


def claimed(by: str = "first") -> Escalated:
    found = claims.claim(escalated(), by, NOW)
    assert isinstance(found, Escalated)
    return found


def settled(
    by: str = "first", action: Action = Action.FIXED_BY_HAND, note: str = "restarted it"
) -> Resolution:
    return Resolution(
        action, by, NOW + timedelta(minutes=10), note, "redis" if action is Action.RAN_RUNBOOK else ""
    )


def test_a_claim_keeps_others_from_doing_the_same_work() -> None:
    assert claimed().status is QueueStatus.CLAIMED
    assert claims.claim(claimed(), "second", NOW) == NotPossible("first has claimed it")
    assert claims.claim(claimed(), "first", NOW) == claimed()


def test_only_who_claimed_it_releases_it_or_somebody_who_may_for_others() -> None:
    assert isinstance(claims.release(claimed(), "second"), NotPossible)
    assert claims.release(claimed(), "first") == escalated()
    assert claims.release(claimed(), "lead", may_for_others=True) == escalated()
    assert claims.release(escalated(), "first") == NotPossible("nobody has claimed it")


def test_reassigned_it_waits_to_be_claimed_anew() -> None:
    moved = claims.reassign(claimed(), "team:database")
    assert isinstance(moved, Escalated)
    assert (moved.status, moved.assignee, moved.target) == (QueueStatus.OPEN, "", "team:database")
    assert isinstance(claims.reassign(claimed(), " "), NotPossible)


def test_escalated_further_it_has_its_whole_time_again() -> None:
    later = NOW + timedelta(minutes=40)
    moved = claims.escalate_further(claimed(), "team:senior", by="first", now=later, sla=SLA)
    assert isinstance(moved, Escalated)
    assert (moved.level, moved.target, moved.deadline) == (1, "team:senior", later + timedelta(hours=1))


@pytest.mark.parametrize(
    "action", [Action.FIXED_BY_HAND, Action.FALSE_ALARM, Action.RAN_RUNBOOK, Action.NEEDS_RUNBOOK]
)
def test_ours_are_settled_by_our_four_words(action: Action) -> None:
    done = claims.resolve(claimed(), settled(action=action))
    assert isinstance(done, Escalated)
    assert done.status is QueueStatus.RESOLVED


@pytest.mark.parametrize("action", [Action.ALLOW, Action.BLOCK, Action.REDACT_AND_ALLOW])
def test_those_of_keeptrusts_are_settled_by_theirs(action: Action) -> None:
    assert isinstance(claims.resolve(escalated(Origin.KEEPTRUSTS), settled(action=action)), Escalated)
    assert isinstance(claims.resolve(escalated(Origin.AGENT), settled(action=action)), NotPossible)


def test_without_a_note_nothing_is_settled() -> None:
    assert isinstance(claims.resolve(claimed(), settled(note="  ")), NotPossible)


def test_what_somebody_else_claimed_is_theirs_to_settle() -> None:
    assert claims.resolve(claimed(), settled(by="second")) == NotPossible("first has claimed it")


def test_settling_it_without_a_claim_makes_it_theirs() -> None:
    done = claims.resolve(escalated(), settled())
    assert isinstance(done, Escalated)
    assert done.assignee == "first"


def test_what_is_over_stays_as_it_is() -> None:
    done = claims.resolve(claimed(), settled())
    assert isinstance(done, Escalated)
    why = NotPossible("first has resolved it already (fixed_by_hand)")
    assert claims.claim(done, "second", NOW) == why
    assert claims.release(done, "first") == why
    assert claims.reassign(done, "team:x") == why
    assert claims.escalate_further(done, "team:x", by="alice", now=NOW, sla=SLA) == why
    assert claims.resolve(done, settled()) == why
    assert claims.expire(done) == why


def test_over_time_it_goes_to_whom_the_rule_names_and_whoever_sat_on_it_has_it_no_more() -> None:
    rule = Rule("catch-all", Criteria(), "team:sre", on_breach="team:senior")
    late = claims.breach(claimed(), rule, NOW + timedelta(hours=1))
    assert (late.status, late.assignee, late.target) == (QueueStatus.OPEN, "", "team:senior")
    assert late.breached_at == NOW + timedelta(hours=1)


@pytest.mark.parametrize(
    ("trigger", "action", "ran", "known"),
    [
        ("not_autonomous", Action.RAN_RUNBOOK, "redis-timeout", True),
        ("not_autonomous", Action.RAN_RUNBOOK, "Redis-Timeout.md", True),
        ("not_autonomous", Action.RAN_RUNBOOK, "redis-failover", False),
        ("not_autonomous", Action.FALSE_ALARM, "", False),
        ("not_autonomous", Action.FIXED_BY_HAND, "", None),
        ("step_failed", Action.RAN_RUNBOOK, "redis-timeout", None),
    ],
)
def test_whoever_settles_what_a_shadow_watched_says_whether_it_was_the_same(
    trigger: str, action: Action, ran: str, known: bool | None
) -> None:
    item = replace(escalated(), trigger=trigger, runbook="redis-timeout")
    assert claims.was_as_shown(item, Resolution(action, "first", NOW, "done", ran)) is known
