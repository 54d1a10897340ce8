"""The verdict on every command of a plan: known, in reach, and inside the limits; before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agent.config.execution import Allowance
from agent.domain.command import Pipeline, PricedCommand, Refusal, Script, SimpleCommand
from agent.domain.effects import NEVER_BY_LIMIT_ALONE, BlastRadius, Effect, EffectClass
from agent.ports import Counter
from agent.safety import addresses
from agent.safety.analysis import Analysis
from agent.safety.budget import Limit, over
from agent.safety.effects import EffectTables
from agent.safety.grammar import PipedInput

_NEVER = {
    EffectClass.SECRET_READ: ("it would show a secret", "leave it out"),
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
    runbook_id: str = ""
    allowances: Mapping[str, Allowance] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Judged:
    """A step that is no script, such as a typed action: shown as an argv, and understood or refused."""

    argv: tuple[str, ...]
    found: Analysis | Refusal


@dataclass(slots=True)
class _Used:
    """What the commands before would have used."""

    effects: dict[EffectClass, int] = field(default_factory=dict)
    commands: int = 0


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


def price_plan(
    steps: Sequence[Script | Judged | None], guard: Guard
) -> tuple[tuple[PricedCommand, ...], ...]:
    """Every step's commands, one attempt each, in order: the first one that goes over a limit is refused.

    A step that was not understood (None) has no commands.
    """
    used = _Used()
    return tuple(_priced_step(step, guard, used) for step in steps)


def _priced_step(step: Script | Judged | None, guard: Guard, used: _Used) -> tuple[PricedCommand, ...]:
    if step is None:
        return ()
    if isinstance(step, Judged):
        return (_priced_judged(step, guard, used),)
    return tuple(
        _priced(link.pipeline, at, guard, used)
        for link in step.links
        for at in range(len(link.pipeline.commands))
    )


def _priced_judged(step: Judged, guard: Guard, used: _Used) -> PricedCommand:
    if isinstance(step.found, Refusal):
        return PricedCommand(step.argv, refusal=step.found)
    return _decided(step.argv, step.found, guard, used)


def _priced(pipeline: Pipeline, at: int, guard: Guard, used: _Used) -> PricedCommand:
    command = pipeline.commands[at]
    found = guard.tables.analyse(command.argv, counter=guard.counter, filled=command.filled)
    if isinstance(found, Refusal):
        return PricedCommand(command.argv, refusal=found)
    feeder = pipeline.commands[at - 1] if at else None
    if refusal := _check_input(command, feeder, found):
        return PricedCommand(command.argv, found.effects, refusal, found.access)
    return _decided(command.argv, found, guard, used)


def _decided(argv: tuple[str, ...], found: Analysis, guard: Guard, used: _Used) -> PricedCommand:
    """What is understood may still be out of reach, or over a limit."""
    refusal = (
        _check_reach(found, guard)
        or _check_allowance(found.effects, guard)
        or _check_limits(found.effects, guard.blast_radius, used)
    )
    if refusal is None:
        used.commands += 1
        for effect in found.effects:
            used.effects[effect.effect_class] = used.effects.get(effect.effect_class, 0) + effect.count
    return PricedCommand(argv, found.effects, refusal, found.access)


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


def _check_allowance(effects: Sequence[Effect], guard: Guard) -> Refusal | None:
    for effect in effects:
        if effect.effect_class in NEVER_BY_LIMIT_ALONE and (missing := _missing(effect.effect_class, guard)):
            reason, hint = _NEVER[effect.effect_class]
            no_limit = f"no limit grants {effect.effect_class.value}"
            return Refusal(f"{reason}: {effect.target}; {no_limit}, and {missing}", hint)
    return None


def _missing(effect_class: EffectClass, guard: Guard) -> str:
    """What of an allowance is not there: the runbook's word, or the config's; "" if both are.

    The third one, an approval, is asked for when the plan is complete (`needs_approval`).
    """
    name = guard.blast_radius.allowance
    if not name:
        return "the runbook's Blast Radius names no allowance"
    allowance = guard.allowances.get(name)
    if allowance is None:
        return f"execution.allowances has no {name}"
    if guard.runbook_id not in allowance.runbooks:
        return f"execution.allowances.{name}.runbooks does not list {guard.runbook_id or 'this runbook'}"
    if effect_class not in allowance.effects:
        return f"execution.allowances.{name}.effects does not list {effect_class.value}"
    return ""


def needs_approval(commands: Sequence[PricedCommand]) -> bool:
    """Whether a human must say yes whatever the runbook's autonomy: an allowance is used."""
    return any(effect.effect_class in NEVER_BY_LIMIT_ALONE for each in commands for effect in each.effects)


def _check_limits(effects: Sequence[Effect], radius: BlastRadius, used: _Used) -> Refusal | None:
    if radius.max_commands is not None:
        limit = Limit("max_commands", radius.max_commands)
        if refusal := over(limit, used=used.commands, asked=1, by="earlier commands"):
            return refusal
    asked: dict[EffectClass, int] = {}
    for effect in effects:
        asked[effect.effect_class] = asked.get(effect.effect_class, 0) + effect.count
    asked.pop(EffectClass.READ, None)
    for effect_class, count in asked.items():
        limit = Limit(effect_class.limit_key, radius.limit(effect_class))
        before = used.effects.get(effect_class, 0)
        if refusal := over(limit, used=before, asked=count, by="earlier commands"):
            return refusal
    return None


def grown(before: PricedCommand, now: PricedCommand) -> Refusal | None:
    """Whether a command does more, or something else, at the attempt than when it was planned."""
    planned, counted = _totals(before), _totals(now)
    if now.argv != before.argv:
        return Refusal(f"{now.argv[0]} is not the command that was planned", _ANEW)
    for key, count in counted.items():
        if key not in planned:
            return Refusal(f"{key[1]}: {count} × {key[0].value} now, which was not planned", _ANEW)
        if count > planned[key]:
            return Refusal(_more(key[0], key[1], count, planned[key]), _ANEW)
    return None


_ANEW = "the plan no longer holds; it has to be made, and approved, anew"


def _totals(command: PricedCommand) -> dict[tuple[EffectClass, str, str], int]:
    totals: dict[tuple[EffectClass, str, str], int] = {}
    for effect in command.effects:
        key = (effect.effect_class, effect.target, effect.namespace)
        totals[key] = totals.get(key, 0) + effect.count
    return totals


def _more(effect_class: EffectClass, target: str, count: int, planned: int) -> str:
    was = "was" if planned == 1 else "were"
    if effect_class is EffectClass.POD_RESTART:
        return f"{target} has {count} pods now, {planned} {was} planned"
    return f"{target}: {count} × {effect_class.value} now, {planned} {was} planned"
