"""The sections of one file → its runbook, and the rules that hold across sections."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath

from agent.domain.effects import BlastRadius
from agent.domain.probing import Probe
from agent.domain.runbook import (
    EscalationNotes,
    Example,
    FailureAction,
    Parameter,
    Runbook,
    Step,
    Verification,
)
from agent.domain.trigger import FieldIs, Trigger
from agent.library import blast_radius, notes, parameters, probes, radius_keys, step_keys, steps, triggers
from agent.library.blocks import Block, Kind
from agent.library.front_matter import FrontMatter
from agent.library.keys import Entry, is_comment
from agent.library.mend import runaway_line
from agent.library.outline import STEP_SECTIONS, Name, Outline, Section
from agent.library.problems import NotUnderstoodError, Problems
from agent.library.values import duration_s, shown

MAX_HOLD_S = 3_600.0
_NOT_IN_ID = re.compile(r"[^a-z0-9]+")


def runbook_of(outline: Outline, head: FrontMatter, problems: Problems, *, text: str) -> Runbook:
    """The runbook; it counts only if no problem was added."""
    _check_sections(outline, problems)
    declared = _parameters(outline, problems)
    trigger = _trigger(outline, problems)
    runbook = Runbook(
        id=head.id or _slug(problems),
        title=outline.title or PurePath(problems.path).stem,
        path=problems.path,
        revision=hashlib.sha256(text.encode()).hexdigest(),
        text=text,
        trigger=trigger,
        steps=_steps(outline, Name.STEPS, problems),
        blast_radius=_blast_radius(outline, problems),
        parameters=declared or (),
        verification=_verification(outline, problems),
        rollback=_steps(outline, Name.ROLLBACK, problems),
        escalation=_escalation(outline, problems),
        examples=_examples(outline, problems),
        watch=_watch(outline, trigger, problems),
        autonomy=head.autonomy,
        owner=head.owner,
        tags=head.tags,
    )
    _check_rollback(runbook, problems)
    if declared is not None:
        parameters.check_uses(runbook, problems)
    return runbook


def read_other_sections(outline: Outline, problems: Problems) -> None:
    """Where the steps cannot be told, the problems of the other sections still are."""
    for read in (_trigger, _blast_radius, _parameters):
        read(outline, problems)


def _slug(problems: Problems) -> str:
    slug = _NOT_IN_ID.sub("-", PurePath(problems.path).stem.lower()).strip("-")[:100]
    if not slug:
        problems.add(
            1,
            "the file's name gives no id",
            fix="name the file in a-z and 0-9, or write an id: in front matter",
        )
    return slug


def _check_sections(outline: Outline, problems: Problems) -> None:
    for name in (Name.TRIGGER, Name.STEPS):
        if outline.section(name) is None:
            problems.add(1, f"the section `{'#' * outline.level} {name}` is missing", fix="add it")
    for section in outline.sections:
        for block in section.blocks:
            if section.name is None:
                _check_foreign(section, block, problems)
            if section.name in (None, Name.ESCALATION):
                _check_limits(block, problems)
            if section.name not in STEP_SECTIONS:
                _check_runaway(block, problems)


def _check_foreign(section: Section, block: Block, problems: Problems) -> None:
    """Step keys in a section that is not known: steps that would be lost without a word."""
    if block.kind is not Kind.TEXT:
        return
    for number, line in zip(block.numbers, block.lines, strict=True):
        if step_keys.begins_with_long_key(line):
            where = (
                f"in the section {shown(section.title)}, which is not known"
                if section.title
                else "outside all sections"
            )
            problems.add(number, f"a step's key {where}", fix="move it below `## Steps`")


def _check_limits(block: Block, problems: Problems) -> None:
    """A limit below a misspelt heading: its author believes that it holds."""
    if block.kind is not Kind.TEXT or block.quoted:
        return
    for number, line in zip(block.numbers, block.lines, strict=True):
        if radius_keys.is_key_line(line):
            problems.add(number, f"{shown(line)} is a limit outside Blast Radius", fix=radius_keys.FIX)


def _check_runaway(block: Block, problems: Problems) -> None:
    """A block that lacks its end may have swallowed a section, such as a limit or an approval."""
    if block.kind in (Kind.TEXT, Kind.HEADING) or (block.kind is Kind.HTML and is_comment(block)):
        return
    if (line := runaway_line(block)) is not None:
        problems.add(line, f"a heading or a step's key inside {block.kind}", fix="end the block above it")


def _trigger(outline: Outline, problems: Problems) -> Trigger:
    section = outline.section(Name.TRIGGER)
    return triggers.parse_section(section, problems) if section is not None else Trigger()


def _blast_radius(outline: Outline, problems: Problems) -> BlastRadius:
    section = outline.section(Name.BLAST_RADIUS)
    return blast_radius.parse_section(section, problems) if section is not None else BlastRadius()


def _parameters(outline: Outline, problems: Problems) -> tuple[Parameter, ...] | None:
    """None if one is not understood: its uses cannot be judged then."""
    section = outline.section(Name.PARAMETERS)
    before = len(problems.found)
    declared = parameters.parse_section(section, problems) if section is not None else ()
    return declared if len(problems.found) == before else None


def _escalation(outline: Outline, problems: Problems) -> EscalationNotes:
    section = outline.section(Name.ESCALATION)
    return notes.parse_escalation(section, problems) if section is not None else EscalationNotes()


def _examples(outline: Outline, problems: Problems) -> tuple[Example, ...]:
    section = outline.section(Name.EXAMPLES)
    return notes.parse_examples(section, problems) if section is not None else ()


def _watch(outline: Outline, trigger: Trigger, problems: Problems) -> tuple[Probe, ...]:
    """What is watched is of the one service that the trigger names, unless an item names its own."""
    section = outline.section(Name.WATCH)
    if section is None:
        return ()
    services = {
        each.expression.glob
        for each in trigger.conditions
        if isinstance(each.expression, FieldIs) and each.expression.field == "service"
    }
    (service,) = services if len(services) == 1 else ("",)
    if "*" in service or "?" in service:
        service = ""
    watched = probes.parse_section(section, problems)
    return tuple(replace(each, service=each.service or service) for each in watched)


def _steps(outline: Outline, name: Name, problems: Problems) -> tuple[Step, ...]:
    section = outline.section(name)
    return steps.parse_section(section, problems).steps if section is not None else ()


def _verification(outline: Outline, problems: Problems) -> Verification | None:
    section = outline.section(Name.VERIFY)
    if section is None:
        return None
    read = steps.parse_section(section, problems)
    return Verification(read.steps, _hold_for_s(read.entries, problems))


def _hold_for_s(entries: Sequence[Entry], problems: Problems) -> float:
    seconds = 0.0
    for entry in entries[1:]:
        problems.add(entry.line, "Hold for is written twice in Verify", fix="keep one of them")
    for entry in entries[:1]:
        try:
            seconds = duration_s(entry.value)
        except NotUnderstoodError as error:
            problems.add(entry.line, f"Hold for: {error.message}", fix=error.fix)
        if seconds > MAX_HOLD_S:
            problems.add(entry.line, "Hold for is longer than an hour", fix="write at most 1h")
    return seconds


def _check_rollback(runbook: Runbook, problems: Problems) -> None:
    wanting = [step for step in runbook.steps if step.failure_action is FailureAction.ROLLBACK]
    if wanting and not runbook.rollback:
        problems.add(
            wanting[0].line,
            f"step {wanting[0].index} rolls back on failure, but there is no Rollback",
            fix="add `## Rollback` with steps, or use another failure action",
        )
