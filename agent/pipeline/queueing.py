"""What a human does with an escalation, by whichever face: claim, release, reassign, further, resolve.

One function each for the command line, the API, the console and Slack. Who may do it is asked here, and what
is done is told in the timeline, which is the audit chain, in the transaction that does it. An answer is the
escalation as it is now, or `NotPossible` with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from agent.domain.decisions import StandDown
from agent.domain.incident import Entry, EventKind
from agent.domain.keeptrusts import ESCALATION_ID
from agent.domain.outbox import AnswerKeeptrusts, Channel, ChatCard, ChatLine, Message
from agent.domain.people import Actor, Deed, refusal
from agent.domain.queue import RECEIVED_PREFIX, Action, Escalated, Origin, QueueStatus, Resolution
from agent.domain.stops import words
from agent.escalations import claims
from agent.escalations.claims import Changed, NotPossible
from agent.escalations.entering import HANDOFF_PREFIX, Queueing, Received
from agent.escalations.notices import Occasion, cleared, told
from agent.escalations.settings import queueing_of
from agent.escalations.tickets import ticket_closed
from agent.library.draft import Fixed
from agent.pipeline.telling import redacted
from agent.ports.stores import QueueStore
from agent.safety.redaction import Redactor

if TYPE_CHECKING:
    from agent.config import Config

#: Somebody may be faster as often as this; a claim that is lost is a no at the next look.
_TRIES = 5

#: The longest note that is kept; a timeline's line is read by people.
_NOTE_MAX = 10_000


#: A human's way beside what the agent had only shown.
_COMPARED = {
    None: "",
    True: " That is what the agent would have run ({}).",
    False: " The agent would have run {}.",
}


@dataclass(frozen=True, slots=True)
class QueueDesk:
    """What working on the queue needs; `desk_of` makes one of what every face has."""

    store: QueueStore
    redactor: Redactor
    queueing: Queueing


def desk_of(config: Config, store: QueueStore, redactor: Redactor) -> QueueDesk:
    """The desk that a face works at."""
    return QueueDesk(store, redactor, queueing_of(config))


@dataclass(frozen=True, slots=True)
class Settling:
    """How somebody settles it. `what_was_done` is asked for with `fixed_by_hand`, beside the note."""

    action: Action
    note: str
    runbook: str = ""
    what_was_done: str = ""


def claim(desk: QueueDesk, item_id: str, actor: Actor, *, now: datetime) -> Changed:
    """Make it mine: nobody else works on it. Of many at once one gets it."""
    by = actor.person.name
    return _change(
        desk,
        item_id,
        actor,
        Deed.CLAIM,
        lambda item: claims.claim(item, by, now),
        lambda item: _Told("claimed", f"🙋 {actor} claimed {item.id}", {"was_for": item.target}),
        now=now,
    )


def release(desk: QueueDesk, item_id: str, actor: Actor, *, now: datetime) -> Changed:
    """Give it back to the queue; what somebody else has claimed, only an approver does."""
    others_too = not refusal(actor.person, Deed.REASSIGN)
    return _change(
        desk,
        item_id,
        actor,
        Deed.CLAIM,
        lambda item: claims.release(item, actor.person.name, may_for_others=others_too),
        lambda item: _Told("released", f"↩️ {actor} gave {item.id} back to {item.target}"),
        now=now,
    )


def reassign(desk: QueueDesk, item_id: str, actor: Actor, *, to: str, now: datetime) -> Changed:
    """Put it before a person, a team, a service of PagerDuty, a channel or an address; they are told."""
    target = words(to)

    def change(item: Escalated) -> Changed:
        return claims.reassign(item, target) if _is_known(desk, target) else _unknown(target)

    return _change(
        desk,
        item_id,
        actor,
        Deed.REASSIGN,
        change,
        lambda item: _Told("reassigned", f"➡️ {actor} gave {item.id} to {target}", {"to": target}),
        now=now,
        occasion=Occasion.MOVED,
    )


def escalate_further(
    desk: QueueDesk, item_id: str, actor: Actor, *, to: str = "", note: str = "", now: datetime
) -> Changed:
    """One level up, with the whole of its time from now on; by itself to whom its rule names on a breach."""
    reason = desk.redactor.text(words(note))
    as_reassigned = refusal(actor.person, Deed.REASSIGN)

    def change(item: Escalated) -> Changed:
        rule = desk.queueing.rule_named(item.rule)
        target = words(to) or rule.on_breach or rule.route_to
        if not _is_known(desk, target):
            return _unknown(target)
        if as_reassigned and _is_outside(desk, target, rule.on_breach, rule.route_to):
            return NotPossible(f"{target} is nobody of `people`: {as_reassigned}")
        return claims.escalate_further(
            item,
            target,
            by=actor.person.name,
            now=now,
            sla=desk.queueing.sla_of(item.origin),
            may_for_others=not as_reassigned,
        )

    def told_as(item: Escalated) -> _Told:
        why = f": {reason}" if reason else ""
        text = f"⏫ {actor} escalated {item.id} further, to {item.target}{why}"
        return _Told("further", text, {"to": item.target, "note": reason, "action": Action.ESCALATE_FURTHER})

    return _change(desk, item_id, actor, Deed.SETTLE, change, told_as, now=now, occasion=Occasion.MOVED)


def resolve(
    desk: QueueDesk,
    item_id: str,
    actor: Actor,
    settling: Settling,
    *,
    now: datetime,
    over_claims: bool = False,
) -> Changed:
    """Settle it, with a note for the next one; its pages are cleared, its ticket is closed.

    `over_claims`: also what somebody else has claimed; it was settled elsewhere, where nobody knows of that.
    """
    note = desk.redactor.text(_lines(settling.note))
    done = desk.redactor.text(_lines(settling.what_was_done))

    by = Resolution(settling.action, actor.person.name, now, note, words(settling.runbook))

    def change(item: Escalated) -> Changed:
        after = claims.resolve(replace(item, assignee="") if over_claims else item, by)
        if isinstance(after, NotPossible) or not done:
            return after
        return replace(after, facts={**after.facts, "what_was_done": done})

    def told_as(item: Escalated) -> _Told:
        took_s = round((now - item.created_at).total_seconds())
        text = f"✅ {actor} settled {item.id}: {settling.action.replace('_', ' ')}. {note}"
        as_shown = claims.was_as_shown(item, by)
        return _Told(
            "resolved",
            text + _COMPARED[as_shown].format(item.runbook),
            {
                **({} if as_shown is None else {"as_shown": as_shown}),
                "action": settling.action.value,
                "reviewer": actor.person.name,
                "note": note,
                "runbook": words(settling.runbook),
                "what_was_done": done,
                "resolution_time_seconds": took_s,
            },
        )

    return _change(desk, item_id, actor, Deed.SETTLE, change, told_as, now=now)


def fixed(item: Escalated) -> Fixed:
    """What a runbook is drafted from, of one that was settled; what it says is redacted already."""
    by = item.resolution
    return Fixed(
        item.title,
        str(item.facts.get("what_was_done") or ""),
        by.by if by is not None else "",
        by.note if by is not None else "",
        item.service,
        item.team,
    )


def received(desk: QueueDesk, what: Received, *, now: datetime) -> tuple[Escalated, bool]:
    """One from another system, and whether it is new: sent again it is the one that is there."""
    item = desk.queueing.received(_redacted_item(desk, what.item(now)))
    item, messages = told(desk.queueing, item, Occasion.CREATED)
    text = f"🆕 {item.id} from {item.origin}: {item.trigger} ({item.rank}), for {item.target}"
    data = {"escalation": item.id, "deed": "received", "rule": item.rule, "target": item.target}
    entry = redacted_entry(desk, Entry("queue-received", EventKind.QUEUE, text, data, str(item.origin)))
    if desk.store.queue_add(item, entry, messages):
        return item, True
    known = desk.store.queue_item(item.id)
    return known or item, False


def closed_at_source(desk: QueueDesk, incident_id: str, how: StandDown, *, now: datetime) -> bool:
    """What waited for a human is over at its source; False if nothing waited."""
    for _ in range(_TRIES):
        item = desk.store.queue_item(incident_id)
        if item is None or item.status.is_over:
            return False
        what = f"{how.by} {how.how}"
        data = {"escalation": item.id, "deed": "closed at its source", "by": how.by, **_took(item, now)}
        entry = Entry(_key("closed", now), EventKind.QUEUE, f"✅ {item.id} is over: {what}", data, how.by)
        entry = redacted_entry(desk, entry)
        after = _closed(item, how, now)
        ended = [*cleared(desk.queueing, item, what), *_ticket_closed(desk, after, what)]
        if desk.store.queue_change(item, after, entry, _shown(desk, item, entry, ended)):
            return True
    return False


def _closed(item: Escalated, how: StandDown, now: datetime) -> Escalated:
    if how.is_by_itself:
        return replace(item, status=QueueStatus.EXPIRED)
    who = item.assignee or how.by
    by = Resolution(Action.FIXED_BY_HAND, who, now, f"{how.by} {how.how}")
    return replace(item, status=QueueStatus.RESOLVED, assignee=who, resolution=by)


@dataclass(frozen=True, slots=True)
class _Told:
    """What is told of a change."""

    deed: str
    text: str
    data: Mapping[str, object] | None = None


def _change(
    desk: QueueDesk,
    item_id: str,
    actor: Actor,
    deed: Deed,
    change: Callable[[Escalated], Changed],
    told_as: Callable[[Escalated], _Told],
    *,
    now: datetime,
    occasion: Occasion | None = None,
) -> Changed:
    why = refusal(actor.person, deed)
    if why:
        return NotPossible(why)
    for _ in range(_TRIES):
        before = desk.store.queue_item(item_id)
        if before is None:
            return NotPossible(f"there is no escalation {item_id}; `oncall-agent escalations` lists them")
        after = change(before)
        if isinstance(after, NotPossible) or after == before:
            return after
        messages: list[Message] = []
        if occasion is not None:
            after, messages = told(desk.queueing, after, occasion)
        if after.status.is_over:
            messages += cleared(desk.queueing, before, f"{actor} settled {before.id}")
            messages += _ticket_closed(desk, after, f"{actor} settled {before.id}")
            messages += _answer_to_source(desk, after)
        entry = _entry(desk, before, told_as(after), actor, now)
        if desk.store.queue_change(before, after, entry, _shown(desk, before, entry, messages)):
            return after
    return NotPossible("others change it at this very moment; look at it again")


def _entry(desk: QueueDesk, item: Escalated, said: _Told, actor: Actor, now: datetime) -> Entry:
    data = {"escalation": item.id, "deed": said.deed, "by": actor.person.name, "via": actor.via.value}
    entry = Entry(_key(said.deed, now), EventKind.QUEUE, said.text, data | dict(said.data or {}), str(actor))
    return redacted_entry(desk, entry)


def redacted_entry(desk: QueueDesk, entry: Entry) -> Entry:
    """The entry as it may be kept and shown."""
    return redacted(desk, entry)


def _shown(desk: QueueDesk, item: Escalated, entry: Entry, messages: Sequence[Message]) -> list[Message]:
    """With the line for the incident's thread, where there is one."""
    if not item.incident_id or Channel.CHAT not in desk.queueing.channels:
        return list(messages)
    return [ChatLine(entry.text), ChatCard(), *messages]


def _answer_to_source(desk: QueueDesk, item: Escalated) -> list[Message]:
    """The answer to whoever sent it: Keeptrusts holds a response until allow, block or redact."""
    by = item.resolution
    if item.origin is not Origin.KEEPTRUSTS or by is None or Channel.KEEPTRUSTS not in desk.queueing.channels:
        return []
    given = str(item.facts.get(ESCALATION_ID) or item.id.removeprefix(RECEIVED_PREFIX))
    return [AnswerKeeptrusts(given, by.action.value, f"{by.note} ({by.by})")]


def _ticket_closed(desk: QueueDesk, item: Escalated, why: str) -> list[Message]:
    """Its ticket's end, where it has one."""
    return ticket_closed(item, why) if Channel.TICKET in desk.queueing.channels else []


def _redacted_item(desk: QueueDesk, item: Escalated) -> Escalated:
    facts = desk.redactor.value(dict(item.facts))
    return replace(item, title=desk.redactor.text(item.title), facts=facts if isinstance(facts, dict) else {})


def _is_known(desk: QueueDesk, target: str) -> bool:
    is_machine = target.startswith(HANDOFF_PREFIX)  # an agent is asked before there is an escalation
    return not target or (desk.queueing.is_target(target) and not is_machine)


def _is_outside(desk: QueueDesk, target: str, *named: str) -> bool:
    """Whether neither the rule nor `people` knows the address: what is sent there leaves the house."""
    return "@" in target and target not in named and desk.queueing.person(target) is None


def _unknown(target: str) -> NotPossible:
    return NotPossible(
        f"{target} is nobody that is known; name somebody of `people`, team:NAME, pagerduty:NAME, "
        "slack:#channel or an address"
    )


def _took(item: Escalated, now: datetime) -> dict[str, object]:
    return {"resolution_time_seconds": round((now - item.created_at).total_seconds())}


def _key(deed: str, now: datetime) -> str:
    """Each deed is told once: two of one kind at the same microsecond are one."""
    return f"queue-{deed}-{now.isoformat()}"


def _lines(text: str) -> str:
    """What a human typed, on as many lines as they like."""
    plain = text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "\ufffd")
    return plain.strip()[:_NOTE_MAX]
