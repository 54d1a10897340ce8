"""One look of a `## Watch` item: a query, a command that only reads, or a count of Keeptrusts."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

from agent.domain.command import PricedCommand, Refusal
from agent.domain.decisions import PlannedStep, Section
from agent.domain.errors import AgentError, ServiceError, StoreError
from agent.domain.probing import Probe, ProbeKind, Unseen
from agent.domain.runbook import Runbook, Step
from agent.library import json_paths
from agent.library.problems import NotUnderstoodError
from agent.pipeline import stops
from agent.pipeline.context import Context
from agent.pipeline.planning import judge_again, plan_step
from agent.ports import CommandResult, Metrics, PendingEscalations

_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(?:\.[0-9]{1,18})?(?:[eE][+-]?[0-9]{1,3})?%?")
_WORDS_MAX = 300


@dataclass(frozen=True, slots=True)
class Sight:
    """What can be asked; None: config.yaml has no such section."""

    metrics: Metrics | None = None
    pending: PendingEscalations | None = None

    def off(self, probe: Probe) -> str:
        """Why this is not watched at all: what it asks is switched off; "" if it is watched."""
        if probe.kind is ProbeKind.PROMQL and self.metrics is None:
            return "not watched: config.yaml has no prometheus section"
        if probe.kind is ProbeKind.PENDING and self.pending is None:
            return "not watched: config.yaml has no keeptrusts section with an api_token"
        return ""


@dataclass(frozen=True, slots=True)
class Held:
    """It was not looked: a human's stop is in force, or what would be asked is switched off."""

    why: str


Seen = float | Unseen | Held


def look(context: Context, sight: Sight, runbook: Runbook, probe: Probe) -> Seen:
    """The number that it has now, or why there is none; nothing is charged, and nothing is changed."""
    seen: Seen
    try:
        if probe.kind is ProbeKind.PROMQL and sight.metrics is not None:
            seen = sight.metrics.value(probe.query, timeout_s=probe.timeout_s)
        elif probe.kind is ProbeKind.PENDING and sight.pending is not None:
            seen = float(sight.pending.pending())
        elif off := sight.off(probe):
            return Held(off)
        else:
            seen = _output_of(context, runbook, probe)
    except StoreError:  # nothing is known then, not even whether it may be looked
        raise
    except ServiceError as error:
        seen = Unseen(str(error), error.service)
    except AgentError as error:
        seen = Unseen(str(error))
    return replace(seen, why=context.redactor.text(seen.why)) if isinstance(seen, Unseen) else seen


def planned(context: Context, runbook: Runbook, probe: Probe) -> PlannedStep | Refusal:
    """Its command as a step that may only look, analysed as every step is."""
    step = Step(1, f"Watch: {probe.name}", probe.line, probe.command, probe.command_line)
    found = plan_step(context, runbook, Section.VERIFY, step, {})
    if found.refusal is not None:
        return found.refusal
    if not found.is_read_only:
        changes = ", ".join(
            sorted(
                {
                    effect.effect_class.value
                    for command in found.commands
                    for effect in command.effects
                    if effect.effect_class != "read"
                }
            )
        )
        return Refusal(
            f"a watch may only read, and this does {changes}", "look at something that changes nothing"
        )
    return found


def marker_of(runbook_id: str, key: str) -> str:
    """What its processes carry, so that what a crash left behind is found."""
    return f"watch-{runbook_id}-{key}"


def _output_of(context: Context, runbook: Runbook, probe: Probe) -> Seen:
    subject = stops.Subject(probe.service, runbook.id, runbook.path)
    stop = stops.covering(context.store.stops(), subject)
    if stop is not None:
        return Held(str(stop))
    step = planned(context, runbook, probe)
    if isinstance(step, Refusal):
        return Unseen(f"refused: {step}")
    commands = judge_again(context, runbook, step)
    if isinstance(commands, Refusal):
        return Unseen(f"refused: {commands}")
    if context.gate.is_closing:
        return Held("the agent is shutting down")
    result = _run(context, runbook, probe, step, commands)
    if result.interrupted:
        return Held("the agent is shutting down")
    return _number_of(probe, result)


def _run(
    context: Context,
    runbook: Runbook,
    probe: Probe,
    step: PlannedStep,
    commands: tuple[PricedCommand, ...],
) -> CommandResult:
    if step.script is None:
        raise TypeError("a watch's command is a script")
    return context.sandbox.run(
        step.script,
        commands=commands,
        marker=marker_of(runbook.id, probe.key),
        timeout_s=probe.timeout_s,
        should_stop=lambda: context.gate.is_closing,
    )


def _number_of(probe: Probe, result: CommandResult) -> float | Unseen:
    if result.timed_out:
        return Unseen(f"no end within {probe.timeout_s:g} s")
    if result.problem:
        return Unseen(result.problem)
    if result.exit_code != 0:
        said = _short(result.stderr or result.stdout)
        return Unseen(f"the command ended with exit code {result.exit_code}" + (f": {said}" if said else ""))
    return number_in(result.stdout, probe)


def number_in(output: str, probe: Probe) -> float | Unseen:
    """The number that the whole output is, or that stands at the path in its JSON; `83%` is 83."""
    text = output.strip()
    if probe.path:
        try:
            found = json_paths.value_at(output, probe.path)
        except NotUnderstoodError as error:
            return Unseen(error.message)
        if not json_paths.is_number(found) and not isinstance(found, str):
            return Unseen(
                f"there is no number at {json_paths.written(probe.path)}: {_short(json_paths.as_text(found))}"
            )
        text = str(found).strip()
    if _NUMBER.fullmatch(text) is None or not math.isfinite(value := float(text.removesuffix("%"))):
        return Unseen(f"the output is not one number: {_short(text) or 'nothing'}")
    return value


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _WORDS_MAX else f"{line[: _WORDS_MAX - 1]}…"
