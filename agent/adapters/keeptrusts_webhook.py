"""Keeptrusts' webhooks: is it really from there, and what does it say.

The published pages show no signature and no header: all that is registered is an address. So the secret is
the address's `?token=`, or a bearer token that something in front adds. Both forms of the body are read: with
an `event_type`, and without one, where the address it was posted to says what it is.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.adapters.json_view import child, clean, text_at
from agent.adapters.kept_secrets import KeptSecrets
from agent.adapters.webhook_body import TEXT_MAX, TITLE_MAX, object_in
from agent.config.keeptrusts import Keeptrusts
from agent.domain.keeptrusts import KeeptrustsEscalation, KeeptrustsResolution
from agent.ports.sources import Malformed, NotGenuine

CREATED, RESOLVED = "escalation.created", "escalation.resolved"

_TOKEN_MAX = 1_024
_ID_MAX = 200
#: What is kept for a reviewer is nested no deeper; whatever stands there, the page must not hang on it.
_DEEPEST = 20


@dataclass(frozen=True, slots=True)
class Unwanted:
    """An event that means nothing here; it is answered as taken, so that it is not sent again."""

    event_type: str


class Tokens:
    """What the configuration asks for."""

    def __init__(self, section: Keeptrusts) -> None:
        self._section = section
        self._secrets = KeptSecrets(section.webhook_tokens)

    def missing(self, authorization: str, token: str) -> NotGenuine | None:
        """What is missing, in words that name no secret; None if it proves where it is from."""
        if not self._section.webhook_tokens:
            if self._section.allow_unsigned_webhooks:
                return None
            return NotGenuine(
                "keeptrusts.webhook_tokens names no secret, so nothing proves that this is from Keeptrusts; "
                "set it, and register the address with ?token="
            )
        scheme, _, rest = authorization.partition(" ")
        given = rest.strip() if scheme.casefold() == "bearer" else token
        if not given or len(given) > _TOKEN_MAX:
            return NotGenuine("neither ?token= nor Authorization: Bearer holds a token")
        if self._secrets.fit(lambda tokens: _is_one_of(tokens, given)):
            return None
        return NotGenuine("the token is none of keeptrusts.webhook_tokens")


def _is_one_of(tokens: Sequence[str], given: str) -> bool:
    offered = given.encode("utf-8", "surrogatepass")
    matches = [hmac.compare_digest(offered, each.encode()) for each in tokens if each.strip()]
    return any(matches)


def read(
    raw: bytes, posted_as: str
) -> tuple[KeeptrustsEscalation, Mapping[str, object]] | KeeptrustsResolution | Unwanted | Malformed:
    """What the body says; `posted_as` is the event type that the address stands for, or ""."""
    body = object_in(raw)
    if isinstance(body, Malformed):
        return body
    said = _said(body) or posted_as or _looks_like(body)
    if said not in (CREATED, RESOLVED):
        if said:
            return Unwanted(clean(said)[:_ID_MAX])
        return Malformed(
            "nothing says whether it was created or resolved: no event_type, and no policy_name and action; "
            "register /webhook/keeptrusts/created and /webhook/keeptrusts/resolved, one for each event type"
        )
    inner = child(body, "data")
    event = inner if "escalation_id" not in body and isinstance(inner, dict) else body
    escalation_id = _text(event, "escalation_id", _ID_MAX + 1)
    if not escalation_id or len(escalation_id) > _ID_MAX:
        return Malformed(f"escalation_id is missing, or longer than {_ID_MAX} characters")
    if said == RESOLVED:
        return _resolution(event, escalation_id)
    return _escalation(event, escalation_id), {name: _shallow(value) for name, value in event.items()}


def _said(body: Mapping[str, object]) -> str:
    """The event type, where the body names one: no published page says under which name."""
    told = text_at(body, "event_type")
    others = (text_at(body, name) for name in ("type", "event"))
    return told or next((each for each in others if each.startswith("escalation.")), "")


def _looks_like(body: Mapping[str, object]) -> str:
    """A body that says how it was settled is an end; one with a policy and an action, a beginning."""
    if text_at(body, "resolution") or text_at(body, "status").casefold() == "resolved":
        return RESOLVED
    return CREATED if text_at(body, "policy_name") and text_at(body, "action") else ""


def _escalation(event: Mapping[str, object], escalation_id: str) -> KeeptrustsEscalation:
    """What is left out costs nobody their page: a human is asked for, whatever else is said."""
    return KeeptrustsEscalation(
        escalation_id=escalation_id,
        policy_name=_text(event, "policy_name") or "unnamed policy",
        action=_text(event, "action") or "unnamed action",
        event_id=_text(event, "event_id"),
        policy_type=_text(event, "policy_type"),
        model=_text(event, "model"),
        gateway_id=_text(event, "gateway_id"),
        org_id=_text(event, "org_id"),
        user_id=_text(event, "user_id"),
        timestamp=_text(event, "timestamp"),
    )


def _resolution(event: Mapping[str, object], escalation_id: str) -> KeeptrustsResolution:
    return KeeptrustsResolution(
        escalation_id,
        _text(event, "resolution") or _text(event, "resolution_action"),
        _text(event, "notes", TEXT_MAX) or _text(event, "note", TEXT_MAX),
        _text(event, "resolved_by") or _text(event, "reviewer"),
    )


def _shallow(value: object, depth: int = 1) -> object:
    """The same, without what is nested too deeply to be shown or kept."""
    if not isinstance(value, (dict, list)):
        return value
    if depth == _DEEPEST:
        return "(nested too deeply)"
    if isinstance(value, list):
        return [_shallow(each, depth + 1) for each in value]
    return {name: _shallow(each, depth + 1) for name, each in value.items()}


def _text(event: Mapping[str, object], name: str, longest: int = TITLE_MAX) -> str:
    return " ".join(clean(text_at(event, name)).split())[:longest]
