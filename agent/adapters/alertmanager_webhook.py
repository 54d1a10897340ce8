"""Alertmanager's webhook, version 4: a group of alerts, each with its own status.

Documentation "Configuration", `webhook_config`: nothing is signed, so basic auth or a bearer token prove
where it is from. An alert comes again at each change of its group and each `repeat_interval`; what tells two
firings of it apart is when each began.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from agent.adapters.json_view import child, clean, flattened, items_at, scalar, text_at
from agent.adapters.source_proof import Proof
from agent.adapters.webhook_body import (
    ALERTS_MAX,
    TEXT_MAX,
    TITLE_MAX,
    each_of_many,
    fingerprint,
    labels_of,
    object_in,
    severity_of_rule,
    time_of,
    web_url,
)
from agent.config.sources import Alertmanager
from agent.domain.alert import Alert, Severity
from agent.domain.source_event import ActorKind, EventType, SourceEvent
from agent.ports.sources import Malformed, NotGenuine, Read

_NAME = "alertmanager"
_EVENTS = {"firing": EventType.TRIGGERED, "resolved": EventType.RESOLVED}

#: Annotations that hold an address for whoever looks into it, and no words.
_LINKS = ("runbook_url", "runbook", "dashboard_url", "dashboard")


class AlertmanagerSource:
    """Implements ports.AlertSource."""

    name = _NAME
    asks_others = False

    def __init__(self, section: Alertmanager) -> None:
        self._section = section
        self._proof = Proof(section, key=f"sources.{_NAME}")

    def genuine(self, raw: bytes, headers: Mapping[str, str]) -> NotGenuine | None:  # noqa: ARG002 (the port's)
        """None if it holds our bearer token or our name and password."""
        return self._proof.missing(headers)

    def read(self, raw: bytes, headers: Mapping[str, str]) -> Read | Malformed:  # noqa: ARG002 (the port's)
        """An event for each alert of the group, or one for the group."""
        return read(raw, self._section)


@dataclass(frozen=True, slots=True)
class _Fired:
    """One alert of a group. `key` is the same each time that it fires; `ended_at` is set once it is over."""

    type: EventType
    key: str
    started_at: datetime
    ended_at: datetime | None
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    url: str

    @property
    def title(self) -> str:
        parts = (self.labels.get("alertname", ""), self.annotations.get("summary", ""))
        return ": ".join(filter(None, parts)) or "An alert without a name"

    @property
    def words(self) -> list[str]:
        return [text for name, text in self.annotations.items() if name not in _LINKS]

    @property
    def links(self) -> list[str]:
        return [link for name in _LINKS if (link := web_url(self.annotations.get(name, "")))]


@dataclass(frozen=True, slots=True)
class _Group:
    """What one webhook says; `left_out` alerts of the group are not in it (`max_alerts`)."""

    key: str
    type: EventType
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    url: str
    left_out: int
    alerts: tuple[_Fired, ...]

    @property
    def truncated(self) -> str:
        if not self.left_out:
            return ""
        return f"Alertmanager left {self.left_out} more alerts of this group out (max_alerts)"


def read(raw: bytes, section: Alertmanager) -> Read | Malformed:
    """What a notification says, or why it is none of Alertmanager's; a storm of alerts is one for all."""
    body = object_in(raw)
    if isinstance(body, Malformed):
        return body
    group = _group(body)
    if isinstance(group, Malformed):
        return group
    if section.one_incident_per == "group" or len(group.alerts) > ALERTS_MAX:
        return Read((_group_event(group, section),))
    events = tuple(_alert_event(fired, group, section) for fired in group.alerts)
    return Read(events, kept=each_of_many(body, "alerts", items_at(body, "alerts")))


def _group(body: Mapping[str, object]) -> _Group | Malformed:
    version = scalar(child(body, "version"))
    if version == "1" or "orgId" in body:
        return Malformed(
            "this is Grafana's webhook (version 1): let it post to /webhook/grafana (sources.grafana)"
        )
    if version != "4":
        return Malformed(f"version {version[:20]!r} is not 4, the only one that Alertmanager's webhook has")
    kind = _EVENTS.get(text_at(body, "status"))
    if kind is None:
        return Malformed(f"status {text_at(body, 'status')[:50]!r} is neither firing nor resolved")
    alerts = items_at(body, "alerts")
    if not alerts:
        return Malformed('there are no "alerts"')
    read_ones: list[_Fired] = []
    for place, alert in enumerate(alerts):
        fired = _fired(alert)
        if isinstance(fired, Malformed):
            return Malformed(f"alerts[{place}] {fired.reason}")
        read_ones.append(fired)
    left_out = child(body, "truncatedAlerts")
    return _Group(
        key=text_at(body, "groupKey"),
        type=kind,
        labels=_texts(child(body, "commonLabels")) | _texts(child(body, "groupLabels")),
        annotations=_texts(child(body, "commonAnnotations")),
        url=web_url(text_at(body, "externalURL")),
        left_out=left_out if isinstance(left_out, int) else 0,
        alerts=tuple(read_ones),
    )


def _fired(alert: object) -> _Fired | Malformed:
    if not isinstance(alert, Mapping):
        return Malformed("is not an object")
    kind = _EVENTS.get(text_at(alert, "status"))
    if kind is None:
        return Malformed(f"has the status {text_at(alert, 'status')[:50]!r}, neither firing nor resolved")
    started_at = time_of(text_at(alert, "startsAt"))
    if started_at is None:
        return Malformed("has no startsAt that is a time")
    labels = _texts(child(alert, "labels"))
    named = fingerprint(*(f"{name}={labels[name]}" for name in sorted(labels)))
    return _Fired(
        type=kind,
        key=text_at(alert, "fingerprint")[:64] or named,
        started_at=started_at,
        # of one that fires it is year 1, or when it would be over if nobody said it again
        ended_at=time_of(text_at(alert, "endsAt")) if kind is EventType.RESOLVED else None,
        labels=labels,
        annotations=_texts(child(alert, "annotations")),
        url=web_url(text_at(alert, "generatorURL")),
    )


def _alert_event(fired: _Fired, group: _Group, section: Alertmanager) -> SourceEvent:
    source_id = f"{fired.key}/{fired.started_at.isoformat()}"
    ended = fired.ended_at.isoformat() if fired.ended_at else ""
    words = [*fired.words, *filter(None, [group.truncated])]
    alert = _alert(fired, section, source_id=source_id, title=fired.title, words=words, links=fired.links)
    return SourceEvent(
        source=_NAME,
        delivery_id=f"{_NAME}:{fingerprint(source_id, fired.type.value, ended)}",
        type=fired.type,
        name=f"alert.{fired.type.value}",
        source_id=source_id,
        actor_kind=ActorKind.MACHINE,
        alert=replace(
            alert, severity=_severity(fired.labels), dedup_key=fired.key, fired_at=fired.started_at
        ),
        occurred_at=fired.ended_at or fired.started_at,
        # of two Prometheus servers, or after a restart, the same firing may have begun at another time
        known_by_key=fired.type is EventType.RESOLVED,
    )


def _group_event(group: _Group, section: Alertmanager) -> SourceEvent:
    """One for all: known by the group's key, and by when the oldest of its alerts began."""
    key = fingerprint(group.key or json.dumps(dict(group.labels), sort_keys=True))
    firing = [each for each in group.alerts if each.type is EventType.TRIGGERED] or list(group.alerts)
    started_at = min(each.started_at for each in group.alerts)
    source_id = f"group-{key}/{started_at.isoformat()}"
    states = sorted(f"{each.key} {each.type} {each.started_at} {each.ended_at}" for each in group.alerts)
    ends = [each.ended_at for each in group.alerts if each.ended_at]
    name = group.labels.get("alertname", "")
    title = ": ".join(filter(None, (name, group.annotations.get("summary", "")))) or firing[0].title
    count = len(firing) + group.left_out
    words = [f"{each.title}: {' '.join(each.words)}" for each in firing]
    alert = _alert(
        group,
        section,
        source_id=source_id,
        title=f"{title} ({count} alerts)" if count > 1 else title,
        words=[*filter(None, [group.truncated]), *words],
        links=[link for each in firing for link in each.links],
    )
    return SourceEvent(
        source=_NAME,
        delivery_id=f"{_NAME}:{fingerprint(source_id, group.type.value, *states)}",
        type=group.type,
        name=f"group.{group.type.value}",
        source_id=source_id,
        actor_kind=ActorKind.MACHINE,
        alert=replace(alert, severity=_worst(firing), dedup_key=f"group-{key}", fired_at=started_at),
        occurred_at=max(ends) if ends and group.type is EventType.RESOLVED else started_at,
        known_by_key=True,  # the oldest of its alerts may be over, and the group goes on
    )


def _alert(
    told: _Fired | _Group,
    section: Alertmanager,
    *,
    source_id: str,
    title: str,
    words: Sequence[str],
    links: Sequence[str],
) -> Alert:
    """What one alert and a group of them say in the same places."""
    labels = told.labels
    return Alert(
        source=_NAME,
        source_id=source_id,
        title=clean(title)[:TITLE_MAX],
        body="\n".join(words)[:TEXT_MAX],
        service=labels.get(section.service_label, ""),
        team=labels.get("team", ""),
        environment=labels.get("environment") or labels.get("env", ""),
        labels=labels_of(labels),
        url=told.url,
        links=tuple(dict.fromkeys(links)),
    )


def _severity(labels: Mapping[str, str]) -> Severity | None:
    return severity_of_rule(labels.get("severity", ""))


def _worst(alerts: list[_Fired]) -> Severity | None:
    said = {_severity(each.labels) for each in alerts}
    return next((each for each in Severity if each in said), None)  # the worst stands first


def _texts(value: object) -> dict[str, str]:
    return dict(flattened(value))
