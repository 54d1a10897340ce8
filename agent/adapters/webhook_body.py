"""A webhook's body as JSON, bounded; and the words that many sources share for times and severities."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from agent.adapters.json_view import clean, scalar
from agent.domain.alert import Severity
from agent.domain.strict_json import strictly_read
from agent.ports.sources import Malformed

#: The server in front takes no more either.
BODY_MAX_BYTES = 1024 * 1024

#: Longer than any title that is read; what follows is cut.
TITLE_MAX = 1_000
TEXT_MAX = 16_000
LABEL_MAX = 1_024
LABELS_MAX = 500
#: More alerts than that in one body are not taken one by one: a part of them would look like all.
ALERTS_MAX = 500
#: What stands around the alerts is kept with each of them, so far as it is no longer than this.
AROUND_MAX = 8_192

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Seconds, milliseconds, microseconds, nanoseconds: a number this large is the next finer one.
_UNITS = ((10**11, 1), (10**14, 10**3), (10**17, 10**6), (10**20, 10**9))

_SEVERITIES: Mapping[str, Severity] = {
    **{each.value: each for each in Severity},
    "high": Severity.ERROR,
    "medium": Severity.WARNING,
    "low": Severity.INFO,
}

#: Words that rules of the field use beside those that every source shares.
_OF_RULES: Mapping[str, Severity] = {
    "page": Severity.CRITICAL,
    "emergency": Severity.CRITICAL,
    "disaster": Severity.CRITICAL,
    "fatal": Severity.CRITICAL,
    "major": Severity.ERROR,
    "warn": Severity.WARNING,
    "minor": Severity.WARNING,
    "ticket": Severity.WARNING,
    "notice": Severity.INFO,
    "information": Severity.INFO,
    "informational": Severity.INFO,
    "none": Severity.INFO,
}


def json_in(raw: bytes) -> object | Malformed:
    """What the JSON says, or why it says nothing."""
    if len(raw) > BODY_MAX_BYTES:
        return Malformed(f"the body has {len(raw)} bytes; at most {BODY_MAX_BYTES} are read")
    try:
        return strictly_read(raw.decode("utf-8-sig"))
    except RecursionError:
        return Malformed("the JSON is nested too deeply")
    except UnicodeDecodeError:
        return Malformed("the body is not UTF-8")
    except ValueError as error:
        return Malformed(f"the body is not JSON: {str(error)[:200]}")


def object_in(raw: bytes) -> Mapping[str, object] | Malformed:
    """The JSON object in a body, or why there is none."""
    body = json_in(raw)
    if isinstance(body, (dict, Malformed)):
        return body
    return Malformed("the body is not a JSON object")


def each_of_many(body: Mapping[str, object], name: str, items: Sequence[object]) -> list[str]:
    """What is kept of the body with each of its alerts: all of it with each would be too much.

    In ASCII: half a character cannot be kept.
    """
    around, left = {}, AROUND_MAX
    for key, value in body.items():
        size = len(json.dumps({key: value})) if key != name else 0
        if 0 < size <= left:
            around[key] = value
            left -= size
    return [json.dumps({**around, name: [item]}) for item in items]


def time_of(value: object) -> datetime | None:
    """An aware time in UTC from ISO 8601 or a count since 1970; None if it says none, such as year 1."""
    try:
        at = _moment(value)
    except (ValueError, OverflowError, TypeError):
        return None
    return at if at is not None and at.year >= 1970 else None


def severity_of(word: str) -> Severity | None:
    """A severity by its own word or a runbook's; None for any other word."""
    return _SEVERITIES.get(word.casefold())


def severity_of_rule(word: str) -> Severity | None:
    """A severity as the label of an alert rule says it, in any word that is usual there."""
    return severity_of(word) or _OF_RULES.get(word.casefold())


def fingerprint(*parts: str) -> str:
    """A short name for texts of any length: the same for the same ones, and for no others."""
    whole = "\0".join(part.replace("\\", "\\\\").replace("\0", "\\0") for part in parts)
    return hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:40]


def web_url(text: str) -> str:
    """The text if it is an address of the web, else ""."""
    return text if text.startswith(("https://", "http://")) and text.isprintable() else ""


def labels_of(pairs: Mapping[str, str]) -> Mapping[str, str]:
    """As many as are kept; what is longer than a label would name another thing if it were cut."""
    kept = [(name, text) for name, text in pairs.items() if text and len(text) <= LABEL_MAX]
    return dict(kept[:LABELS_MAX])


def _moment(value: object) -> datetime | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        text = clean(value).strip()
        if text.isascii() and text.isdigit() and len(text) <= 20:
            return _since_1970(int(text))
        at = datetime.fromisoformat(text)
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    if isinstance(value, (int, float)) and scalar(value):
        return _since_1970(value)
    return None


def _since_1970(count: float) -> datetime | None:
    """Whole microseconds, in integers: a float has no room for nanoseconds."""
    if count <= 0:
        return None
    for below, unit in _UNITS:
        if count < below:
            return _EPOCH + timedelta(microseconds=int(count * 10**6 // unit))
    return None
