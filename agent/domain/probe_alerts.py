"""The alert that a `## Watch` item raises: it goes the way of every other alert."""

from __future__ import annotations

from datetime import UTC, datetime

from agent.domain.alert import Alert
from agent.domain.probing import (
    BLIND_LABEL,
    PROBE_SOURCE,
    Deed,
    DeedKind,
    Probe,
    ProbeState,
    Reading,
    number,
    span,
)
from agent.domain.runbook import Runbook
from agent.domain.source_event import ActorKind, EventType, SourceEvent

#: Of the values seen before, so many are shown.
_SHOWN = 10

_TITLE_MAX = 1_000

#: What a watch is waited for: no less, and no more. A human who is called late is called too late.
_LEAST_CLEAR_S, _MOST_CLEAR_S = 600.0, 7_200.0

_CLEARS_WITHIN = "clears_within_s"

_SOMETIME = datetime(2000, 1, 1, tzinfo=UTC)


def dedup_key(runbook_id: str, key: str) -> str:
    """What all alerts of one item have in common."""
    return f"{PROBE_SOURCE}/{runbook_id}/{key}"


def alert_of(runbook: Runbook, probe: Probe, deed: Deed, readings: tuple[Reading, ...] = ()) -> Alert:
    """What the runbook's own Trigger Conditions are asked about, and everybody else's.

    What became worse after its incident had ended is not the same alert: nothing shall hide it.
    """
    key = dedup_key(runbook.id, probe.key)
    labels = {
        "runbook": runbook.id,
        "watch": probe.key,
        "value": "" if deed.value is None else number(deed.value),
        "threshold": deed.threshold,
        "trend": deed.trend,
        _CLEARS_WITHIN: f"{_clears_within_s(probe):.0f}",
    }
    return Alert(
        source=PROBE_SOURCE,
        source_id=deed.source_id,
        title=f"{runbook.title}: {probe.name} {deed.why}"[:_TITLE_MAX],
        body=_body(runbook, probe, deed, readings),
        service=probe.service,
        severity=deed.severity,
        labels={name: value for name, value in labels.items() if value},
        dedup_key=f"{key}/{deed.severity}" if deed.kind is DeedKind.WORSE else key,
        fired_at=deed.at,
    )


def blind_alert(state: ProbeState, deed: Deed, *, title: str, name: str, service: str = "") -> Alert:
    """That nobody sees what should be watched: for a human, and for no runbook.

    Where it is because somebody gives no answer, all that ask them are one alert, not as many as there are.
    """
    away = state.unseen_service
    key = f"{PROBE_SOURCE}/{away}" if away else dedup_key(state.runbook_id, state.key)
    return Alert(
        source=PROBE_SOURCE,
        source_id=deed.source_id,
        title=f"{title}: the watch {name} cannot see"[:_TITLE_MAX],
        body=f"{deed.why}\nUntil it sees again nothing is raised, and nothing is said to be over.",
        service=away or service,
        severity=deed.severity,
        labels={"runbook": state.runbook_id, "watch": state.key, BLIND_LABEL: "true"},
        dedup_key=f"{key}/blind",
        fired_at=deed.at,
    )


def clears_within_s(alert: Alert) -> float:
    """How long it is waited for the watch to say that it is over, once a runbook did all it had to."""
    try:
        return float(alert.labels.get(_CLEARS_WITHIN, ""))
    except ValueError:
        return _LEAST_CLEAR_S


def _clears_within_s(probe: Probe) -> float:
    """So many looks must see it; a line turns only with what is in its window."""
    looks_s = (probe.looks + 2) * probe.every_s
    return min(max(looks_s + (probe.trend_s or 0.0), _LEAST_CLEAR_S), _MOST_CLEAR_S)


def is_blind(alert: Alert) -> bool:
    """Whether it only says that a watch cannot see."""
    return alert.source == PROBE_SOURCE and BLIND_LABEL in alert.labels


def _body(runbook: Runbook, probe: Probe, deed: Deed, readings: tuple[Reading, ...]) -> str:
    lines = [f"{probe.name} {deed.why}"]
    if deed.trend:
        lines.append(f"Trend: {deed.trend}")
    lines += [
        f"Watched every {span(probe.every_s)}: {probe.what}",
        f"Thresholds: {'; '.join(map(str, probe.thresholds))}",
        f"Runbook: {runbook.id} ({runbook.path}:{probe.line})",
    ]
    if readings:
        seen = ", ".join(f"{each.at:%H:%M:%S} {number(each.value)}" for each in readings[-_SHOWN:])
        lines.append(f"Seen: {seen}")
    return "\n".join(lines)


def raised_event(alert: Alert, deed: Deed) -> SourceEvent:
    """The alert comes in; asked for twice, it is the same delivery."""
    name = "watch.blind" if deed.kind is DeedKind.BLIND else "watch.raised"
    return SourceEvent(
        source=PROBE_SOURCE,
        delivery_id=f"watch:{deed.source_id}",
        type=EventType.TRIGGERED,
        name=name,
        source_id=deed.source_id,
        actor_kind=ActorKind.MACHINE,
        alert=alert,
        occurred_at=deed.at,
    )


def cleared_event(deed: Deed) -> SourceEvent:
    """The source says that it is over."""
    return SourceEvent(
        source=PROBE_SOURCE,
        delivery_id=f"watch:{deed.source_id}:over",
        type=EventType.RESOLVED,
        name="watch.cleared",
        source_id=deed.source_id,
        actor_kind=ActorKind.MACHINE,
        actor_name="the watch",
        occurred_at=deed.at,
    )


def example_deeds(probe: Probe) -> tuple[Deed, ...]:
    """One for each severity that the item can raise: what lint asks the Trigger Conditions about."""
    shown = {each.severity: each for each in reversed(probe.thresholds)}
    return tuple(
        Deed(
            DeedKind.RAISE,
            "example",
            _SOMETIME,
            f"is {number(each.bound.limit)} ({each})",
            severity,
            each.bound.limit,
            str(each),
        )
        for severity, each in shown.items()
    )
