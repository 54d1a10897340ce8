"""A human's answer, whichever way it comes: yes, no or other values to a plan, a runbook, a stand-down.

The same rules for the command line, the API, Slack and the console: what is not asked, too late, stopped, or
not this person's to say is not taken.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from agent.domain.approvals import OTHERS, STEP_BY_STEP, Needs, TooLate, Vote, needs_of, objection
from agent.domain.decisions import StandDown
from agent.domain.incident import Entry, EventKind, Incident, Status, TimelineEvent
from agent.domain.outbox import Channel, ChatCard, ChatLine
from agent.domain.people import Actor, Deed, refusal
from agent.domain.records import CHOICE, INSTEAD, STAND_DOWN, Decision
from agent.library.bindings import why_not_allowed
from agent.pipeline.kept import runbook_of
from agent.pipeline.rechoice import others
from agent.pipeline.stops import Subject, covering
from agent.pipeline.telling import Teller, tell
from agent.ports import Records

#: So many characters of a plan's hash are shown in the thread, and are enough to name it.
LEAST_OF_A_HASH = 12

_HOW = "told the agent to stand down"


@dataclass(frozen=True, slots=True)
class Taken:
    """The answer counts. `again`: the same human had given it before. `waits_for`: yeses that are missing."""

    decision: Decision
    again: bool = False
    waits_for: int = 0


@dataclass(frozen=True, slots=True)
class NotTaken:
    """The answer does not count, and why."""

    why: str


def decide(
    store: Records,
    incident: Incident,
    *,
    approved: bool,
    by: str,
    now: datetime,
    plan_hash: str = "",
    actor: Actor | None = None,
    step_by_step: bool = False,
    teller: Teller | None = None,
) -> Taken | NotTaken:
    """A yes or no to what was asked last, or to exactly the plan (or step of it) with this hash.

    Where it takes more than anybody's one yes, `actor` says who it is; one no is enough. With a `teller` a
    yes that others must join is told in the thread.
    """
    if actor is not None and (why := refusal(actor.person, Deed.APPROVE if approved else Deed.STAND_DOWN)):
        return NotTaken(why)
    asked = _asked(store, incident, EventKind.APPROVAL_REQUESTED)
    decides = _decides(asked, plan_hash)
    if not decides:
        return NotTaken(
            f"{incident.id} has asked about no plan {plan_hash}" if plan_hash else _waits_not(incident)
        )
    decision = Decision(decides, approved, by, now, STEP_BY_STEP if approved and step_by_step else "")
    if plan_hash and store.decision(incident.id, decides) is not None:
        return _given(store, incident, decision)
    if (no := _not_asked(incident, asked, decides, now=now)) is not None:
        return no
    needs = needs_of(asked[-1].data)
    if approved and (stopped := _stopped(store, incident)) is not None:
        return stopped
    if not approved or needs.is_plain:
        return _given(store, incident, decision)
    return _voted(store, incident, decision, needs, actor=actor, teller=teller)


def edit(
    store: Records,
    incident: Incident,
    parameters: Mapping[str, str],
    *,
    by: str,
    now: datetime,
    plan_hash: str = "",
    actor: Actor | None = None,
) -> Taken | NotTaken:
    """Other values for a plan that is asked about: that question is over, another plan is asked about.

    Each value is held to what the runbook declares for its parameter; who edits has approved nothing.
    """
    if actor is not None and (why := refusal(actor.person, Deed.APPROVE)):
        return NotTaken(why)
    asked = _asked(store, incident, EventKind.APPROVAL_REQUESTED)
    decides = _decides(asked, plan_hash)
    if not decides:
        return NotTaken(_waits_not(incident))
    decision = Decision(decides, False, by, now, json.dumps(dict(parameters), sort_keys=True))
    known = store.decision(incident.id, decides)
    if known is not None and _says(known) == _says(decision):
        return Taken(known, again=True)
    if (no := _not_asked(incident, asked, decides, now=now)) is not None:
        return no
    if asked[-1].data.get("about") == "step":
        return NotTaken(f"{incident.id} asks about one step of a plan that runs; its values stand")
    if why := _not_editable(store, incident, parameters):
        return NotTaken(why)
    return _given(store, incident, decision)


def _not_editable(store: Records, incident: Incident, parameters: Mapping[str, str]) -> str:
    """Why these values cannot be had, for whoever wants them; "" if they can."""
    runbook = runbook_of(store, incident.runbook_id, incident.runbook_revision)
    declared = {each.name: each for each in runbook.parameters if not each.captured}
    plan = store.plan(incident.id)
    if not parameters or plan is None:
        return "say which parameter is to have which value"
    for name, value in parameters.items():
        if name not in declared:
            names = ", ".join(declared) or "none"
            return f"{runbook.id} has no parameter {name[:100]} that can be edited; it has: {names}"
        if reason := why_not_allowed(declared[name], value):
            return f"parameter {name}: {reason}"
    if all(
        name in plan.parameters and plan.parameters[name].value == parameters[name] for name in parameters
    ):
        return "the plan has these values already"
    return ""


def _decides(asked: Sequence[TimelineEvent], plan_hash: str) -> str:
    """The hash that an answer is to; "" if there is no such question."""
    if plan_hash:
        return _named(asked, plan_hash)
    return str(asked[-1].data["plan_hash"]) if asked else ""


def _not_asked(
    incident: Incident, asked: Sequence[TimelineEvent], decides: str, *, now: datetime
) -> NotTaken | None:
    """Why an answer comes to nothing now: nothing is asked, something else is, or it is too late."""
    last = str(asked[-1].data["plan_hash"])
    if incident.status is not Status.AWAITING_APPROVAL:
        return NotTaken(_waits_not(incident))
    if decides != last:
        return NotTaken(f"{incident.id} asks about another plan by now: {last}")
    if now > _expiry(asked[-1]):
        return NotTaken(f"the time to decide on {incident.id} is over; a human is paged")
    return None


def _voted(
    store: Records,
    incident: Incident,
    decision: Decision,
    needs: Needs,
    *,
    actor: Actor | None,
    teller: Teller | None,
) -> Taken | NotTaken:
    """One person's yes where it takes certain people's, or several: the last one is the decision."""
    if actor is None or not actor.is_shown:
        return NotTaken(
            f"{incident.id} takes more than anybody's yes ({needs}), and you have not shown "
            "who you are: approve it in Slack, in the console, with a personal token, or on the command line "
            "as a user who is in `people`, with their e-mail address and Slack id"
        )
    if why := objection(needs, actor.person):
        return NotTaken(why)
    name = actor.person.name
    before = len([each for each in store.votes(incident.id, decision.plan_hash) if each.person != name])
    missing = max(0, needs.approvals - before - 1)
    rest = f"; {missing} more needed" if missing else ""
    entry = Entry(
        f"vote-{decision.plan_hash[:LEAST_OF_A_HASH]}-{name}",
        EventKind.VOTED,
        f"👍 {before + 1} of {needs.approvals}: {decision.by} says yes{rest}",
        {"plan_hash": decision.plan_hash, "by": decision.by, "approvals": needs.approvals},
        decision.by,
    )
    chat = Channel.CHAT in teller.channels if teller is not None else False
    counted = store.vote(
        incident.id,
        Vote(decision.plan_hash, name, decision.by, decision.at, decision.is_step_by_step),
        needed=needs.approvals,
        entry=entry,
        messages=(ChatLine(entry.text), ChatCard()) if chat else (),
    )
    if isinstance(counted, TooLate):
        return _given(store, incident, decision)
    known = store.decision(incident.id, decision.plan_hash)
    return Taken(
        known or decision, again=not counted.is_new, waits_for=max(0, needs.approvals - counted.yeses)
    )


def choose(
    store: Records,
    incident: Incident,
    runbook: str,
    *,
    by: str,
    now: datetime,
    plan_hash: str = "",
    actor: Actor | None = None,
) -> Taken | NotTaken:
    """Which of the offered runbooks answers the incident; or, where a plan is asked about, which other one.

    With a `plan_hash` it is about that plan and nothing else.
    """
    questions = _asked(store, incident, EventKind.APPROVAL_REQUESTED, EventKind.AMBIGUOUS)
    is_planned = bool(questions) and questions[-1].kind is EventKind.APPROVAL_REQUESTED
    if plan_hash or (is_planned and incident.runbook_id != runbook):
        return _choose_another(store, incident, runbook, by=by, now=now, plan_hash=plan_hash, actor=actor)
    if actor is not None and (why := refusal(actor.person, Deed.CHOOSE)):
        return NotTaken(why)
    decision = Decision(CHOICE, True, by, now, runbook)
    if (known := store.decision(incident.id, CHOICE)) is not None and _says(known) == _says(decision):
        return Taken(known, again=True)
    asked = _asked(store, incident, EventKind.AMBIGUOUS)
    if is_planned and incident.status is Status.AWAITING_APPROVAL:
        return _choose_another(store, incident, runbook, by=by, now=now, actor=actor)
    if incident.status is not Status.AWAITING_APPROVAL or not asked:
        return NotTaken(f"{incident.id} does not wait for a choice, it is {incident.status}")
    offered = _offered(asked[-1])
    if runbook not in offered:
        return NotTaken(f"{runbook} is not offered; choose one of {', '.join(offered)}")
    if now > _expiry(asked[-1]):
        return NotTaken(f"the time to choose for {incident.id} is over; a human is paged")
    return _stopped(store, incident, runbook) or _given(store, incident, decision)


def _choose_another(
    store: Records,
    incident: Incident,
    runbook: str,
    *,
    by: str,
    now: datetime,
    plan_hash: str = "",
    actor: Actor | None = None,
) -> Taken | NotTaken:
    """Another runbook in the place of the one whose plan is asked about: that question is over.

    Only one whose rules hold for the alert too. Who chooses it has approved nothing.
    """
    if actor is not None and (why := refusal(actor.person, Deed.APPROVE)):
        return NotTaken(why)
    asked = _asked(store, incident, EventKind.APPROVAL_REQUESTED)
    decides = _decides(asked, plan_hash)
    if not decides:
        return NotTaken(f"{incident.id} has asked about no plan {plan_hash}")
    decision = Decision(decides, False, by, now, f"{INSTEAD}{runbook}")
    for each in asked if not plan_hash else ():
        known = store.decision(incident.id, str(each.data["plan_hash"]))
        if known is not None and incident.runbook_id == runbook and _says(known) == _says(decision):
            return Taken(known, again=True)
    known = store.decision(incident.id, decides)
    if known is not None and _says(known) == _says(decision):
        return Taken(known, again=True)
    if (no := _not_asked(incident, asked, decides, now=now)) is not None:
        return no
    if why := _not_another(incident, asked[-1], runbook):
        return NotTaken(why)
    candidates = {each.runbook_id: each for each in others(store.timeline(incident.id), incident.runbook_id)}
    path = store.revision_text(candidates[runbook].revision)[0] if runbook in candidates else ""
    return _stopped(store, incident, runbook, path) or _given(store, incident, decision)


def _not_another(incident: Incident, asked: TimelineEvent, runbook: str) -> str:
    """Why the plan that is asked about cannot give way to one of this runbook; "" if it can."""
    if asked.data.get("about") == "step":
        return f"{incident.id} asks about one step of a plan that runs; its runbook stands"
    if runbook == incident.runbook_id:
        return f"{incident.id} asks about a plan of {runbook} already"
    names = offered_instead(asked)
    if runbook in names:
        return ""
    rest = f"choose one of {', '.join(names)}" if names else "the conditions of no other runbook hold for it"
    return f"{runbook[:100]} is not offered; {rest}"


def stand_down(teller: Teller, incident: Incident, *, by: str, now: datetime) -> Taken | NotTaken:
    """Hand the incident to a human: what runs is ended and nothing more is started."""
    store = teller.store
    decision = Decision(STAND_DOWN, False, by, now)
    before = store.stand_down_of(incident.id)
    if before is not None and before != StandDown(by, _HOW):
        return NotTaken(f"{before.by} has it already: {before.how}")
    if not store.stand_down(incident.id, StandDown(by, _HOW)):
        if before is not None:
            return Taken(decision, again=True)
        return NotTaken(f"{incident.id} is over, it is {store.incident(incident.id).status}")
    entry = Entry("stand-down-asked", EventKind.NOTE, f"🧍 {by} {_HOW}: stopping", {"by": by}, by)
    tell(teller, incident.id, entry)
    is_new = store.decide(incident.id, decision)  # wakes a run that waits
    return Taken(decision, again=not is_new)


def _given(store: Records, incident: Incident, decision: Decision) -> Taken | NotTaken:
    """The first word counts; said again by the same human it is no other one."""
    if store.decide(incident.id, decision):
        return Taken(decision)
    known = store.decision(incident.id, decision.plan_hash)
    if known is not None and (
        _says(known) == _says(decision) or _joined_in(store, incident, known, decision)
    ):
        return Taken(known, again=True)
    if known is not None and known.edited is not None:
        return NotTaken(f"{known.by} has edited the parameters of {incident.id}: it asks about another plan")
    if known is not None and known.rechosen:
        chosen = f"{known.by} has chosen {known.rechosen} for {incident.id}"
        return NotTaken(f"{chosen}: it asks about another plan")
    verb = "chose for" if decision.plan_hash == CHOICE else "decided on"
    return NotTaken(f"somebody already {verb} {incident.id}")


def _joined_in(store: Records, incident: Incident, known: Decision, said: Decision) -> bool:
    """Whether this yes is one of the several that were the decision."""
    if not (known.approved and said.approved):
        return False
    return any(each.by == said.by for each in store.votes(incident.id, known.plan_hash))


def _says(decision: Decision) -> tuple[bool, str, str]:
    return decision.approved, decision.by, decision.choice


def _stopped(store: Records, incident: Incident, runbook: str = "", path: str = "") -> NotTaken | None:
    """A yes that nothing could run under is refused at once, with the way to make it count."""
    if not runbook and incident.runbook_revision:
        path = store.revision_text(incident.runbook_revision)[0]
    subject = Subject(incident.alert.service, runbook or incident.runbook_id, path)
    stop = covering(store.stops(), subject)
    if stop is None:
        return None
    return NotTaken(f"{incident.id} is {stop}; `oncall-agent resume {stop.id}` lifts that")


def _asked(store: Records, incident: Incident, *kinds: EventKind) -> Sequence[TimelineEvent]:
    return [event for event in store.timeline(incident.id) if event.kind in kinds]


def _named(asked: Sequence[TimelineEvent], plan_hash: str) -> str:
    """The whole hash that this one is, or begins; "" if there is none, or more than one."""
    if len(plan_hash) < LEAST_OF_A_HASH:
        return ""
    found = {
        str(each.data["plan_hash"]) for each in asked if str(each.data["plan_hash"]).startswith(plan_hash)
    }
    return found.pop() if len(found) == 1 else ""


def _offered(asked: TimelineEvent) -> list[str]:
    choices = asked.data.get("choices")
    return [str(each[0]) for each in choices] if isinstance(choices, list) else []


def offered_instead(asked: TimelineEvent) -> list[str]:
    """The runbooks that may be chosen in the place of the one whose plan this asks about."""
    found = asked.data.get(OTHERS)
    return [str(each[0]) for each in found] if isinstance(found, list) else []


def _expiry(asked: TimelineEvent) -> datetime:
    return datetime.fromisoformat(str(asked.data["expires_at"]))


def _waits_not(incident: Incident) -> str:
    return f"{incident.id} does not wait for an approval, it is {incident.status}"
