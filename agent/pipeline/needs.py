"""Whose yes a plan takes: what its runbook, its effects and the configuration demand, the strictest of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agent.config import Config
from agent.domain.approvals import ASKED_BY, Demand, Needs, names_in, objection, strictest
from agent.domain.decisions import PlannedStep
from agent.domain.effects import EffectClass
from agent.domain.incident import EventKind, TimelineEvent
from agent.domain.people import Deed, refusal
from agent.domain.runbook import Runbook
from agent.pipeline.context import Context


def effects_of(runbook: Runbook, steps: Iterable[PlannedStep]) -> frozenset[EffectClass]:
    """What they change; a step that is not priced yet may do all that the runbook may."""
    found: set[EffectClass] = set()
    for step in steps:
        if step.waits_for:
            found.update(each for each, limit in runbook.blast_radius.limits.items() if limit > 0)
        found.update(effect.effect_class for command in step.commands for effect in command.effects)
    return frozenset(found - {EffectClass.READ})


def asks_always(config: Config, effects: Iterable[EffectClass]) -> bool:
    """Whether the configuration wants a yes for one of these effects, whatever the runbook's autonomy."""
    return bool(config.approval.demands(effects))


def needs(context: Context, incident_id: str, runbook: Runbook, steps: Sequence[PlannedStep]) -> Needs:
    """What a yes to these steps takes, as configured now."""
    return demanded(context.config, runbook, steps, asked_by=asked_by(context.store.timeline(incident_id)))


def demanded(
    config: Config, runbook: Runbook, steps: Sequence[PlannedStep], *, asked_by: Iterable[str]
) -> Needs:
    """The same where it is known who asks."""
    approval = config.approval
    demands = [
        runbook.blast_radius.demand or Demand(),
        *approval.demands(sorted(effects_of(runbook, steps))),
        Demand(four_eyes=approval.four_eyes),
    ]
    return strictest(demands, asked_by=asked_by)


def asked_by(timeline: Iterable[TimelineEvent]) -> tuple[str, ...]:
    """Who started it by hand, chose its runbook or edited its parameters: under four eyes others say yes."""
    names: list[str] = []
    for event in timeline:
        if event.kind in (EventKind.CHOSEN, EventKind.PARAMETERS_EDITED):
            names += names_in(event.actor)
        names += names_in(str(event.data.get(ASKED_BY) or ""))
    return tuple(dict.fromkeys(names))


def unobtainable(config: Config, wanted: Needs) -> str:
    """Why nobody could ever give what it takes, in words; "" if they could."""
    if wanted.is_plain or _others_may_sign_in(config):
        return ""
    if not config.people:
        return (
            f"its approval takes more than anybody's yes ({wanted}), and the configuration names no `people`"
        )
    may = [
        person.name
        for person in (each.person() for each in config.people)
        if not refusal(person, Deed.APPROVE) and not objection(wanted, person)
    ]
    if len(may) >= wanted.approvals:
        return ""
    who = f"only {', '.join(may)}" if may else "nobody"
    return f"its approval takes more people ({wanted}) than `people` has: {who} may give it"


def _others_may_sign_in(config: Config) -> bool:
    """Whether somebody may be known by a group, so that `people` does not say who there is."""
    groups = config.slack.groups if config.slack is not None else {}
    return bool(groups) or config.console.oidc is not None
