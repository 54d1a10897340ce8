"""A human's answer, whichever way it comes: yes or no to a plan, a runbook chosen, a stand-down.

The same rules for the command line and the API: what is not asked, too late, or stopped is not taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from agent.domain.decisions import StandDown
from agent.domain.incident import Entry, EventKind, Incident, Status, TimelineEvent
from agent.domain.records import CHOICE, STAND_DOWN, Decision
from agent.pipeline.stops import Subject, covering
from agent.pipeline.telling import Teller, tell
from agent.ports import Records

#: So many characters of a plan's hash are shown in the thread, and are enough to name it.
LEAST_OF_A_HASH = 12

_HOW = "told the agent to stand down"


@dataclass(frozen=True, slots=True)
class Taken:
    """The answer counts. `again`: the same human had given it before."""

    decision: Decision
    again: bool = False


@dataclass(frozen=True, slots=True)
class NotTaken:
    """The answer does not count, and why."""

    why: str


def decide(
    store: Records, incident: Incident, *, approved: bool, by: str, now: datetime, plan_hash: str = ""
) -> Taken | NotTaken:
    """A yes or no to what was asked last, or to exactly the plan (or step of it) with this hash."""
    asked = _asked(store, incident, EventKind.APPROVAL_REQUESTED)
    last = str(asked[-1].data["plan_hash"]) if asked else ""
    decides = _named(asked, plan_hash) if plan_hash else last
    if not decides:
        return NotTaken(
            f"{incident.id} has asked about no plan {plan_hash}" if plan_hash else _waits_not(incident)
        )
    decision = Decision(decides, approved, by, now)
    if plan_hash and store.decision(incident.id, decides) is not None:
        return _given(store, incident, decision)
    if incident.status is not Status.AWAITING_APPROVAL:
        return NotTaken(_waits_not(incident))
    if decides != last:
        return NotTaken(f"{incident.id} asks about another plan by now: {last}")
    if now > _expiry(asked[-1]):
        return NotTaken(f"the time to decide on {incident.id} is over; a human is paged")
    return (_stopped(store, incident) if approved else None) or _given(store, incident, decision)


def choose(store: Records, incident: Incident, runbook: str, *, by: str, now: datetime) -> Taken | NotTaken:
    """Which of the offered runbooks answers the incident."""
    decision = Decision(CHOICE, True, by, now, runbook)
    if (known := store.decision(incident.id, CHOICE)) is not None and _says(known) == _says(decision):
        return Taken(known, again=True)
    asked = _asked(store, incident, EventKind.AMBIGUOUS)
    if incident.status is not Status.AWAITING_APPROVAL or not asked:
        return NotTaken(f"{incident.id} does not wait for a choice, it is {incident.status}")
    offered = _offered(asked[-1])
    if runbook not in offered:
        return NotTaken(f"{runbook} is not offered; choose one of {', '.join(offered)}")
    if now > _expiry(asked[-1]):
        return NotTaken(f"the time to choose for {incident.id} is over; a human is paged")
    return _stopped(store, incident, runbook) or _given(store, incident, decision)


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
    if known is not None and _says(known) == _says(decision):
        return Taken(known, again=True)
    verb = "chose for" if decision.plan_hash == CHOICE else "decided on"
    return NotTaken(f"somebody already {verb} {incident.id}")


def _says(decision: Decision) -> tuple[bool, str, str]:
    return decision.approved, decision.by, decision.choice


def _stopped(store: Records, incident: Incident, runbook: str = "") -> NotTaken | None:
    """A yes that nothing could run under is refused at once, with the way to make it count."""
    path = store.revision_text(incident.runbook_revision)[0] if incident.runbook_revision else ""
    subject = Subject(incident.alert.service, runbook or incident.runbook_id, path)
    stop = covering(store.stops(), subject)
    if stop is None:
        return None
    return NotTaken(f"{incident.id} is {stop}; `oncall-agent resume {stop.id}` lifts that")


def _asked(store: Records, incident: Incident, kind: EventKind) -> Sequence[TimelineEvent]:
    return [event for event in store.timeline(incident.id) if event.kind is kind]


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


def _expiry(asked: TimelineEvent) -> datetime:
    return datetime.fromisoformat(str(asked.data["expires_at"]))


def _waits_not(incident: Incident) -> str:
    return f"{incident.id} does not wait for an approval, it is {incident.status}"
