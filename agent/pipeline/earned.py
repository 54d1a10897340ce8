"""Autonomy that is earned: what a run says about its runbook, and how far it goes alone by its record."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

from agent.config import Config
from agent.domain.autonomy import (
    Bounds,
    FileChanged,
    LevelGiven,
    Ran,
    RunEnded,
    Standing,
    after,
    least,
    level_of,
)
from agent.domain.decisions import EscalationTrigger, Stopped, Terms
from agent.domain.incident import ASKED_SOURCE, MANUAL_SOURCE, Entry, EventKind, Incident
from agent.domain.outbox import Channel
from agent.domain.people import Actor, Deed, refusal
from agent.domain.records import Changes
from agent.domain.remembering import once_each
from agent.domain.runbook import Autonomy, Runbook, Step
from agent.pipeline.context import Context
from agent.pipeline.kept import kept_runbook
from agent.pipeline.telling import Teller, nth, tell
from agent.ports import Records

#: Escalations that say that the runbook did not do what it is for.
_FAILURES = frozenset(
    {
        EscalationTrigger.STEP_FAILED,
        EscalationTrigger.STOPPED_BY_RUNBOOK,
        EscalationTrigger.OUTCOME_UNKNOWN,
        EscalationTrigger.NOT_VERIFIED,
    }
)

#: Those that say so only where a step had begun: before, the alert or a limit stood against it.
_FAILURES_MIDWAY = frozenset({EscalationTrigger.REFUSED, EscalationTrigger.DEADLINE})


@once_each(most=1_000)
def effects_of_file(runbook: Runbook) -> str:
    """A hash over what the file lets happen: commands, conditions, parameters, limits, but no prose."""
    verification = runbook.verification
    covered = {
        "steps": [_covered(step) for step in runbook.steps],
        "verify": [_covered(step) for step in verification.steps] if verification else [],
        "hold_for_s": verification.hold_for_s if verification else 0,
        "rollback": [_covered(step) for step in runbook.rollback],
        "parameters": [_without(asdict(each), "line") for each in runbook.parameters],
        "limits": _without(asdict(runbook.blast_radius), "demand", "requires_human_approval"),
    }
    return hashlib.sha256(json.dumps(covered, sort_keys=True, default=str).encode()).hexdigest()


def _covered(step: Step) -> Mapping[str, object]:
    return _without(asdict(step), "title", "line", "command_line")


def _without(values: Mapping[str, object], *names: str) -> Mapping[str, object]:
    return {name: value for name, value in values.items() if name not in names}


def bounds_of(config: Config, runbook: Runbook) -> Bounds:
    """What the file and the configuration say now."""
    default = config.runbooks.default_autonomy
    start = runbook.autonomy_or(default)
    again = default if config.autonomy.demote_stated else start
    return Bounds(effects_of_file(runbook), start, runbook.bound, again)


def level(config: Config, standing: Standing | None, runbook: Runbook) -> Autonomy:
    """How far the runbook goes alone now; a changed file as it will when it is run next."""
    bounds = bounds_of(config, runbook)
    if standing is not None and standing.effects != bounds.effects:
        standing = after(standing, _changed(config, runbook, bounds), standing.since).standing
    return level_of(standing, bounds)


def _changed(config: Config, runbook: Runbook, bounds: Bounds, *, in_chat: bool = False) -> FileChanged:
    return FileChanged(runbook.id, bounds, "change" in config.autonomy.demote_on, in_chat)


def settle(context: Context, incident_id: str, runbook: Runbook, terms: Terms, *, number: int = 1) -> Terms:
    """The terms with the autonomy that the record gives; a changed file begins again, and is told."""
    standing = context.store.autonomy_of(runbook.id)
    if standing is not None and standing.effects != effects_of_file(runbook):
        bounds = bounds_of(context.config, runbook)
        event = _changed(context.config, runbook, bounds, in_chat=Channel.CHAT in context.channels)
        text = f"{runbook.id} is not the file any more that its record was about"
        tell(
            context,
            incident_id,
            Entry(nth("autonomy-file", number), EventKind.SYSTEM, text, {"runbook": runbook.id}),
            changes=Changes(earned=event),
        )
        standing = context.store.autonomy_of(runbook.id)
    return replace(terms, autonomy=level(context.config, standing, runbook).value)


def by_resolving(context: Context, incident: Incident) -> RunEnded | None:
    """What it says of a runbook that it resolved its incident."""
    return _ended(context, incident, Ran.SUCCEEDED, "")


def by_stopping(context: Context, incident: Incident, stopped: Stopped, reason: str) -> RunEnded | None:
    """What an escalation says of the runbook; None if it is not the runbook's doing."""
    if stopped.trigger is EscalationTrigger.RECURRENCE:
        return _recurred(context, incident, reason)
    if stopped.trigger is EscalationTrigger.APPROVAL_REJECTED:
        return _ended(context, incident, Ran.REJECTED, reason)
    midway = stopped.trigger in _FAILURES_MIDWAY and bool(context.store.attempts(incident.id))
    if stopped.trigger in _FAILURES or midway:
        return _ended(context, incident, Ran.FAILED, reason)
    return None


def by_hand(context: Context, incident: Incident, how: str) -> RunEnded | None:
    """A human resolved what a shadow watched: kept for whoever decides on its autonomy."""
    return _ended(context, incident, Ran.BY_HAND, how)


def _recurred(context: Context, incident: Incident, reason: str) -> RunEnded | None:
    """It is the earlier incident's runbook that cured a symptom; a file that is gone has nothing to lose."""
    told = [event for event in context.store.timeline(incident.id) if event.kind is EventKind.RECURRING]
    runbook = context.library.runbooks.get(str(told[-1].data.get("fixed_by"))) if told else None
    return None if runbook is None else _event(context, incident, runbook, Ran.RECURRED, reason)


def _ended(context: Context, incident: Incident, ran: Ran, why: str) -> RunEnded | None:
    if not incident.runbook_id or incident.alert.source in (MANUAL_SOURCE, ASKED_SOURCE):
        return None
    runbook = kept_runbook(context, incident.runbook_id, incident.runbook_revision)
    return _event(context, incident, runbook, ran, why)


def _event(context: Context, incident: Incident, runbook: Runbook, ran: Ran, why: str) -> RunEnded:
    settings = context.config.autonomy
    return RunEnded(
        runbook.id,
        bounds_of(context.config, runbook),
        incident.id,
        ran,
        why,
        promote_after=settings.promote_after,
        demotes=("recurrence" if ran is Ran.RECURRED else "failure") in settings.demote_on,
        demotes_stated=settings.demote_stated,
        in_chat=Channel.CHAT in context.channels,
    )


def promote(
    teller: Teller,
    config: Config,
    runbook: Runbook,
    *,
    to: Autonomy | None,
    by: str,
    why: str,
    actor: Actor | None = None,
) -> Autonomy | str:
    """The level that it has now; a text says why not. Never beyond what its file allows."""
    if actor is not None and (refused := refusal(actor.person, Deed.PROMOTE)):
        return refused
    standing = teller.store.autonomy_of(runbook.id)
    bounds = bounds_of(config, runbook)
    now = level(config, standing, runbook)
    wanted = to or _next(now)
    if least(wanted, bounds.bound) is not wanted:
        return (
            f"{runbook.id} may go as far as {bounds.bound} by its file and no further; "
            "what it may do alone is written there (`autonomy`, `requires_human_approval`)"
        )
    if least(wanted, now) is wanted:
        return f"{runbook.id} is at {now} already"
    _give(teller, standing, LevelGiven(runbook.id, bounds, wanted, by, why))
    return wanted


def demote(
    teller: Teller,
    config: Config,
    runbook: Runbook,
    *,
    to: Autonomy | None,
    by: str,
    why: str,
    actor: Actor | None = None,
) -> Autonomy | str:
    """The level that it has now; a text says why not. Less is a responder's, like a stop."""
    if actor is not None and (refused := refusal(actor.person, Deed.STOP)):
        return refused
    standing = teller.store.autonomy_of(runbook.id)
    now = level(config, standing, runbook)
    wanted = to or _before(now)
    if wanted is now or least(wanted, now) is not wanted:
        return f"{runbook.id} is at {now}, which is not above {wanted}"
    _give(teller, standing, LevelGiven(runbook.id, bounds_of(config, runbook), wanted, by, why))
    return wanted


def _give(teller: Teller, standing: Standing | None, event: LevelGiven) -> None:
    """Told where its last run was told, for that is where it was proposed; without any, in its own story."""
    evidence = standing.evidence if standing is not None else ()
    story = evidence[0].incident_id if evidence else story_of(event.runbook_id)
    told = replace(event, why=teller.redactor.text(event.why))
    teller.store.give_level(story, told, in_chat=bool(evidence) and Channel.CHAT in teller.channels)


def story_of(runbook_id: str) -> str:
    """Under which id the timeline tells of a runbook that has not run yet."""
    return f"runbook-{runbook_id}"


def _next(now: Autonomy) -> Autonomy:
    order = tuple(Autonomy)
    return order[min(order.index(now) + 1, len(order) - 1)]


def _before(now: Autonomy) -> Autonomy:
    order = tuple(Autonomy)
    return order[max(order.index(now) - 1, 0)]


def listed(store: Records, config: Config, runbooks: Iterable[Runbook]) -> list[dict[str, Any]]:
    """Each runbook: its level, what its file allows, its evidence and what is proposed; for every face."""
    known = {standing.runbook_id: standing for standing in store.all_autonomy()}
    rows: list[dict[str, Any]] = []
    for runbook in sorted(runbooks, key=lambda each: each.id):
        standing = known.get(runbook.id)
        is_current = standing is not None and standing.effects == effects_of_file(runbook)
        rows.append(
            {
                "runbook": runbook.id,
                "level": level(config, standing, runbook).value,
                "bound": runbook.bound.value,
                "since": standing.since.isoformat() if standing is not None and standing.level else None,
                "by": standing.by if standing is not None and standing.level else "its file",
                "why": standing.why if standing is not None and standing.level else "",
                "in_a_row": standing.in_a_row if standing is not None and is_current else 0,
                "promote_after": config.autonomy.promote_after,
                "proposed": standing.proposed.value
                if standing is not None and standing.proposed is not None and is_current
                else None,
                "evidence": [
                    {
                        "incident": each.incident_id,
                        "ran": each.ran.value,
                        "at": each.at.isoformat(),
                        "why": each.why,
                    }
                    for each in (standing.evidence if standing is not None and is_current else ())
                ],
            }
        )
    return rows
