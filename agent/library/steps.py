"""`## Steps`, `## Verify` and `## Rollback` → numbered steps; nothing but a code block ever runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypedDict

from agent.domain.expectation import Expectation
from agent.domain.runbook import Action, Capture, FailureAction, OnlyIf, Step
from agent.library import captures, code, expectations, step_keys
from agent.library.blocks import Block, Kind
from agent.library.keys import Entry, is_comment, normal, numbered_lines, split_key
from agent.library.outline import (
    Name,
    Section,
    StepHeading,
    bare_step_heading,
    is_underlined_key,
    step_heading,
)
from agent.library.problems import NotUnderstoodError, Problems
from agent.library.values import duration_s, shown, whole_number
from agent.library.yaml_blocks import YamlError

MAX_STEPS = 50
MAX_ATTEMPTS = 10
MAX_DELAY_S = 3_600.0
MAX_TIMEOUT_S = 86_400.0
_ONLY_IF = re.compile(r"step +([0-9]{1,3})(?![0-9])(?:'s)?(?: +output)?\s*[:,]?\s*(.*)", re.IGNORECASE)


@dataclass(slots=True)
class _Draft:
    """One step's heading, its key lines and its code blocks, before they are understood."""

    heading: StepHeading
    line: int
    entries: list[Entry] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)


class _Parts(TypedDict, total=False):
    """What the lines of a step say, by the names that `Step` has for it."""

    command: str
    command_line: int
    action: Action
    expectation: Expectation
    failure_action: FailureAction
    max_attempts: int
    retry_delay_s: float
    timeout_s: float
    approval_required: bool
    only_if: OnlyIf
    captures: tuple[Capture, ...]


@dataclass(frozen=True, slots=True)
class StepsSection:
    """The steps of one section, and its own keys (`Hold for` in Verify)."""

    steps: tuple[Step, ...]
    entries: tuple[Entry, ...]


def parse_section(section: Section, problems: Problems) -> StepsSection:
    """The section's steps in order; what is not understood is a problem."""
    own, drafts = _drafts(section, problems)
    name = str(section.name)
    if not drafts:
        problems.add(
            section.line, f"{name} has no step", fix="write `### Step 1: title` and a ```bash block below it"
        )
    if len(drafts) > MAX_STEPS:
        problems.add(
            drafts[MAX_STEPS].line, f"{name} has more than {MAX_STEPS} steps", fix="split the runbook"
        )
        return StepsSection((), tuple(own))
    steps = []
    for expected, draft in enumerate(drafts, start=1):
        if draft.heading.number != expected:
            problems.add(
                draft.line,
                f"{name}: step {draft.heading.number} stands where step {expected} should",
                fix=f"number the steps 1, 2, 3 … in the order in which they run; here {expected}",
            )
        steps.append(_step(draft, expected, section, problems))
    return StepsSection(tuple(steps), tuple(own))


def _drafts(section: Section, problems: Problems) -> tuple[list[Entry], list[_Draft]]:
    reader = _Reader(section, problems)
    for block in section.blocks:
        if block.kind is Kind.HEADING:
            _begin_step(block, reader.drafts, problems)
        elif block.kind is Kind.TEXT:
            reader.read(block)
        elif block.kind is Kind.HTML:
            _check_html(block, problems)
        elif block.kind is Kind.INDENTED_CODE:
            problems.add(
                block.line, "indented code; only fenced code runs", fix="put it between ```bash and ```"
            )
        elif reader.drafts:
            reader.drafts[-1].blocks.append(block)
        else:
            problems.add(block.line, "a code block outside a step", fix="put `### Step 1: title` above it")
    return reader.own, reader.drafts


def _begin_step(block: Block, drafts: list[_Draft], problems: Problems) -> None:
    heading = step_heading(block.text) if not block.nested and len(block.lines) == 1 else None
    if is_underlined_key(block):
        problems.add(
            block.line,
            "a line of dashes below turns this key into a heading",
            fix="put an empty line between",
        )
    elif heading is None:
        problems.add(
            block.line,
            f"the heading {shown(block.text)} is not a numbered step",
            fix="write `### Step 1: title`, or make it plain text",
        )
    else:
        drafts.append(_Draft(heading, block.line))


def _check_html(block: Block, problems: Problems) -> None:
    if not is_comment(block):
        problems.add(
            block.line, "HTML in a step is not understood", fix="write it as Markdown, or close the comment"
        )


@dataclass(slots=True)
class _Reader:
    """Reads a section's texts: key lines go to the step they stand in, the section's own keys to `own`."""

    section: Section
    problems: Problems
    own: list[Entry] = field(default_factory=list)
    drafts: list[_Draft] = field(default_factory=list)

    def read(self, block: Block) -> None:
        """Lines below a key go on with its value, as Markdown renders them; other lines are prose."""
        goes_on = False
        for number, line in numbered_lines(block):
            if not block.nested and (heading := bare_step_heading(line)) is not None:
                self.drafts.append(_Draft(heading, number))
                goes_on = False
            elif _is_hold_for(line, self.section):
                self.own.append(Entry(step_keys.HOLD_FOR, (split_key(line) or ("", ""))[1], number))
                goes_on = False
            elif found := step_keys.entries_on(line):
                goes_on = self._keys(found, number, line, quoted=block.quoted)
            elif (reason := step_keys.why_not_prose(line)) is not None:
                self.problems.add(number, f"{shown(line)} {reason[0]}", fix=reason[1])
                goes_on = False
            elif goes_on:
                entries = self.drafts[-1].entries
                entries[-1] = replace(entries[-1], value=f"{entries[-1].value} {line.strip()}")

    def _keys(self, found: list[tuple[str, str]], number: int, line: str, *, quoted: bool) -> bool:
        """Whether the keys were taken, so that the next line can go on with the last one."""
        if quoted or not self.drafts:
            where = "in a quote" if quoted else "outside a step"
            self.problems.add(number, f"{shown(line)} stands {where}", fix="move it below the step's heading")
            return False
        self.drafts[-1].entries.extend(Entry(key, value, number) for key, value in found)
        return True


def _is_hold_for(line: str, section: Section) -> bool:
    key_value = split_key(line)
    return (
        section.name is Name.VERIFY and key_value is not None and normal(key_value[0]) == step_keys.HOLD_FOR
    )


def _step(draft: _Draft, index: int, section: Section, problems: Problems) -> Step:
    parts = _code_parts(draft, index, problems)
    seen: dict[str, int] = {}
    for entry in draft.entries:
        if entry.key in seen and entry.key != step_keys.CAPTURE:
            problems.add(
                entry.line,
                f"{entry.key.capitalize()} is written twice in step {index}, first in line {seen[entry.key]}",
                fix="keep one of them",
            )
            continue
        seen[entry.key] = entry.line
        try:
            _add_entry(parts, entry, section, index=index)
        except NotUnderstoodError as error:
            problems.add(entry.line, f"{entry.key.capitalize()}: {error.message}", fix=error.fix)
    return Step(index=index, title=draft.heading.title or f"Step {index}", line=draft.line, **parts)


def _code_parts(draft: _Draft, index: int, problems: Problems) -> _Parts:
    usable = [block for block in draft.blocks if code.check_block(block, problems)]
    if not draft.blocks:
        problems.add(draft.line, f"step {index} has no code block", fix="put its command in a ```bash block")
    elif len(draft.blocks) > 1:
        problems.add(
            draft.blocks[1].line,
            f"step {index} has {len(draft.blocks)} code blocks, so it is not clear what should run",
            fix="make it one block, or one step each",
        )
    if len(draft.blocks) != 1 or not usable:
        return {}
    block = usable[0]
    try:
        return _block_parts(block)
    except YamlError as error:
        problems.add(block.line + 1 + error.offset, error.message, fix=error.fix)
    except NotUnderstoodError as error:
        problems.add_error(block.line, error)
    return {}


def _block_parts(block: Block) -> _Parts:
    if block.language == code.ACTION:
        action: Action = code.action_of(block)
        return {"action": action, "command_line": block.numbers[0]}
    command, line = code.command_of(block)
    return {"command": command, "command_line": line}


def _add_entry(parts: _Parts, entry: Entry, section: Section, *, index: int) -> None:
    if not entry.value:
        raise NotUnderstoodError("has no value", "write it behind the colon")
    if entry.key == step_keys.ONLY_IF:
        parts["only_if"] = _only_if(entry.value, index)
    else:
        _READERS[entry.key](parts, entry.value, section)


def _expected(parts: _Parts, value: str, _section: Section) -> None:
    parts["expectation"] = expectations.parse(value)


def _failure(parts: _Parts, value: str, section: Section) -> None:
    actions = set(FailureAction)
    if value.lower() not in actions:
        raise NotUnderstoodError(f"{shown(value)} is not known", f"use one of {', '.join(FailureAction)}")
    if section.name is Name.VERIFY:
        raise NotUnderstoodError("means nothing in Verify", "remove it: what does not hold is escalated")
    action = FailureAction(value.lower())
    if section.name is Name.ROLLBACK and action is FailureAction.ROLLBACK:
        raise NotUnderstoodError("rollback within Rollback would never end", "use continue, escalate or stop")
    parts["failure_action"] = action


def _attempts(parts: _Parts, value: str, _section: Section) -> None:
    attempts = whole_number(value)
    if not 1 <= attempts <= MAX_ATTEMPTS:
        raise NotUnderstoodError(f"{attempts} attempts", f"write a number from 1 to {MAX_ATTEMPTS}")
    parts["max_attempts"] = attempts


def _retry_delay(parts: _Parts, value: str, _section: Section) -> None:
    parts["retry_delay_s"] = _bounded(value, least_s=0.0, most_s=MAX_DELAY_S)


def _timeout(parts: _Parts, value: str, _section: Section) -> None:
    parts["timeout_s"] = _bounded(value, least_s=0.001, most_s=MAX_TIMEOUT_S)


def _bounded(value: str, *, least_s: float, most_s: float) -> float:
    seconds = duration_s(value)
    if not least_s <= seconds <= most_s:
        raise NotUnderstoodError(
            f"{shown(value)} is out of range", f"stay between {least_s:g}s and {most_s:g}s"
        )
    return seconds


def _approval(parts: _Parts, value: str, _section: Section) -> None:
    if value.lower() != "required":
        raise NotUnderstoodError(f"{shown(value)} is not known", "write `required`, or leave the line out")
    parts["approval_required"] = True


def _only_if(value: str, index: int) -> OnlyIf:
    found = _ONLY_IF.fullmatch(value)
    if found is None:
        raise NotUnderstoodError(f"{shown(value)} does not name a step", 'write `step 1 contains "text"`')
    earlier = int(found[1])
    if not 1 <= earlier < index:
        raise NotUnderstoodError(f"step {earlier} does not come before step {index}", "name an earlier step")
    return OnlyIf(earlier, expectations.parse(found[2]))


def _capture(parts: _Parts, value: str, _section: Section) -> None:
    capture = captures.parse(value)
    known_captures = parts.get("captures", ())
    if any(known.name == capture.name for known in known_captures):
        raise NotUnderstoodError(f"{capture.name} is captured twice", "give each capture its own name")
    parts["captures"] = (*known_captures, capture)


_READERS: Mapping[str, Callable[[_Parts, str, Section], None]] = {
    step_keys.EXPECTED: _expected,
    step_keys.FAILURE: _failure,
    step_keys.ATTEMPTS: _attempts,
    step_keys.RETRY_DELAY: _retry_delay,
    step_keys.TIMEOUT: _timeout,
    step_keys.APPROVAL: _approval,
    step_keys.CAPTURE: _capture,
}


def texts_of(step: Step) -> Iterator[str]:
    """Every text of a step in which a parameter can be used."""
    yield step.command
    if step.action is not None:
        yield from code.texts_of(step.action)
