"""`/oncall …`: the same functions as the command line and the API, answered in words for one person alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from agent.domain.errors import UnknownIncidentError
from agent.domain.incident import Incident
from agent.domain.people import LEAST_ROLE, Actor, Deed
from agent.domain.queue import Action, Escalated
from agent.domain.stops import Stop, StopAsked, StopScope, words
from agent.pipeline import answers, asked, queueing, stops
from agent.pipeline.answers import NotTaken, Taken
from agent.pipeline.asked import NotStarted, RunAsked
from agent.pipeline.meant import unclear
from agent.pipeline.queueing import Settling
from agent.pipeline.telling import Teller
from agent.reports.postmortem_text import in_short
from agent.web import postmortems

if TYPE_CHECKING:
    from agent.web.app import WebParts

_MOST_SHOWN = 15

HELP = """This agent understands:
    /oncall status                 what runs, what waits for a human, what is stopped
    /oncall runbooks               the runbooks in force
    /oncall approve ID [HASH]      let the plan run that ID asks about
    /oncall reject ID              do not; a human is paged
    /oncall choose ID RUNBOOK      which of the offered runbooks it is; where a plan is asked about,
                                   another one that matches
    /oncall take ID                take it over: the agent starts nothing more
    /oncall stop [now] [all | service X | runbook Y] REASON
                                   start nothing more; with `now` end what runs too
    /oncall resume [ID]            lift a stop
    /oncall claim ID               an escalation is yours
    /oncall settle ID ACTION NOTE  it is dealt with: allow, block, redact_and_allow; fixed_by_hand, …
    /oncall postmortem ID          what it was, what may have caused it, what is to be done
    /oncall who                    who you are here, and who may do what
    /oncall run RUNBOOK [TITLE]    start it: its plan is shown and waits for a yes
IDs may be the agent's own or the source's."""

_TITLE_MAX = 200


@dataclass(frozen=True, slots=True)
class WhoMay:
    """Who types, if they may do it; else why not, in words. `key` is that of what they typed."""

    ask: Callable[[Deed], Actor | str]
    key: str = ""


class NotDoneError(Exception):
    """What was typed was not done; the message says why."""


class Commands:
    """Each command reads what it needs, asks whether this person may, and says what it did."""

    def __init__(self, parts: WebParts, teller: Teller) -> None:
        self._parts = parts
        self._store = parts.store
        self._teller = teller
        self._known: Mapping[str, Callable[[Sequence[str], WhoMay], str]] = {
            "status": self._status,
            "runbooks": self._runbooks,
            "run": self._run,
            "approve": lambda rest, who: self._decide(rest, who, approved=True),
            "reject": lambda rest, who: self._decide(rest, who, approved=False),
            "choose": self._choose,
            "take": self._take,
            "stop": self._stop,
            "resume": self._resume,
            "who": self._who,
            "claim": self._claim,
            "settle": self._settle,
            "postmortem": self._postmortem,
        }

    def answer(self, text: str, who: WhoMay) -> str:
        """What the person is told; whatever was done is durable by then."""
        typed = words(text).split(" ")
        name = typed[0].lower()
        if name in ("", "help"):
            return HELP
        handler = self._known.get(name)
        if handler is None:
            return f"There is no `/oncall {name[:30]}`.\n{HELP}"
        try:
            return handler(typed[1:], who)
        except NotDoneError as error:
            return f"Nothing was done: {error}"

    def _status(self, _: Sequence[str], who: WhoMay) -> str:
        _may(who, Deed.VIEW)
        lines = [f"⛔ {each} ({each.id})" for each in self._store.stops()]
        for row in self._store.waiting()[:_MOST_SHOWN]:
            lines.append(f"✋ {row['incident_id']} waits for {row['waits_for']} until {row['until']}")
        unfinished = self._store.unfinished()
        lines += [_line(each) for each in unfinished[:_MOST_SHOWN]]
        if len(unfinished) > _MOST_SHOWN:
            lines.append(f"… and {len(unfinished) - _MOST_SHOWN} more")
        return "\n".join(lines) or "Nothing runs, nothing waits for a human, nothing is stopped"

    def _runbooks(self, _: Sequence[str], who: WhoMay) -> str:
        _may(who, Deed.VIEW)
        default = self._parts.config.runbooks.default_autonomy
        found = sorted(self._parts.library.runbooks.values(), key=lambda each: each.id)
        lines = [f"    {each.id}  {each.autonomy_or(default)}  {each.title}" for each in found]
        return "\n".join([f"{len(found)} runbooks are in force", *lines])

    def _run(self, rest: Sequence[str], who: WhoMay) -> str:
        actor = _may(who, Deed.RUN)
        if not rest:
            raise NotDoneError("say which: /oncall run RUNBOOK [TITLE]; /oncall runbooks lists them")
        wanted = RunAsked(rest[0], who.key, title=" ".join(rest[1:])[:_TITLE_MAX])
        started = asked.start(self._teller, self._parts.library.runbooks, wanted, actor)
        if isinstance(started, NotStarted):
            raise NotDoneError(started.why)
        self._parts.notify()
        again = " had been started before" if started.again else " is started"
        return f"{started.incident_id}{again}: {wanted.runbook}; its plan waits for a yes in its thread"

    def _decide(self, rest: Sequence[str], who: WhoMay, *, approved: bool) -> str:
        # a no makes the agent do less
        actor = _may(who, Deed.APPROVE if approved else Deed.STAND_DOWN)
        incident = self._incident(rest)
        plan_hash = "".join(rest[1:2])
        if approved and not plan_hash and (why := unclear(self._store, incident, by=str(actor))):
            raise NotDoneError(f"{why}: /oncall approve {incident.id} HASH")
        taken = answers.decide(
            self._store,
            incident,
            approved=approved,
            by=str(actor),
            now=self._now(),
            plan_hash=plan_hash,
            actor=actor,
            teller=self._teller,
        )
        counts = self._taken(taken)
        verb = "approved" if approved else "rejected"
        rest = f"; it waits for {counts.waits_for} more" if counts.waits_for else ""
        return f"You {verb} {incident.id}, plan {counts.decision.plan_hash[:12]}{rest}"

    def _choose(self, rest: Sequence[str], who: WhoMay) -> str:
        actor = _may(who, Deed.CHOOSE)
        incident = self._incident(rest)
        runbook = " ".join(rest[1:])
        if not runbook:
            raise NotDoneError("say which: /oncall choose ID RUNBOOK")
        by, now = str(actor), self._now()
        self._taken(answers.choose(self._store, incident, runbook, by=by, now=now, actor=actor))
        return f"You chose {runbook} for {incident.id}"

    def _take(self, rest: Sequence[str], who: WhoMay) -> str:
        actor = _may(who, Deed.STAND_DOWN)
        incident = self._incident(rest)
        self._taken(answers.stand_down(self._teller, incident, by=str(actor), now=self._now()))
        return f"{incident.id} is with you now: the agent starts nothing more"

    def _stop(self, rest: Sequence[str], who: WhoMay) -> str:
        actor = _may(who, Deed.STOP)
        asked = _stop_asked(rest, by=str(actor))
        put, is_new = stops.put(self._teller, asked, now=self._now())
        self._parts.notify()
        ends = "what runs is ended" if put.ends_running else "what runs is let finish"
        again = "" if is_new else " already"
        return f"⛔ {put.what} is stopped{again}, {ends}. To go on: /oncall resume {put.id}"

    def _resume(self, rest: Sequence[str], who: WhoMay) -> str:
        actor = _may(who, Deed.RESUME)
        stop = self._meant(rest[0] if rest else "")
        lifted = stops.lift(self._teller, stop, by=str(actor), now=self._now())
        self._parts.notify()
        return f"▶️ Resumed: {stop.what}" if lifted else f"{stop.id} was lifted before"

    def _who(self, _: Sequence[str], who: WhoMay) -> str:
        actor = _may(who, Deed.VIEW)
        yours = [
            each.replace("_", " ") for each, least in LEAST_ROLE.items() if actor.person.role.covers(least)
        ]
        lines = [f"You are {actor.person.name}, {actor.person.role}: you may {', '.join(yours)}"]
        for each in self._parts.config.people[:_MOST_SHOWN]:
            lines.append(f"    {each.name}  {each.role}")
        if self._parts.config.slack is not None and self._parts.config.slack.groups:
            lines.append("and whoever is in a user group of slack.groups")
        return "\n".join(lines)

    def _claim(self, rest: Sequence[str], who: WhoMay) -> str:
        actor = _may(who, Deed.CLAIM)
        if not rest:
            raise NotDoneError("say which: /oncall claim ID")
        desk = queueing.desk_of(self._parts.config, self._store, self._parts.redactor)
        changed = queueing.claim(desk, rest[0], actor, now=self._now())
        if not isinstance(changed, Escalated):
            raise NotDoneError(changed.why)
        self._parts.notify()
        return f"{changed.id} is yours: {changed.title}"

    def _settle(self, rest: Sequence[str], who: WhoMay) -> str:
        actor = _may(who, Deed.SETTLE)
        if len(rest) < 3 or rest[1].lower() not in set(Action):
            known = ", ".join(sorted(each for each in Action if each is not Action.ESCALATE_FURTHER))
            raise NotDoneError(f"say /oncall settle ID ACTION NOTE; an action is one of {known}")
        settling = Settling(Action(rest[1].lower()), " ".join(rest[2:]))
        desk = queueing.desk_of(self._parts.config, self._store, self._parts.redactor)
        changed = queueing.resolve(desk, rest[0], actor, settling, now=self._now())
        if not isinstance(changed, Escalated):
            raise NotDoneError(changed.why)
        self._parts.notify()
        return f"{changed.id} is settled: {settling.action.replace('_', ' ')}"

    def _postmortem(self, rest: Sequence[str], who: WhoMay) -> str:
        _may(who, Deed.VIEW)
        incident = self._incident(rest)
        parts = self._parts
        made = postmortems.postmortem_of(self._store, parts.config, parts.redactor, incident)
        return in_short(made, f"{parts.config.pages_url}/incidents/{incident.id}/postmortem")

    def _incident(self, rest: Sequence[str]) -> Incident:
        if not rest:
            raise NotDoneError("say which incident, by its id")
        try:
            return self._store.incident(rest[0])  # ours first: the other is whatever its sender says
        except UnknownIncidentError as error:
            by_source = self._store.incidents(source_id=rest[0], limit=1)
            if not by_source:
                raise NotDoneError(str(error)) from error
            return by_source[0]

    def _meant(self, stop_id: str) -> Stop:
        """The stop with this id; one alone needs no name."""
        if stop_id:
            found = self._store.stop_of(stop_id)
            if found is None:
                raise NotDoneError(f"there is no stop {stop_id}; /oncall status lists them")
            return found
        in_force = self._store.stops()
        if len(in_force) != 1:
            names = ", ".join(each.id for each in in_force)
            raise NotDoneError(f"say which: {names}" if names else "nothing is stopped")
        return in_force[0]

    def _taken(self, answer: Taken | NotTaken) -> Taken:
        if isinstance(answer, NotTaken):
            raise NotDoneError(answer.why)
        self._parts.notify()
        return answer

    def _now(self) -> datetime:
        return self._store.clock.now()


def _may(who: WhoMay, deed: Deed) -> Actor:
    found = who.ask(deed)
    if isinstance(found, str):
        raise NotDoneError(found)
    return found


def _stop_asked(rest: Sequence[str], *, by: str) -> StopAsked:
    """`now`, then what, then why; a reason alone stops everything: it is typed in a hurry."""
    left = list(rest)
    ends_running = bool(left) and left[0].lower() == "now"
    if ends_running:
        left.pop(0)
    scope, name = StopScope.ALL, ""
    if left and left[0].lower() in [each.value for each in StopScope]:
        scope = StopScope(left.pop(0).lower())
        if scope is not StopScope.ALL:
            name = left.pop(0) if left else ""
            if not name:
                raise NotDoneError(f"say which {scope}: /oncall stop {scope} NAME REASON")
    if not left:
        raise NotDoneError("say why: /oncall stop [all | service X | runbook Y] REASON")
    return StopAsked(scope, name, " ".join(left), by, ends_running)


def _line(incident: Incident) -> str:
    runbook = f" {incident.runbook_id}" if incident.runbook_id else ""
    steps = f" {incident.steps_done}/{incident.steps_total} steps" if incident.steps_total else ""
    return f"{incident.id} {incident.status.replace('_', ' ')}{runbook}{steps}: {incident.alert.title}"
