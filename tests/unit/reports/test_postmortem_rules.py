"""What a post-mortem concludes, and from which fact: each rule alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from agent.domain.alert import Alert, Severity
from agent.domain.decision_event import GovernanceData, Minute, Ranked, outcome_of
from agent.domain.decisions import Attempt, AttemptEnd, EscalationTrigger, Plan, PlannedStep, Section
from agent.domain.incident import EventKind, Incident, Status, TimelineEvent
from agent.domain.postmortem import Case
from agent.domain.queue import Action, Escalated, Origin, QueueStatus, Rank, Resolution
from agent.reports.postmortem import postmortem
from agent.reports.postmortem_actions import actions
from agent.reports.postmortem_facts import Facts
from agent.reports.postmortem_text import as_body, as_markdown, joined

AT = datetime(2026, 4, 23, 14, 12, tzinfo=UTC)
ALERT = Alert("pagerduty", "P1", "HighBlockRate", service="kt-gateway", severity=Severity.CRITICAL)
STEP = PlannedStep(1, "Restart it", Section.STEPS, None)
PLAN = Plan("gateway-down", "r1", "h1", (STEP,), verify=(STEP,))
INCIDENT = Incident(
    "inc-1", ALERT, Status.ESCALATED, AT, ended_at=AT, runbook_id="gateway-down", runbook_title="Gateway down"
)


def escalated(trigger: str = "no_match", **fields: object) -> Escalated:
    item = Escalated(
        "esc-1", Origin.AGENT, trigger, "HighBlockRate", Rank.CRITICAL, AT, AT, AT + timedelta(minutes=15),
        rule="ai", target="team:ai", incident_id="inc-1", facts={"reason": f"because of {trigger}"},
    )  # fmt: skip
    return replace(item, **fields)  # type: ignore[arg-type]


def settled(action: Action, *, after: timedelta = timedelta(minutes=5), **facts: object) -> Escalated:
    by = Resolution(action, "rita", AT + after, "rolled back")
    return escalated(status=QueueStatus.RESOLVED, resolution=by, facts={"reason": "x", **facts})


def attempt(end: AttemptEnd, number: int = 1) -> Attempt:
    return Attempt(Section.STEPS, 1, number, end, "exit code 1, expected 0")


def event(kind: EventKind, text: str = "", **data: object) -> TimelineEvent:
    return TimelineEvent(1, "inc-1", AT, kind, text, data, "agent", kind.value)


def wanted(
    item: Escalated | None,
    *,
    attempts: Sequence[Attempt] = (),
    timeline: Sequence[TimelineEvent] = (),
    **more: object,
) -> list[str]:
    case = Case(INCIDENT, timeline, attempts, PLAN, item)
    return [each.text for each in actions(Facts(replace(case, **more)))]  # type: ignore[arg-type]


@pytest.mark.parametrize("trigger", list(EscalationTrigger))
def test_whatever_calls_a_human_asks_for_something_and_says_why(trigger: EscalationTrigger) -> None:
    (item,) = actions(Facts(Case(INCIDENT, (), (), PLAN, escalated(trigger))))
    assert item.text
    assert item.why == f"because of {trigger}"


@pytest.mark.parametrize(
    ("trigger", "attempts", "words"),
    [
        ("no_match", (), "Write a runbook for “HighBlockRate” on kt-gateway"),
        ("refused", (), "Change what a guard refused in gateway-down"),
        ("step_failed", (AttemptEnd.FAILED,), "Mend Step 1 “Restart it” of gateway-down"),
        ("outcome_unknown", (AttemptEnd.OUTCOME_UNKNOWN,), "Look whether Step 1 “Restart it” took effect"),
        ("flapping", (), "Find out what makes “HighBlockRate” come back"),
        ("recurrence", (), "Find out what makes “HighBlockRate” come back"),
        ("not_verified", (), "Add to gateway-down what really ends it"),
        ("approval_expired", (), "Settle who answers in time whether gateway-down may run"),
    ],
)
def test_each_trigger_asks_for_its_own(trigger: str, attempts: Sequence[AttemptEnd], words: str) -> None:
    (item,) = wanted(escalated(trigger), attempts=[attempt(each) for each in attempts])
    assert item.startswith(words)


def test_two_runbooks_that_fit_are_named() -> None:
    asked = event(EventKind.AMBIGUOUS, choices=[["gateway-down", 0.6], ["gateway-slow", 0.5]])
    (item,) = wanted(escalated("ambiguous"), timeline=[asked])
    assert item == "Make the trigger conditions of gateway-down and gateway-slow exclude each other"


@pytest.mark.parametrize(
    ("action", "facts", "words"),
    [
        (Action.FALSE_ALARM, {}, "Tune the alert “HighBlockRate” at pagerduty"),
        (Action.NEEDS_RUNBOOK, {}, "Write a runbook for “HighBlockRate”"),
        (
            Action.FIXED_BY_HAND,
            {"what_was_done": "kubectl rollout undo"},
            "Review the draft runbook",
        ),
    ],
)
def test_how_a_human_settled_it_asks_for_its_own(
    action: Action, facts: dict[str, object], words: str
) -> None:
    found = wanted(settled(action, **facts))
    assert any(each.startswith(words) for each in found)
    assert (action is Action.FALSE_ALARM) != any(each.startswith("Write a runbook") for each in found)


@pytest.mark.parametrize(("minutes", "is_missed"), [(15, False), (16, True)])
def test_an_sla_is_missed_after_its_end(minutes: int, is_missed: bool) -> None:
    found = wanted(settled(Action.NEEDS_RUNBOOK, after=timedelta(minutes=minutes)))
    assert any("takes escalations of rule ai in time" in each for each in found) is is_missed


def test_what_worked_at_the_second_try_only_is_looked_at() -> None:
    resolved = replace(INCIDENT, status=Status.RESOLVED)
    tried = [attempt(AttemptEnd.FAILED), attempt(AttemptEnd.SUCCEEDED, 2)]
    found = wanted(None, attempts=tried, incident=resolved)
    assert found == ["Look why Step 1 “Restart it” of gateway-down does not work at once"]
    unverified = wanted(None, incident=resolved, plan=replace(PLAN, verify=()))
    assert unverified == ["Give gateway-down a Verify section"]


def governed(*shares: int, wrong: int = 0) -> GovernanceData:
    minutes = tuple(
        Minute(AT + timedelta(minutes=place), {"allowed": 100 - share, "blocked": share})
        for place, share in enumerate(shares)
    )
    total, blocked = 100 * len(shares), sum(shares)
    policies = (Ranked("broad", blocked),) if blocked else ()
    return GovernanceData(AT, AT, total, blocked, wrong, 1, 1, minutes, policies)


def test_a_block_rate_is_high_from_thirty_percent_on() -> None:
    assert wanted(None, events=governed(2, 29)) == []
    assert wanted(None, events=governed(2, 30)) == ["Add policy behaviour tests for broad"]
    assert len(wanted(None, events=governed(2, 30, wrong=5))) == 2


def test_the_timeline_says_when_the_block_rate_rose_and_fell() -> None:
    made = postmortem(
        Case(INCIDENT, [event(EventKind.RECEIVED, "🚨 Incident received")], events=governed(2, 45, 40, 3))
    )
    told = [(f"{each.at:%H:%M}", each.text) for each in made.timeline]
    assert ("14:13", "Block rate rose from 2% to 45%") in told
    assert ("14:15", "Block rate fell to 3%") in told


def test_a_long_window_is_drawn_in_wider_steps_and_loses_no_request() -> None:
    minutes = [Minute(AT + timedelta(minutes=place), {"blocked": 1}) for place in range(0, 600, 7)]
    drawn = joined(minutes)
    assert len(drawn) <= 90
    assert sum(each.total for each in drawn) == len(minutes)
    assert joined(()) == ()


def test_the_same_alert_often_is_said_with_its_ids() -> None:
    case = Case(replace(INCIDENT, alert_count=6), (), folded=("P2", "P3"))
    made = postmortem(case)
    assert ("The same alert", "6 times, also as P2, P3") in made.impact
    assert "Have pagerduty tell of “HighBlockRate” once" in [each.text for each in made.actions]


def test_an_incident_of_which_nothing_is_known_has_one_too() -> None:
    bare = Incident("inc-2", Alert("x", "1", ""), Status.RECEIVED, AT)
    made = postmortem(Case(bare, ()))
    told = as_markdown(made)
    assert told.count("to be filled in") >= 4
    assert "not over yet" in told
    assert "to be filled in" in as_body(made)


def test_of_a_long_story_the_beginning_and_the_end_are_told() -> None:
    story = [
        replace(event(EventKind.NOTE, f"note {number}"), at=AT + timedelta(seconds=number))
        for number in range(500)
    ]
    told = [each.text for each in postmortem(Case(INCIDENT, story)).timeline]
    assert (told[0], told[-1]) == ("note 0", "note 499")
    assert "… 420 entries left out; the evidence export has them …" in told


def test_an_address_with_more_in_it_than_an_address_is_no_link() -> None:
    alert = replace(ALERT, url="https://x.example.com/\n### Approved by everybody", links=("javascript:x",))
    told = as_markdown(postmortem(Case(replace(INCIDENT, alert=alert), ())))
    assert "\n###%20Approved" not in told
    assert "javascript" not in told


@pytest.mark.parametrize(("word", "outcome"), [("block", "blocked"), (" Deny ", "blocked"), ("odd", "odd")])
def test_a_decision_has_one_spelling(word: str, outcome: str) -> None:
    assert outcome_of(word) == outcome
