"""Decision events of Keeptrusts: from its API for a window, or from the lines of an export."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from agent.adapters.http import VendorHttp
from agent.adapters.json_view import child, items_at, text_at
from agent.domain.decision_event import BLOCKED, DecisionEvent, PolicyEvaluation, outcome_of

#: A line of an export is one event; longer is none.
_LINE_BYTES = 1 << 20

#: Names under which an event may say the same: the pages show both, and SQL of theirs a third.
_IDS = ("id", "event_id")
_DECISIONS = ("decision", "outcome", "action")
_USERS = ("user_id", "user")
_TEAMS = ("team_id", "team")
_POLICIES = ("policy_evaluations", "policies")

#: What a reviewer says who finds that a request should have passed.
_LET_THROUGH = frozenset({"allow", "allowed", "false positive", "false_positive"})


@dataclass(frozen=True, slots=True)
class Fetched:
    """Events of a window. `unread`: what is no event; `missing`: what the API counts and did not send."""

    events: tuple[DecisionEvent, ...]
    unread: int = 0
    missing: int = 0


class KeeptrustsEvents:
    """Reads `GET /v1/events`; one try, bounded in time and size. ServiceError if it does not answer."""

    def __init__(self, api_url: str, api_token: str, *, timeout_s: float) -> None:
        headers = {"Authorization": f"Bearer {api_token}"}
        self._http = VendorHttp(
            "keeptrusts", api_url, timeout_s=timeout_s, headers=headers, secrets=[api_token]
        )

    def __repr__(self) -> str:
        return f"KeeptrustsEvents({self._http!r})"

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def events(self, since: datetime, until: datetime, *, outcome: str = "") -> Fetched:
        """Those from a time on and before another; the API knows no end, so what is later is left out."""
        asked = {"since": f"{since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}", "outcome": outcome}
        params = {name: value for name, value in asked.items() if value}
        answer = self._http.exchange("GET", "/v1/events", params=params)
        if not answer.ok:
            raise self._http.failure(answer, "GET /v1/events", text_at(answer.data, "error", "message"))
        if not isinstance(child(answer.data, "data"), list):
            raise self._http.bad_answer(answer, "GET /v1/events", "a list `data`")
        sent = items_at(answer.data, "data")
        found = [read_event(each) for each in sent]
        inside = tuple(each for each in found if each is not None and since <= each.at <= until)
        total = child(answer.data, "meta", "total")
        counted = total if isinstance(total, int) else len(sent)
        return Fetched(inside, found.count(None), max(0, counted - len(sent)))


def read_export(path: Path) -> Iterator[DecisionEvent | None]:
    """The events of an export (`format: jsonl`), one a line; None for a line that is none."""
    with path.open("rb") as file:
        while line := file.readline(_LINE_BYTES):
            if not line.strip():
                continue
            try:
                yield read_event(json.loads(line))
            except (ValueError, RecursionError):
                yield None


def read_event(data: object) -> DecisionEvent | None:
    """One event; None if it has no id, no time or no decision. What was asked and answered is not read."""
    if not isinstance(data, Mapping):
        return None
    at, event_id = _moment(text_at(data, "timestamp")), _first(data, *_IDS)
    decision = outcome_of(_first(data, *_DECISIONS))
    if at is None or not event_id or not decision:
        return None
    return DecisionEvent(
        id=event_id,
        at=at,
        decision=decision,
        user=_first(data, *_USERS),
        team=_first(data, *_TEAMS),
        gateway=_first(data, "gateway_id"),
        model=_first(data, "model"),
        was_wrong=decision == BLOCKED and _was_wrong(data),
        evaluations=_evaluations(data, decision),
    )


def _was_wrong(data: Mapping[object, object]) -> bool:
    if any(data.get(name) is True for name in ("false_positive", "overturned")):
        return True
    return any(
        text_at(data, name, "resolution").strip().lower() in _LET_THROUGH for name in ("review", "escalation")
    )


def _evaluations(data: Mapping[object, object], decision: str) -> tuple[PolicyEvaluation, ...]:
    """What each policy said; an event that names one policy alone was decided by it."""
    for name in _POLICIES:
        found = tuple(
            PolicyEvaluation(
                _first(each, "policy_name", "name"), outcome_of(_first(each, "result", *_DECISIONS))
            )
            for each in items_at(data, name)
        )
        if found:
            return tuple(each for each in found if each.policy and each.result)
    policy = _first(data, "policy_name")
    return (PolicyEvaluation(policy, decision),) if policy else ()


def _first(data: object, *names: str) -> str:
    return next((value for name in names if (value := text_at(data, name)[:500])), "")


def _moment(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
