"""*Audit*: every entry of the chain by what it says, whether the chain is whole, and entries to take away."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from flask import Blueprint, Response, abort, request

from agent.adapters.audit_chain import Intact, Tampered
from agent.adapters.audit_log import verify_against
from agent.adapters.json_view import clean
from agent.domain.errors import StoreError
from agent.domain.incident import EventKind
from agent.domain.people import Actor, Deed
from agent.domain.search import PAGE, AuditAsked
from agent.web import identity

if TYPE_CHECKING:
    from agent.web.app import WebParts
    from agent.web.console.frame import Frame


def add_routes(routes: Blueprint, parts: WebParts, frame: Frame) -> None:
    """The page, the check and the export."""

    @routes.get("/audit")
    def audit() -> Response:
        return _page(parts, frame, frame.viewer())

    @routes.post("/audit/verify")
    def verify() -> Response:
        actor = identity.signed_in(parts, Deed.VIEW)
        outcome: Intact | Tampered | str
        try:
            with parts.room.taken():
                outcome = verify_against(parts.config.audit_path(), parts.store)
        except StoreError as error:
            outcome = str(error)
        return _page(parts, frame, actor, outcome=outcome)

    @routes.get("/audit/export")
    def export() -> Response:
        frame.viewer()
        name = f"audit-{frame.now():%Y%m%d-%H%M%S}.jsonl"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        asked = _asked()
        parts.room.take()  # a reader who takes their time holds a thread for as long
        answer = Response(_lines(parts, asked), mimetype="application/jsonl", headers=headers)
        answer.call_on_close(parts.room.give_back)
        return answer


def _page(
    parts: WebParts, frame: Frame, actor: Actor, *, outcome: Intact | Tampered | str | None = None
) -> Response:
    asked = _asked()
    with parts.room.taken() if asked.text or asked.actor else nullcontext():
        found = parts.store.entries_found(asked)
    return frame.page(
        "audit.html",
        actor,
        found=found,
        asked=asked,
        kinds=sorted(each.value for each in EventKind),
        more=found[-1].seq if len(found) == PAGE else 0,
        intact=outcome if isinstance(outcome, Intact) else None,
        tampered=outcome if isinstance(outcome, Tampered) else None,
        not_verified=outcome if isinstance(outcome, str) else "",
        query={name: value for name, value in request.args.items() if value and name != "before"},
    )


def _lines(parts: WebParts, asked: AuditAsked) -> Iterator[str]:
    for link in parts.store.links_found(asked):
        yield json.dumps(link, ensure_ascii=False) + "\n"


def _asked() -> AuditAsked:
    given = request.args
    kind = given.get("kind", "")
    before = given.get("before", "")
    return AuditAsked(
        text=clean(given.get("q", "")).strip()[:200],
        kind=kind if kind in set(EventKind) else "",
        actor=clean(given.get("actor", "")).strip()[:200],
        incident=clean(given.get("incident", "")).strip()[:200],
        since=_day(given.get("since", "")),
        until=_day(given.get("until", ""), ahead=timedelta(days=1)),
        before=int(before) if before.isascii() and before.isdigit() and len(before) < 16 else 0,
    )


def _day(text: str, *, ahead: timedelta = timedelta()) -> datetime | None:
    """A day as a browser's date field gives it; the end of it with `ahead`."""
    if not text:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC) + ahead
    except (ValueError, OverflowError):
        abort(400, "a day is written as 2026-01-31")
