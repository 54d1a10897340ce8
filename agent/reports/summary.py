"""The summary at the end of every incident, and the evidence that a paged human sees."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from agent.domain.decisions import Attempt, AttemptEnd
from agent.domain.incident import EventKind, Incident, TimelineEvent

_LEFT_OUT = frozenset({EventKind.SYSTEM, EventKind.DELIVERY, EventKind.SUMMARY, EventKind.LEARNED})

#: How many timeline lines a summary shows before it leaves out the middle.
_MAX_LINES = 60


def duration(seconds: float) -> str:
    """`2m 34s`, as people say it; below ten seconds with a decimal."""
    if 0 <= seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    if hours:
        return f"{hours}h {minutes}m"
    return f"{minutes}m {left}s" if minutes else f"{left}s"


def summary(incident: Incident, timeline: Sequence[TimelineEvent], *, result: str, now: datetime) -> str:
    """What happened, in the order in which it happened."""
    took = duration((now - incident.received_at).total_seconds())
    return "\n".join(
        [
            f"📋 Incident Summary: {titled(incident)}",
            f"Duration: {took}",
            f"Runbook: {incident.runbook_id or 'none'}",
            f"Steps executed: {incident.steps_done}/{incident.steps_total}",
            f"Result: {result}",
            "Timeline:",
            *timeline_lines(timeline),
        ]
    )


def titled(incident: Incident) -> str:
    """Its title, and how often the same alert came while it was worked on."""
    count = incident.alert_count
    return incident.alert.title if count == 1 else f"{incident.alert.title} (×{count})"


def timeline_lines(timeline: Sequence[TimelineEvent]) -> list[str]:
    """One line an event, `[04:17:23] 🚨 Incident received`."""
    lines = [
        f"[{event.at:%H:%M:%S}] {event.text.splitlines()[0]}"
        for event in timeline
        if event.kind not in _LEFT_OUT and event.text
    ]
    if len(lines) <= _MAX_LINES:
        return lines
    half = _MAX_LINES // 2
    return [*lines[:half], f"… {len(lines) - 2 * half} lines left out …", *lines[-half:]]


def evidence(
    incident: Incident, timeline: Sequence[TimelineEvent], attempts: Sequence[Attempt], *, reason: str
) -> dict[str, object]:
    """Custom details of a page: the original alert, what was tried, the output, and why it stopped."""
    alert = incident.alert
    return {
        "original_alert": alert.title,
        "reason_for_escalation": reason,
        "incident": incident.id,
        "source": alert.source,
        "source_id": alert.source_id,
        "source_url": alert.url,
        "service": alert.service,
        "severity": alert.severity.value if alert.severity else "",
        "urgency": alert.urgency.value if alert.urgency else "",
        "runbook": incident.runbook_id or "none",
        "what_was_tried": [attempt_line(attempt) for attempt in attempts],
        "last_output": _last_output(attempts),
        "agent_actions": timeline_lines(timeline),
    }


def attempt_line(attempt: Attempt) -> str:
    """One attempt in one line."""
    code = "" if attempt.exit_code is None else f", exit code {attempt.exit_code}"
    why = f": {attempt.reason}" if attempt.reason and attempt.end is not AttemptEnd.SUCCEEDED else ""
    place = "step" if attempt.section == "steps" else f"{attempt.section} step"
    return f"{place} {attempt.step}, attempt {attempt.number}: {attempt.end.value}{code}{why}"


def _last_output(attempts: Sequence[Attempt]) -> str:
    for attempt in reversed(attempts):
        text = "\n".join(part for part in (attempt.output.strip(), attempt.error_output.strip()) if part)
        if text:
            return text[-4_000:]
    return ""
