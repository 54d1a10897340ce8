from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.domain.alert import Alert, Severity, Urgency
from agent.domain.decisions import Attempt, AttemptEnd, Section
from agent.domain.incident import EventKind, Incident, Status, TimelineEvent
from agent.reports.card import card
from agent.reports.summary import attempt_line, duration, evidence, summary, timeline_lines

NOW = datetime(2026, 1, 5, 4, 17, 23, tzinfo=UTC)
ALERT = Alert(
    "pagerduty", "P1", "Redis is slow", service="api", severity=Severity.ERROR, urgency=Urgency.HIGH,
    url="https://acme.pagerduty.com/incidents/P1",
)  # fmt: skip
INCIDENT = Incident("inc-1", ALERT, Status.RUNNING, NOW, runbook_id="redis", steps_total=3, steps_done=2)


def event(number: int, text: str = "", kind: EventKind = EventKind.NOTE) -> TimelineEvent:
    at = NOW + timedelta(seconds=number)
    return TimelineEvent(number, "inc-1", at, kind, text or f"line {number}", {}, "agent", f"k{number}")


def attempt(end: AttemptEnd = AttemptEnd.FAILED, **more: object) -> Attempt:
    return Attempt(Section.STEPS, 1, 2, end, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-1, "0s"), (0, "0.0s"), (0.4, "0.4s"), (9.94, "9.9s"), (9.96, "10s"), (59.4, "59s"),
        (59.6, "1m 0s"), (154, "2m 34s"),
        (3599, "59m 59s"), (3600, "1h 0m"), (86_400, "24h 0m"),
    ],
)  # fmt: skip
def test_durations_are_told_as_people_say_them(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_the_summary_tells_what_happened_in_its_published_form() -> None:
    told = summary(INCIDENT, [event(1), event(2)], result="Escalated", now=NOW + timedelta(seconds=154))
    assert told.splitlines() == [
        "📋 Incident Summary: Redis is slow",
        "Duration: 2m 34s",
        "Runbook: redis",
        "Steps executed: 2/3",
        "Result: Escalated",
        "Timeline:",
        "[04:17:24] line 1",
        "[04:17:25] line 2",
    ]


def test_without_a_runbook_it_says_none() -> None:
    incident = Incident("inc-1", ALERT, Status.ESCALATED, NOW)
    assert "Runbook: none\nSteps executed: 0/0" in summary(incident, [], result="x", now=NOW)


def test_sixty_lines_are_told_whole_and_more_without_their_middle() -> None:
    sixty = [event(number) for number in range(60)]
    assert len(timeline_lines(sixty)) == 60
    lines = timeline_lines([*sixty, event(60), event(61)])
    assert len(lines) == 61
    assert lines[29:32] == ["[04:17:52] line 29", "… 2 lines left out …", "[04:17:55] line 32"]
    assert lines[-1] == "[04:18:24] line 61"


@given(st.lists(st.tuples(st.sampled_from(EventKind), st.text()), max_size=150))
def test_whatever_happened_every_line_is_one_line(drawn: list[tuple[EventKind, str]]) -> None:
    timeline = [
        TimelineEvent(number, "inc-1", NOW, kind, text, {}, "agent", str(number))
        for number, (kind, text) in enumerate(drawn)
    ]
    lines = timeline_lines(timeline)
    assert len(lines) <= 61
    assert all(len(line.splitlines()) == 1 for line in lines)


def test_only_the_first_line_of_an_entry_is_told_and_the_agents_own_housekeeping_not() -> None:
    timeline = [
        event(1, "✅ Step 1 succeeded\n    OK"),
        event(2, kind=EventKind.LEARNED),
        event(3, kind=EventKind.DELIVERY),
        event(4, kind=EventKind.SYSTEM),
        event(5, kind=EventKind.SUMMARY),
    ]
    assert timeline_lines(timeline) == ["[04:17:24] ✅ Step 1 succeeded"]


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (attempt(AttemptEnd.SUCCEEDED, exit_code=0, reason="as expected"),
         "step 1, attempt 2: succeeded, exit code 0"),
        (attempt(exit_code=3, reason="not OK"), "step 1, attempt 2: failed, exit code 3: not OK"),
        (attempt(AttemptEnd.TIMED_OUT, reason="no end within 5 s"),
         "step 1, attempt 2: timed_out: no end within 5 s"),
        (Attempt(Section.ROLLBACK, 1, 1, AttemptEnd.REFUSED), "rollback step 1, attempt 1: refused"),
    ],
)  # fmt: skip
def test_an_attempt_is_one_line(made: Attempt, told: str) -> None:
    assert attempt_line(made) == told


def test_the_evidence_holds_what_a_woken_human_needs() -> None:
    attempts = [attempt(output="LOADING\n", error_output="a warning\n", reason="not PONG")]
    shown = evidence(INCIDENT, [event(1)], attempts, reason="step 1 failed")
    assert shown == {
        "original_alert": "Redis is slow",
        "reason_for_escalation": "step 1 failed",
        "incident": "inc-1",
        "source": "pagerduty",
        "source_id": "P1",
        "source_url": "https://acme.pagerduty.com/incidents/P1",
        "service": "api",
        "severity": "error",
        "urgency": "high",
        "runbook": "redis",
        "what_was_tried": ["step 1, attempt 2: failed: not PONG"],
        "last_output": "LOADING\na warning",
        "agent_actions": ["[04:17:24] line 1"],
    }


def test_evidence_without_attempts_says_nothing_untrue() -> None:
    bare = Incident("inc-1", Alert("manual", "m", "t"), Status.ESCALATED, NOW)
    shown = evidence(bare, [], [], reason="no match")
    assert (shown["what_was_tried"], shown["last_output"], shown["runbook"]) == ([], "", "none")
    assert (shown["severity"], shown["urgency"]) == ("", "")


def test_the_last_output_is_the_last_that_said_anything_and_its_end() -> None:
    attempts = [attempt(output="first"), attempt(output="x" * 5_000 + "the end"), attempt()]
    shown = str(evidence(INCIDENT, [], attempts, reason="r")["last_output"])
    assert len(shown) == 4_000
    assert shown.endswith("the end")


def test_the_card_shows_where_the_incident_stands_at_one_look() -> None:
    shown = card(INCIDENT, "https://agent.example.com/console")
    assert (shown.title, shown.status, shown.severity, shown.service) == (
        "Redis is slow", "running", "error", "api",
    )  # fmt: skip
    assert (shown.runbook, shown.progress) == ("redis", "2/3 steps")
    assert shown.url == "https://agent.example.com/console/incidents/inc-1"
    assert shown.source_url == ALERT.url


def test_a_card_without_a_plan_or_a_severity_shows_no_empty_words() -> None:
    bare = Incident("inc-1", Alert("m", "m", "t", urgency=Urgency.LOW), Status.RECEIVED, NOW)
    assert (card(bare, "").progress, card(bare, "").severity) == ("", "low")
    assert card(Incident("i", Alert("m", "m", "t"), Status.RECEIVED, NOW), "").severity == ""
