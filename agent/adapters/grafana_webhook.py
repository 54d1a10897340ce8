"""Grafana's alerting webhook: like Alertmanager's, but version 1, with values, and signed if asked to.

Documentation "Configure webhook notifications" (Grafana, contact points): with an HMAC secret the hex
SHA-256 of the body stands in `X-Grafana-Alerting-Signature`; where a timestamp header is set up too, what is
signed is the time in seconds, a colon and the body. The library that sends it (grafana/alerting,
`http/hmac.go`) falls back to `X-Grafana-Alert-Signature`: both names are looked for unless one is configured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from urllib.parse import urljoin

from agent.adapters.json_view import child, clean, flattened, items_at, scalar, text_at
from agent.adapters.source_proof import Proof
from agent.adapters.source_signature import Signature
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
from agent.config.sources import Grafana
from agent.domain.alert import Alert
from agent.domain.source_event import ActorKind, EventType, SourceEvent
from agent.ports.sources import Malformed, NotGenuine, Read

_HEADERS = ("x-grafana-alerting-signature", "x-grafana-alert-signature")
#: A signed time this far from ours is a replay; Grafana signs anew at each attempt.
_SIGNED_WITHIN_S = 300
_EVENTS = {"firing": EventType.TRIGGERED, "resolved": EventType.RESOLVED}


class GrafanaSource:
    """Implements ports.AlertSource; every proof that the configuration asks for is needed."""

    name = "grafana"
    asks_others = False

    def __init__(self, section: Grafana, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._section = section
        self._proof = Proof(section, key="sources.grafana")
        self._now = now
        self._signature = Signature(section.hmac_secrets)

    def genuine(self, raw: bytes, headers: Mapping[str, str]) -> NotGenuine | None:
        """None if it is signed with our secret, and holds our token or password, as far as these are set."""
        signed = bool(self._section.hmac_secrets)
        if signed and (unsigned := self._unsigned(raw, headers)) is not None:
            return unsigned
        if signed and not self._section.has_authorization:
            return None
        return self._proof.missing(headers)

    def read(self, raw: bytes, headers: Mapping[str, str]) -> Read | Malformed:  # noqa: ARG002 - the port's
        """An event for each alert of the group."""
        return read(raw, service_label=self._section.service_label)

    def _unsigned(self, raw: bytes, headers: Mapping[str, str]) -> NotGenuine | None:
        wanted = self._section.hmac_header.lower()
        names = (wanted,) if wanted else _HEADERS
        given = next((headers[name] for name in names if headers.get(name)), "")
        if not given:
            return NotGenuine(f"the signature header {names[0]} is missing")
        signed = raw
        if stamp := self._section.hmac_timestamp_header.lower():
            at = headers.get(stamp, "")
            if not self._is_recent(at):
                return NotGenuine(f"{stamp} is missing, or {_SIGNED_WITHIN_S} s from the agent's clock")
            signed = at.encode() + b":" + raw
        return None if self._signature.holds(signed, given) else NotGenuine(f"{names[0]} matches no secret")

    def _is_recent(self, at: str) -> bool:
        if not (at.isascii() and at.isdigit() and len(at) <= 12):
            return False
        return abs(self._now().timestamp() - int(at)) <= _SIGNED_WITHIN_S


def read(raw: bytes, *, service_label: str = "service") -> Read | Malformed:
    """What a notification says of each alert in it; nothing for the one that tries a contact point."""
    body = object_in(raw)
    if isinstance(body, Malformed):
        return body
    alerts = items_at(body, "alerts")
    if not alerts:
        return Malformed(
            'there are no "alerts"; a contact point with a custom payload goes to sources.generic'
        )
    if len(alerts) > ALERTS_MAX:
        return Malformed(f"{len(alerts)} alerts in one body; set “Max Alerts” to at most {ALERTS_MAX}")
    if all(_is_test(each) for each in alerts):
        return Read((), why_none="a test notification")
    events = []
    for place, alert in enumerate(alerts):
        event = _event(body, alert, service_label)
        if isinstance(event, Malformed):
            return Malformed(f"alerts[{place}]: {event.reason}")
        events.append(event)
    return Read(tuple(events), kept=each_of_many(body, "alerts", alerts))


def _is_test(alert: object) -> bool:
    """Grafana's own “Test” button sends exactly these two labels."""
    labels = child(alert, "labels")
    return text_at(labels, "alertname") == "TestAlert" and text_at(labels, "instance") == "Grafana"


def _event(body: object, alert: object, service_label: str) -> SourceEvent | Malformed:
    kind = _EVENTS.get(text_at(alert, "status"))
    if kind is None:
        return Malformed(f"status {text_at(alert, 'status')[:50]!r} is neither firing nor resolved")
    started = time_of(text_at(alert, "startsAt"))
    if started is None:
        return Malformed("startsAt is no time")
    labels = dict(flattened(child(alert, "labels")))
    named = [f"{name}={labels[name]}" for name in sorted(labels)]
    key = text_at(alert, "fingerprint")[:100] or fingerprint(*named)
    org = scalar(child(alert, "orgId")) or scalar(child(body, "orgId"))
    source_id = f"{org or '1'}/{key}/{started.isoformat()}"
    ended = text_at(alert, "endsAt") if kind is EventType.RESOLVED else ""
    return SourceEvent(
        source=GrafanaSource.name,
        delivery_id=f"grafana:{fingerprint(source_id, kind.value, ended)}",
        type=kind,
        name=f"alert.{kind.value}",
        source_id=source_id,
        actor_kind=ActorKind.MACHINE,
        alert=_alert(body, alert, labels, source_id, f"{org or '1'}/{key}", service_label),
        occurred_at=time_of(ended) or started,
        # after a restart of Grafana the same firing may have begun at another time
        known_by_key=kind is EventType.RESOLVED,
    )


def _alert(
    body: object, alert: object, labels: Mapping[str, str], source_id: str, key: str, service_label: str
) -> Alert:
    name, summary = labels.get("alertname", ""), text_at(alert, "annotations", "summary")
    title = ": ".join(part for part in (name, summary) if part) or text_at(body, "title")
    values = ", ".join(f"{each} = {text}" for each, text in _values(alert).items())
    notes = [text for note, text in flattened(child(alert, "annotations")) if not note.startswith("runbook")]
    base = text_at(body, "externalURL")
    links = [_absolute(base, text_at(alert, *path)) for path in _LINKS]
    return Alert(
        source=GrafanaSource.name,
        source_id=source_id,
        title=clean(title)[:TITLE_MAX] or "An alert without a name",
        body="\n".join(filter(None, (*notes, f"Values: {values}" if values else "")))[:TEXT_MAX],
        service=labels.get(service_label, ""),
        severity=severity_of_rule(labels.get("severity", "")),
        team=labels.get("team", ""),
        environment=labels.get("environment") or labels.get("env", ""),
        labels=labels_of({**labels, **{f"values.{each}": text for each, text in _values(alert).items()}}),
        url=_absolute(base, text_at(alert, "generatorURL")),
        dedup_key=key,
        fired_at=time_of(text_at(alert, "startsAt")),
        links=tuple(link for link in links if link),
    )


_LINKS = (("annotations", "runbook_url"), ("dashboardURL",), ("panelURL",))


def _values(alert: object) -> Mapping[str, str]:
    return dict(flattened(child(alert, "values")))


def _absolute(base: str, address: str) -> str:
    """Grafana gives addresses relative to itself where it does not know where it is."""
    if not address:
        return ""
    try:
        return web_url(urljoin(base, address))
    except ValueError:
        return ""
