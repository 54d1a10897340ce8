"""What Slack sends when somebody presses or types, as values: whatever may be missing is ""."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

#: A payload holds the message that was pressed on, 50 blocks at most; more is none of Slack's.
MAX_BODY_BYTES = 512 * 1024
_MAX_FIELDS = 100


@dataclass(frozen=True, slots=True)
class Caller:
    """Who presses or types, as Slack says, and where to answer them alone."""

    user_id: str
    user_team_id: str
    team_id: str
    enterprise_id: str
    response_url: str


@dataclass(frozen=True, slots=True)
class ButtonPressed:
    """One press. `key` is the same however often Slack, or anybody, sends it."""

    caller: Caller
    action_id: str
    value: str
    key: str


@dataclass(frozen=True, slots=True)
class CommandTyped:
    """One `/oncall …`."""

    caller: Caller
    text: str
    key: str


@dataclass(frozen=True, slots=True)
class SomethingElse:
    """A payload that is no press of a button: a shortcut, a view, whatever comes next."""

    caller: Caller
    type: str


class UnreadableError(ValueError):
    """The body is nothing that Slack sends."""


def fields_of(raw: bytes) -> Mapping[str, str]:
    """A form's fields; one that is given twice is two meanings."""
    try:
        pairs = parse_qsl(
            raw.decode("ascii"), keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="replace"
        )
    except ValueError as error:
        raise UnreadableError(f"the body is no form: {error}") from error
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise UnreadableError("a field is given twice")
    return fields


def payload_of(raw: bytes) -> Mapping[str, object]:
    """The one field `payload` of an interaction, as JSON."""
    text = fields_of(raw).get("payload", "")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableError("the field payload is no JSON") from error
    if not isinstance(found, dict):
        raise UnreadableError("the field payload is no JSON object")
    return found


def interaction(payload: Mapping[str, object]) -> ButtonPressed | SomethingElse:
    """What was done; message, channel, state and response_url may each be missing."""
    user, team, action = _part(payload, "user"), _part(payload, "team"), _first_action(payload)
    enterprise = _text(_part(payload, "enterprise"), "id") or _text(team, "enterprise_id")
    caller = Caller(
        user_id=_text(user, "id"),
        user_team_id=_text(user, "team_id"),
        team_id=_text(team, "id"),
        enterprise_id=enterprise,
        response_url=_text(payload, "response_url"),
    )
    if payload.get("type") != "block_actions" or action is None:
        return SomethingElse(caller, _text(payload, "type")[:50])
    container = _part(payload, "container")
    named = (
        caller.team_id,
        caller.user_id,
        _text(action, "action_ts") or _text(payload, "trigger_id"),
        _text(action, "action_id"),
        _text(container, "message_ts"),
    )
    return ButtonPressed(caller, _text(action, "action_id"), _text(action, "value"), _key("press", *named))


def command(fields: Mapping[str, object]) -> CommandTyped:
    """What was typed; each has a trigger_id of its own."""
    caller = Caller(
        user_id=_text(fields, "user_id"),
        user_team_id="",  # team_id is that of the workspace in which it was typed
        team_id=_text(fields, "team_id"),
        enterprise_id=_text(fields, "enterprise_id"),
        response_url=_text(fields, "response_url"),
    )
    text = _text(fields, "text")
    return CommandTyped(caller, text, _key("command", caller.user_id, _text(fields, "trigger_id"), text))


def _first_action(payload: Mapping[str, object]) -> Mapping[str, object] | None:
    actions = payload.get("actions")
    first = actions[0] if isinstance(actions, list) and actions else None
    return first if isinstance(first, dict) else None


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()


def _part(found: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = found.get(name)
    return value if isinstance(value, dict) else {}


def _text(found: Mapping[str, object], name: str) -> str:
    value = found.get(name)
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""
