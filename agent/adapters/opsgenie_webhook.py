"""Opsgenie's outgoing webhook: a thin reader, for its API ends in April 2027.

Nothing is written back: what is acknowledged or closed there was never us. It signs nothing, so it proves
itself with an `Authorization` header of its own (custom headers) or with basic auth in its URL.
"""

from __future__ import annotations

from collections.abc import Mapping

from agent.adapters.json_view import child, flattened, items_at, scalar, text_at
from agent.adapters.source_proof import Proof
from agent.adapters.webhook_body import TEXT_MAX, TITLE_MAX, fingerprint, labels_of, object_in, time_of
from agent.config.sources import Opsgenie
from agent.domain.alert import Alert, Severity
from agent.domain.source_event import ActorKind, EventType, SourceEvent
from agent.ports.sources import Malformed, NotGenuine, Read

_EVENTS: Mapping[str, EventType] = {
    "create": EventType.TRIGGERED,
    "acknowledge": EventType.ACKNOWLEDGED,
    "assignownership": EventType.REASSIGNED,
    "takeownership": EventType.REASSIGNED,
    "close": EventType.RESOLVED,
    "delete": EventType.RESOLVED,
}
#: Priorities as severities; P4 and P5 are both no more than information.
_SEVERITIES = {"P1": Severity.CRITICAL, "P2": Severity.ERROR, "P3": Severity.WARNING}
_PRIORITIES = frozenset({"P1", "P2", "P3", "P4", "P5"})
#: Where people work; anything else that acts is an integration.
_BY_HAND = frozenset({"web", "mobile", "android", "ios", "slack", "msteams"})


class OpsgenieSource:
    """Implements ports.AlertSource."""

    name = "opsgenie"
    asks_others = False

    def __init__(self, section: Opsgenie) -> None:
        self._proof = Proof(section, key="sources.opsgenie")

    def genuine(self, raw: bytes, headers: Mapping[str, str]) -> NotGenuine | None:  # noqa: ARG002 - the port's
        """None if it holds our bearer token or our name and password."""
        return self._proof.missing(headers)

    def read(self, raw: bytes, headers: Mapping[str, str]) -> Read | Malformed:  # noqa: ARG002 - the port's
        """Its one event."""
        return read(raw)


def read(raw: bytes) -> Read | Malformed:
    """The event in a webhook's body; none for what needs nothing from the agent (a note, a tag)."""
    body = object_in(raw)
    if isinstance(body, Malformed):
        return body
    action, alert_id = text_at(body, "action"), text_at(body, "alert", "alertId")
    if not action:
        return Malformed('there is no "action"; an Opsgenie webhook is {"action", "alert": {...}}')
    kind = _EVENTS.get(action.replace(" ", "").casefold())
    if kind is None:
        return Read((), why_none="no work for the agent")
    if not alert_id:
        return Malformed(f'{action[:50]} without an "alertId" in "alert"')
    return Read((_event(body, kind, action, alert_id),))


def _event(body: Mapping[str, object], kind: EventType, action: str, alert_id: str) -> SourceEvent:
    changed = scalar(child(body, "alert", "updatedAt"))
    return SourceEvent(
        source=OpsgenieSource.name,
        delivery_id=f"opsgenie:{fingerprint(alert_id, action, changed, text_at(body, 'alert', 'username'))}",
        type=kind,
        name=action[:100],
        source_id=alert_id[:200],
        actor_kind=_actor_kind(body),
        actor_id=text_at(body, "alert", "userId")[:200],
        actor_name=text_at(body, "alert", "username")[:200],
        alert=_alert(child(body, "alert"), alert_id),
        occurred_at=time_of(child(body, "alert", "updatedAt")),
    )


def _alert(alert: object, alert_id: str) -> Alert:
    details = dict(flattened(child(alert, "details")))
    priority = _priority(child(alert, "priority"))
    tags = ", ".join(filter(None, map(scalar, items_at(alert, "tags"))))
    entity = text_at(alert, "entity")
    known = {"entity": entity, "tags": tags, "source": text_at(alert, "source")}
    alias = text_at(alert, "alias")
    return Alert(
        source=OpsgenieSource.name,
        source_id=alert_id[:200],
        title=text_at(alert, "message")[:TITLE_MAX] or "An alert without a message",
        body=text_at(alert, "description")[:TEXT_MAX],
        service=details.get("service") or entity,
        severity=_SEVERITIES.get(priority, Severity.INFO) if priority else None,
        priority=priority,
        team=details.get("team", ""),
        environment=details.get("environment") or details.get("env", ""),
        labels=labels_of({**details, **{name: text for name, text in known.items() if name not in details}}),
        dedup_key=alias or alert_id,
        fired_at=time_of(child(alert, "createdAt")),
    )


def _priority(value: object) -> str:
    """`P3` whether it is given as a word or as a number."""
    word = scalar(value).upper()
    word = word if word.startswith("P") else f"P{word}"
    return word if word in _PRIORITIES else ""


def _actor_kind(body: object) -> ActorKind:
    if text_at(body, "source", "type").casefold() in _BY_HAND or "@" in text_at(body, "alert", "username"):
        return ActorKind.HUMAN
    return ActorKind.MACHINE
