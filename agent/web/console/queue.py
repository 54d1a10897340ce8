"""*Queue* and *My escalations*: claim, review, settle; each change through the one desk of every face."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from flask import Blueprint, Response, abort, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from agent.adapters import codec
from agent.adapters.json_view import clean
from agent.domain.decisions import Attempt, EscalationTrigger
from agent.domain.incident import EventKind
from agent.domain.people import Actor, Deed
from agent.domain.queue import ACTIONS, Action, Escalated, QueueFilter, QueueStatus, Rank
from agent.escalations.claims import Changed, NotPossible
from agent.escalations.entering import mine
from agent.library.draft import draft_of
from agent.pipeline import queueing
from agent.pipeline.queueing import QueueDesk, Settling
from agent.reports.summary import attempt_line
from agent.web import identity

if TYPE_CHECKING:
    from agent.web.app import WebParts
    from agent.web.console.frame import Frame

_IN_WORDS: Mapping[Action, str] = {
    Action.FIXED_BY_HAND: "it was real, and somebody mended it",
    Action.FALSE_ALARM: "nothing was wrong",
    Action.RAN_RUNBOOK: "somebody ran a runbook",
    Action.NEEDS_RUNBOOK: "it will come again, and a runbook would answer it",
    Action.ALLOW: "release the held response",
    Action.BLOCK: "block it for good, and tell the consumer",
    Action.REDACT_AND_ALLOW: "strip what is sensitive, then release it",
}

#: What Keeptrusts sends for whoever reviews, as headings.
_HEADINGS: Mapping[str, str] = {
    "original_request": "Original request",
    "request": "Original request",
    "policy_match": "Policy match",
    "ai_response": "AI response",
    "response": "AI response",
    "what_was_done": "What was done",
    "message": "What the runbook says",
}

#: Facts that the page shows elsewhere.
_ELSEWHERE = frozenset({"reason", "raw", "dedup_key"})


@dataclass(frozen=True, slots=True)
class Tried:
    """One attempt of the agent, as a reviewer reads it."""

    line: str
    end: str
    output: str


@dataclass(frozen=True, slots=True)
class Given:
    """What somebody typed into the form: shown again if it was not taken."""

    action: str = ""
    note: str = ""
    runbook: str = ""
    done: str = ""


def add_routes(routes: Blueprint, parts: WebParts, frame: Frame) -> None:
    """The pages and their forms."""
    counter = _Counter(parts, frame)

    @routes.get("/queue")
    def queue() -> Response:
        return counter.listed(is_mine=False)

    @routes.get("/mine")
    def own() -> Response:
        return counter.listed(is_mine=True)

    @routes.get("/queue/<item_id>")
    def item(item_id: str) -> Response:
        return counter.page(frame.viewer(), counter.found(item_id))

    @routes.get("/escalations/<item_id>")
    def linked_item(item_id: str) -> AnyResponse:
        """What pages and mails link to, by the API's word for it."""
        return redirect(f"/console/queue/{quote(item_id, safe='')}", 303)

    @routes.post("/queue/<item_id>/<deed>")
    def change(item_id: str, deed: str) -> AnyResponse:
        return counter.change(item_id, deed)


#: The least right for each form; the desk asks again, with what only it knows.
_DEEDS: Mapping[str, Deed] = {
    "claim": Deed.CLAIM,
    "release": Deed.CLAIM,
    "reassign": Deed.REASSIGN,
    "further": Deed.SETTLE,
    "resolve": Deed.SETTLE,
}


class _Counter:
    """One request each."""

    def __init__(self, parts: WebParts, frame: Frame) -> None:
        self._parts = parts
        self._store = parts.store
        self._frame = frame

    def listed(self, *, is_mine: bool) -> Response:
        actor = self._frame.viewer()
        asked, status = _asked(actor, is_mine=is_mine)
        query = {name: value for name, value in request.args.items() if value and name != "after"}
        targets = tuple(mine(actor.person))
        for_me = self._store.queue_page(QueueFilter(targets=targets, status=QueueStatus.OPEN))
        return self._frame.page(
            "queue.html",
            actor,
            heading="My escalations" if is_mine else "Queue",
            problem="",
            page=self._store.queue_page(asked),
            for_me=for_me.items if is_mine and not query else (),
            asked=asked,
            chosen=status,
            query=query,
            is_filtered=bool(query),
            is_mine=is_mine,
            ranks=[each.value for each in Rank],
            triggers=[each.value for each in EscalationTrigger],
        )

    def found(self, item_id: str) -> Escalated:
        item = self._store.queue_item(clean(item_id)[:200])
        if item is None:
            abort(404, "there is no such escalation; the queue lists them")
        return item

    def page(
        self,
        actor: Actor,
        item: Escalated,
        *,
        problem: str = "",
        status: int = 200,
        given: Given | None = None,
    ) -> Response:
        config = self._parts.config
        attempts = self._store.attempts(item.incident_id) if item.incident_id else ()
        return self._frame.page(
            "item.html",
            actor,
            status=status,
            problem=problem,
            given=given or Given(),
            item=item,
            is_mine=item.assignee.casefold() == actor.person.name.casefold(),
            actions=[(each.value, _IN_WORDS[each]) for each in Action if each in ACTIONS[item.origin]],
            known_runbooks=sorted(self._parts.library.runbooks),
            targets=sorted({each.name for each in config.people})
            + sorted({f"team:{team}" for each in config.people for team in each.teams}),
            facts=_facts(item),
            context=_context(item),
            tried=[Tried(attempt_line(each), each.end.value, _output(each)) for each in attempts],
            timeline=[
                event for event in self._store.timeline(item.story) if event.kind is not EventKind.DELIVERY
            ],
            history=self._store.queue_like(item),
            raw=json.dumps(codec.to_data(item), indent=2, ensure_ascii=False, default=str),
            draft=_draft(item),
        )

    def change(self, item_id: str, deed: str) -> AnyResponse:
        if deed not in _DEEDS:
            abort(404)
        actor = identity.signed_in(self._parts, _DEEDS[deed])
        item, form = self.found(item_id), request.form
        given = Given(*(form.get(name, "") for name in ("action", "note", "runbook", "done")))
        changed = self._changed(item, deed, actor, given)
        if isinstance(changed, NotPossible):
            why = self._parts.redactor.text(changed.why)
            return self.page(actor, self.found(item_id), problem=why, status=409, given=given)
        self._parts.notify()
        return redirect(_own_path(form.get("next", "")) or f"/console/queue/{changed.id}", 303)

    def _changed(self, item: Escalated, deed: str, actor: Actor, given: Given) -> Changed:
        desk: QueueDesk = queueing.desk_of(self._parts.config, self._store, self._parts.redactor)
        now, to = self._frame.now(), request.form.get("to", "")
        match deed:
            case "claim":
                return queueing.claim(desk, item.id, actor, now=now)
            case "release":
                return queueing.release(desk, item.id, actor, now=now)
            case "reassign":
                return queueing.reassign(desk, item.id, actor, to=to, now=now)
            case "further":
                return queueing.escalate_further(desk, item.id, actor, to=to, note=given.note, now=now)
            case _:
                if given.action not in set(Action):
                    return NotPossible("say what was done: choose one of the actions")
                settling = Settling(Action(given.action), given.note, given.runbook, given.done)
                return queueing.resolve(desk, item.id, actor, settling, now=now)


def _draft(item: Escalated) -> str:
    """The runbook to be, of one that was fixed by hand and whose fix was told."""
    is_told = item.resolution is not None and bool(item.facts.get("what_was_done"))
    return draft_of(queueing.fixed(item)).text if is_told else ""


def _asked(actor: Actor, *, is_mine: bool) -> tuple[QueueFilter, str]:
    given = request.args
    status, rank = given.get("status", ""), given.get("severity", "")
    exact = QueueStatus(status) if status in set(QueueStatus) else None
    return QueueFilter(
        settled=status == "settled" or (exact is not None and exact.is_over),
        status=exact,
        rank=Rank(rank) if rank in set(Rank) else None,
        trigger=clean(given.get("trigger", "")).strip()[:100],
        assignee=actor.person.name if is_mine else "",
        text=clean(given.get("q", "")).strip()[:200],
        after=clean(given.get("after", ""))[:300],
    ), status if exact is not None or status == "settled" else ""


def _own_path(path: str) -> str:
    """Where a form leads back to, if that is a page of the console; never anywhere else."""
    known = ("/console/", "/console/queue", "/console/mine")
    address, _, query = path.partition("?")
    plain = all(character.isprintable() and character not in "\\ " for character in path)
    return path if address in known and plain and len(query) < 1_000 else ""


def _facts(item: Escalated) -> list[tuple[str, str]]:
    """What whoever reviews it reads in full, under its headings."""
    return [(heading, _text(item.facts[name])) for name, heading in _HEADINGS.items() if item.facts.get(name)]


def _context(item: Escalated) -> Mapping[str, str]:
    """Everything else that was sent with it."""
    rest: dict[str, Any] = {
        name: value
        for name, value in item.facts.items()
        if name not in _HEADINGS and name not in _ELSEWHERE and value
    }
    context = rest.pop("context", None)
    if isinstance(context, Mapping):
        rest |= context
    elif context:
        rest["context"] = context
    return {str(name): _text(value) for name, value in rest.items()}


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False, default=str)


def _output(attempt: Attempt) -> str:
    return "\n".join(text for text in (attempt.output.strip(), attempt.error_output.strip()) if text)
