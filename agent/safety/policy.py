"""The verdict on every command of a plan: known, in reach, and inside the limits; before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.domain.command import Pipeline, PricedCommand, Refusal, Script, SimpleCommand
from agent.domain.effects import NEVER_BY_LIMIT_ALONE, BlastRadius, Effect, EffectClass
from agent.ports import Counter
from agent.safety import addresses
from agent.safety.analysis import Analysis
from agent.safety.budget import Limit, over
from agent.safety.effects import EffectTables
from agent.safety.grammar import PipedInput

_NEVER = {
    EffectClass.SECRET_READ: ("it would show a secret", "leave it out; steps never see secrets"),
    EffectClass.OPAQUE: (
        "what it changes is not known",
        "declare the request under `urls.allowed` in an effect table of yours, with its effect",
    ),
    EffectClass.DELETE: ("it would delete for good", "escalate to a human"),
}


@dataclass(frozen=True, slots=True)
class Guard:
    """What holds for every command of a runbook: the tables, its limits, and the config's reach."""

    tables: EffectTables
    blast_radius: BlastRadius
    allowed_hosts: Sequence[str] = ()
    allowed_namespaces: Sequence[str] = ()
    counter: Counter | None = None


def judge(
    script: Script,
    tables: EffectTables,
    blast_radius: BlastRadius,
    *,
    allowed_hosts: Sequence[str] = (),
    allowed_namespaces: Sequence[str] = (),
    counter: Counter | None = None,
) -> tuple[PricedCommand, ...]:
    """Every command of one step with its effects, or with the reason why it is refused."""
    guard = Guard(tables, blast_radius, allowed_hosts, allowed_namespaces, counter)
    return price_plan([script], guard)[0]


def price_plan(scripts: Sequence[Script | None], guard: Guard) -> tuple[tuple[PricedCommand, ...], ...]:
    """Every step's commands, one attempt each, in order: the first one that goes over a limit is refused.

    A step that was not understood (None) has no commands.
    """
    used: dict[EffectClass, int] = {}
    return tuple(_priced_script(script, guard, used) if script else () for script in scripts)


def _priced_script(script: Script, guard: Guard, used: dict[EffectClass, int]) -> tuple[PricedCommand, ...]:
    return tuple(
        _priced(link.pipeline, at, guard, used)
        for link in script.links
        for at in range(len(link.pipeline.commands))
    )


def _priced(pipeline: Pipeline, at: int, guard: Guard, used: dict[EffectClass, int]) -> PricedCommand:
    command = pipeline.commands[at]
    found = guard.tables.analyse(command.argv, counter=guard.counter, filled=command.filled)
    if isinstance(found, Refusal):
        return PricedCommand(command.argv, refusal=found)
    feeder = pipeline.commands[at - 1] if at else None
    refusal = _check_input(command, feeder, found) or _check_reach(found, guard)
    refusal = refusal or _check_limits(found.effects, guard.blast_radius, used)
    if refusal is None:
        for effect in found.effects:
            used[effect.effect_class] = used.get(effect.effect_class, 0) + effect.count
    return PricedCommand(command.argv, found.effects, refusal)


def _check_input(command: SimpleCommand, feeder: SimpleCommand | None, found: Analysis) -> Refusal | None:
    """Input can be commands to a program that sends or runs it: only programs that look at text take it."""
    if feeder is None or found.piped_input is PipedInput.DATA:
        return None
    if found.piped_input is PipedInput.BLANK and feeder.argv == ("echo",):
        return None
    name = command.argv[0]
    if found.piped_input is PipedInput.BLANK:
        return Refusal(f"{name} would send its input on", "feed it with `echo` alone")
    return Refusal(f"{name} takes no input through a pipe", "write `;` or `&&` between the commands")


def _check_reach(found: Analysis, guard: Guard) -> Refusal | None:
    radius = guard.blast_radius
    for where, hosts in (
        ("execution.allow.hosts", guard.allowed_hosts),
        ("the runbook's hosts", radius.hosts),
    ):
        for host in found.hosts:
            if hosts and not addresses.allows(hosts, host):
                return Refusal(f"the host {host} is not in {where}", f"allowed: {', '.join(hosts)}")
    for where, names in (
        ("execution.allow.namespaces", guard.allowed_namespaces),
        ("the runbook's namespaces", radius.namespaces),
    ):
        for name in found.namespaces:
            if names and name not in names:
                return _out_of_namespaces(name, where, names)
    return None


def _out_of_namespaces(name: str, where: str, names: Sequence[str]) -> Refusal:
    hint = f"allowed: {', '.join(names)}"
    if not name:
        return Refusal(f"it names no namespace, and {where} allows only some", f"add -n; {hint}")
    if name == "*":
        return Refusal(f"it reaches all namespaces, and {where} allows only some", f"use -n; {hint}")
    return Refusal(f"the namespace {name} is not in {where}", hint)


def _check_limits(
    effects: Sequence[Effect], radius: BlastRadius, used: dict[EffectClass, int]
) -> Refusal | None:
    for effect in effects:
        if effect.effect_class in NEVER_BY_LIMIT_ALONE:
            reason, hint = _NEVER[effect.effect_class]
            return Refusal(f"{reason}: {effect.target}; no limit grants {effect.effect_class.value}", hint)
    asked: dict[EffectClass, int] = {}
    for effect in effects:
        asked[effect.effect_class] = asked.get(effect.effect_class, 0) + effect.count
    asked.pop(EffectClass.READ, None)
    for effect_class, count in asked.items():
        limit = Limit(effect_class.limit_key, radius.limit(effect_class))
        before = used.get(effect_class, 0)
        if refusal := over(limit, used=before, asked=count, by="earlier commands"):
            return refusal
    return None
