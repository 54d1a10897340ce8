"""PagerDuty's Events API v2 as the pager: wakes a human.

Limits (documentation "Events API v2", pages "Send an alert event" and "PD-CEF"): summary 1,024 characters,
dedup_key 255, the whole event 512 KB. A page must arrive: what is too long is cut and says so, never refused.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from agent.adapters.http import Answer, VendorHttp, json_bytes
from agent.adapters.json_view import clean, items_at, text_at
from agent.ports import Page

_SUMMARY_MAX = 1024
_DEDUP_KEY_MAX = 255
_EVENT_MAX_BYTES = 512 * 1024
_FIELD_MAX = 1024
_LINKS_MAX = 20
_HREF_MAX = 2048
_DEEPEST = 8
#: Tried in turn until the event fits: characters of a text, entries of a list or mapping.
_CUTS = ((65_536, 1000), (16_384, 500), (4096, 250), (1024, 100), (256, 50), (64, 25))
_CUT_NOTE = "The details were cut to fit PagerDuty's limit of 512 KB; the agent's timeline has them whole."

T = TypeVar("T")


class PagerDutyEvents:
    """Triggers and clears alerts on the service that the routing key belongs to."""

    def __init__(self, events_url: str, routing_key: str, timeout_s: float = 5.0) -> None:
        self._routing_key = routing_key.strip()
        self._http = VendorHttp(
            "pagerduty-events", events_url, timeout_s=timeout_s, secrets=(self._routing_key,)
        )

    def __repr__(self) -> str:
        return f"PagerDutyEvents({self._http!r})"

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def page(self, page: Page) -> None:
        """Trigger: wakes whoever is on call, once for a dedup_key that is open."""
        self._send(_fitting(_trigger(page), page.details, len(self._routing_key)))

    def clear(self, dedup_key: str) -> None:
        """Resolve what was triggered with this key; nothing happens if nothing is open."""
        self._send({"event_action": "resolve", "dedup_key": sent_dedup_key(dedup_key)})

    def _send(self, event: Mapping[str, object]) -> None:
        answer = self._http.exchange("POST", "/v2/enqueue", body={"routing_key": self._routing_key, **event})
        what = f"{event['event_action']} to /v2/enqueue"
        if not answer.ok:
            raise self._http.failure(answer, what, _words_of(answer))
        if text_at(answer.data, "status") != "success":
            raise self._http.bad_answer(answer, what, 'status "success"')


def sent_dedup_key(dedup_key: str) -> str:
    """The key as PagerDuty gets it: one that is too long keeps its beginning and ends in a hash of all."""
    key = clean(dedup_key)
    if len(key) <= _DEDUP_KEY_MAX:
        return key
    digest = hashlib.sha256(key.encode()).hexdigest()
    return f"{key[: _DEDUP_KEY_MAX - len(digest) - 1]}#{digest}"


def _trigger(page: Page) -> dict[str, object]:
    payload = {
        "summary": _cut(clean(page.summary).strip(), _SUMMARY_MAX)
        or "A human is needed (no summary was given)",
        "severity": page.severity.value,
        "source": _cut(clean(page.source).strip(), _FIELD_MAX) or "oncall-agent",
        "component": _cut(clean(page.component).strip(), _FIELD_MAX),
        "group": _cut(clean(page.group).strip(), _FIELD_MAX),
        "class": _cut(clean(page.kind).strip(), _FIELD_MAX),
        "timestamp": _time(page.at),
    }
    event: dict[str, object] = {
        "event_action": "trigger",
        "dedup_key": sent_dedup_key(page.dedup_key),
        "client": _cut(clean(page.client).strip(), _FIELD_MAX),
        "payload": {key: value for key, value in payload.items() if value},
        "links": [link for pair in page.links[:_LINKS_MAX] for link in _link(pair)],
    }
    return {key: value for key, value in event.items() if value}


def _time(text: str) -> str:
    """A time as it was given, if it is one: anything else would have the whole page refused."""
    given = clean(text).strip()
    try:
        return given if datetime.fromisoformat(given).tzinfo is not None else ""
    except ValueError:
        return ""


def _link(pair: tuple[str, str]) -> list[dict[str, str]]:
    """One link, whichever of the two is the address; none if neither is."""
    href = next(
        (clean(each).strip() for each in pair if each.strip().startswith(("https://", "http://"))), ""
    )
    if not href or len(href) > _HREF_MAX:
        return []
    text = next((clean(each).strip() for each in pair if clean(each).strip() != href), "")
    return [{"href": href, "text": _cut(text, _FIELD_MAX)} if text else {"href": href}]


def _fitting(
    event: Mapping[str, object], details: Mapping[str, object], key_length: int
) -> Mapping[str, object]:
    """The event with as much of the details as PagerDuty takes."""
    room = _EVENT_MAX_BYTES - key_length - 64
    whole = _Shortener(left=room)
    tried = _with_details(event, whole.shortened(details))
    if whole.left > 0 and len(json_bytes(tried)) <= room:
        return tried
    for text_max, entries_max in _CUTS:
        shortener = _Shortener(text_max, entries_max, left=room)
        tried = _with_details(event, {"cut": _CUT_NOTE, **shortener.entries_of(details)})
        if shortener.left > 0 and len(json_bytes(tried)) <= room:
            return tried
    # A character takes at most 6 bytes of JSON and an entry at most 8 beside its text: this one fits.
    last = _Shortener(*_CUTS[-1], left=(room - len(json_bytes(event))) // 8 - len(_CUT_NOTE))
    return _with_details(event, {"cut": _CUT_NOTE, **last.entries_of(details)})


def _with_details(event: Mapping[str, object], details: object) -> Mapping[str, object]:
    payload = event["payload"]
    assert isinstance(payload, dict)
    return {**event, "payload": {**payload, "custom_details": details}} if details else event


@dataclass(slots=True)
class _Shortener:
    """Makes plain JSON of anything, each text and collection at most so long, until nothing is left."""

    text_max: float = math.inf
    entries_max: int = sys.maxsize
    left: int = 0

    def shortened(self, value: object, depth: int = 0) -> object:
        self.left -= 8
        if self.left <= 0 or (depth >= _DEEPEST and isinstance(value, Mapping | list | tuple)):
            return "…"
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, Mapping):
            return self.entries_of(value, depth)
        if isinstance(value, list | tuple | set | frozenset):
            return [self.shortened(each, depth + 1) for each in self._first_of(value)]
        return self._number(value) if isinstance(value, int | float) else self._text(value)

    def entries_of(self, value: Mapping[str, object], depth: int = 0) -> dict[str, object]:
        entries = self._first_of(value.items())
        return {self._text(key): self.shortened(each, depth + 1) for key, each in entries}

    def _first_of(self, values: Iterable[T]) -> Iterator[T]:
        for value in itertools.islice(values, self.entries_max):
            if self.left <= 0:
                return
            yield value

    def _number(self, value: float) -> object:
        """Numbers that JSON or PagerDuty cannot hold are written as text."""
        if isinstance(value, int):
            return value if value.bit_length() <= 64 else self._text(hex(value))
        return value if math.isfinite(value) else str(value)

    def _text(self, value: object) -> str:
        text = _cut(clean(str(value)), min(self.text_max, max(self.left, 1)))
        self.left -= len(text) + 8
        return text


def _cut(text: str, longest: float) -> str:
    return text if len(text) <= longest else text[: int(longest) - 1] + "…"


def _words_of(answer: Answer) -> str:
    errors = (each for each in items_at(answer.data, "errors") if isinstance(each, str))
    return ", ".join(filter(None, (text_at(answer.data, "message"), *errors)))
