"""Anybody's JSON as a source of alerts, by a mapping that the configuration declares.

The expressions are the operator's; what they find is untrusted, bounded, and never more than text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import jmespath
from jmespath.parser import ParsedResult

from agent.adapters.json_view import flattened, scalar
from agent.adapters.source_proof import Proof
from agent.adapters.source_signature import Signature
from agent.adapters.webhook_body import (
    ALERTS_MAX,
    TEXT_MAX,
    TITLE_MAX,
    fingerprint,
    json_in,
    labels_of,
    severity_of,
    time_of,
    web_url,
)
from agent.config.mapping import MappingSection
from agent.config.sources import Generic
from agent.domain.alert import Alert, Severity
from agent.domain.source_event import ActorKind, EventType, SourceEvent
from agent.ports.sources import Malformed, NotGenuine, Read

_ID_MAX = 300
#: What an expression can raise on values that its author did not expect.
_AT_ODDS = (ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RecursionError)


class GenericSource:
    """Implements ports.AlertSource for one name of `sources.generic`; every proof that is set is needed."""

    asks_others = False

    def __init__(self, name: str, section: Generic) -> None:
        self.name = name
        self._section = section
        self._proof = Proof(section, key=f"sources.generic.{name}")
        self._mapping = Mapped(name, section.mapping)
        hmac = section.hmac
        self._signature = None if hmac is None else Signature(hmac.secrets, prefix=hmac.prefix)

    def genuine(self, raw: bytes, headers: Mapping[str, str]) -> NotGenuine | None:
        """None if it is signed with our secret, and holds our token or password, as far as these are set."""
        if self._section.hmac is None or self._signature is None:
            return self._proof.missing(headers)
        header = self._section.hmac.header
        if not self._signature.holds(raw, headers.get(header.lower(), "")):
            return NotGenuine(f"the signature in {header} is missing or matches no secret")
        return self._proof.missing(headers) if self._section.has_authorization else None

    def read(self, raw: bytes, headers: Mapping[str, str]) -> Read | Malformed:  # noqa: ARG002 - the port's
        """What the mapping finds."""
        return self._mapping.read(raw)


class Mapped:
    """One mapping, compiled."""

    def __init__(self, source: str, section: MappingSection) -> None:
        self._source = source
        self._section = section
        fields = (name for name in type(section).model_fields if name not in _NO_EXPRESSIONS)
        self._expressions: Mapping[str, ParsedResult] = {
            name: jmespath.compile(text) for name in fields if (text := getattr(section, name)) is not None
        }

    def read(self, raw: bytes) -> Read | Malformed:
        """An event for each alert that the mapping finds in the body."""
        body = json_in(raw)
        if isinstance(body, Malformed):
            return body
        found = [body] if self._section.alerts is None else self._found("alerts", body)
        if isinstance(found, Malformed):
            return found
        if not isinstance(found, list):
            return Malformed("mapping.alerts finds no list in this body")
        if len(found) > ALERTS_MAX:
            return Malformed(f"{len(found)} alerts in one body; at most {ALERTS_MAX} are read")
        events: list[SourceEvent] = []
        kept: list[str] = []
        for place, item in enumerate(found):
            event = self._event(item)
            if isinstance(event, Malformed):
                return event if self._section.alerts is None else Malformed(f"alert {place}: {event.reason}")
            if event is not None:
                events.append(event)
                kept.append(json.dumps(item))
        why_none = "" if events else "a status without work"
        return Read(tuple(events), why_none=why_none, kept=() if self._section.alerts is None else kept)

    def _event(self, item: object) -> SourceEvent | Malformed | None:
        values = {name: self._found(name, item) for name in self._expressions if name != "alerts"}
        for value in values.values():
            if isinstance(value, Malformed):
                return value
        kind = self._kind(scalar(values.get("status")))
        if kind is None:
            return None
        title = scalar(values["title"])
        if not title and kind is EventType.TRIGGERED:
            return Malformed(f"mapping.title ({self._section.title}) finds no text")
        ids = self._ids(values)
        if isinstance(ids, Malformed):
            return ids
        source_id, key = ids
        alert = self._alert(values, source_id, key)
        said = fingerprint(
            self._source, source_id, kind.value, scalar(values.get("status")), _time_text(values)
        )
        return SourceEvent(
            source=self._source,
            delivery_id=f"{self._source}:{said}",
            type=kind,
            name=f"alert.{kind.value}",
            source_id=source_id,
            actor_kind=ActorKind.MACHINE if kind is not EventType.ACKNOWLEDGED else ActorKind.UNKNOWN,
            alert=alert,
            occurred_at=time_of(values.get("fired_at")),
            # without an id of its own, what is over is found by what stays the same
            known_by_key=kind is not EventType.TRIGGERED and bool(key),
        )

    def _ids(self, values: Mapping[str, object]) -> tuple[str, str] | Malformed:
        """(another one each time it fires, the same each time)."""
        key = scalar(values.get("dedup_key"))
        if "id" in self._expressions:
            own = scalar(values["id"])
            if not own:
                return Malformed(f"mapping.id ({self._section.id}) finds nothing")
            return _short(own), _short(key)
        if not key:
            return Malformed(f"mapping.dedup_key ({self._section.dedup_key}) finds nothing")
        fired_at = time_of(values.get("fired_at"))
        if fired_at is None:
            return Malformed(f"mapping.fired_at ({self._section.fired_at}) finds no time")
        return _short(f"{key}@{fired_at.isoformat()}"), _short(key)

    def _kind(self, status: str) -> EventType | None:
        section = self._section
        if section.status is None:
            return EventType.TRIGGERED
        word = status.casefold()
        for kind, words in (
            (EventType.RESOLVED, section.resolved),
            (EventType.ACKNOWLEDGED, section.acknowledged),
        ):
            if word in {each.casefold() for each in words}:
                return kind
        fires = not section.firing or word in {each.casefold() for each in section.firing}
        return EventType.TRIGGERED if fires else None

    def _alert(self, values: Mapping[str, object], source_id: str, key: str) -> Alert:
        def text(name: str, most: int = TITLE_MAX) -> str:
            return _prose(values.get(name))[:most]

        return Alert(
            source=self._source,
            source_id=source_id,
            title=text("title"),
            body=text("body", TEXT_MAX),
            service=text("service"),
            severity=self._severity(scalar(values.get("severity"))),
            priority=text("priority"),
            team=text("team"),
            environment=text("environment"),
            labels=labels_of(_labels(values.get("labels"))),
            url=web_url(text("url", 2_048)),
            dedup_key=key,
            fired_at=time_of(values.get("fired_at")),
        )

    def _severity(self, word: str) -> Severity | None:
        by_case = {each.casefold(): severity for each, severity in self._section.severity_map.items()}
        return by_case.get(word.casefold()) or severity_of(word)

    def _found(self, name: str, value: object) -> object | Malformed:
        """What an expression finds; None where it finds nothing."""
        try:
            found: object = self._expressions[name].search(value)
        except _AT_ODDS as error:
            why = " ".join(str(error).split())[:200] or type(error).__name__
            return Malformed(f"mapping.{name} cannot be applied to this body: {why}")
        return found


_NO_EXPRESSIONS = frozenset({"severity_map", "resolved", "acknowledged", "firing"})


def _prose(value: object) -> str:
    """A text; of a list or an object what it holds, a line each."""
    if isinstance(value, list):
        return "\n".join(filter(None, (scalar(each) for each in value)))
    if isinstance(value, dict):
        return "\n".join(f"{name}: {text}" for name, text in flattened(value))
    return scalar(value)


def _labels(value: object) -> Mapping[str, str]:
    """An object's values by their dotted names; of a list `name:value` or `name=value` texts (tags)."""
    if not isinstance(value, list):
        return dict(flattened(value))
    found = {}
    for tag in map(scalar, value):
        name, separator, text = tag.partition("=" if "=" in tag and ":" not in tag else ":")
        if name.strip() and separator:
            found[name.strip()] = text.strip()
    return found


def _time_text(values: Mapping[str, object]) -> str:
    at = time_of(values.get("fired_at"))
    return "" if at is None else at.isoformat()


def _short(text: str) -> str:
    """An id as it is; one of any length would be kept and told everywhere."""
    return text if len(text) <= _ID_MAX else f"{text[:100]}…{fingerprint(text)}"
