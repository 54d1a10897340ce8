"""Blocks → the sections of a runbook, or the finding that the file is documentation."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from agent.library.blocks import Block, Kind
from agent.library.keys import scanner_for, split_key, split_line
from agent.library.problems import Problems
from agent.library.values import shown


class Name(StrEnum):
    """The sections that mean something."""

    TRIGGER = "Trigger Conditions"
    BLAST_RADIUS = "Blast Radius"
    PARAMETERS = "Parameters"
    STEPS = "Steps"
    VERIFY = "Verify"
    ROLLBACK = "Rollback"
    ESCALATION = "Escalation"
    EXAMPLES = "Examples"
    WATCH = "Watch"


#: Sections that hold steps.
STEP_SECTIONS = frozenset({Name.STEPS, Name.VERIFY, Name.ROLLBACK})
_NAMES: dict[str, Name] = {name.value.lower(): name for name in Name} | {
    "trigger condition": Name.TRIGGER,
    "verification": Name.VERIFY,
    "roll back": Name.ROLLBACK,
    "watches": Name.WATCH,
}
#: Without one of these two in a file, nobody meant a runbook by it.
_TELLING = (Name.TRIGGER, Name.BLAST_RADIUS)
_TELLING_KEYS = scanner_for(["expected output", "failure action"])
_STEP = re.compile(r"step\s+([0-9]{1,3})(?![0-9])\s*[:.)\-–—]?\s*(.*)", re.IGNORECASE)
_BARE_STEP = re.compile(r"step\s+([0-9]{1,3})\s*[:.)\-–—]\s*(\S.*)", re.IGNORECASE)
_NUMBERED = re.compile(r"([0-9]{1,3})\s*[:.)\-–—]\s*(.*)")
_TITLE_PREFIX = re.compile(r"^\W*runbook\s*:\s*", re.IGNORECASE)
_EDGES = re.compile(r"^[\W_]+|[\W_]+$")
_MAX_NAME = 40
#: Headings that are remembered: the same few stand in every runbook.
_REMEMBERED = 4_096


@dataclass(frozen=True, slots=True)
class StepHeading:
    """`### Step 2: Verify` as number and title."""

    number: int
    title: str


@dataclass(slots=True)
class Section:
    """A heading and the blocks below it; `name` is None for a section of the author's own."""

    name: Name | None
    title: str
    line: int
    blocks: list[Block] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Outline:
    """A file by sections; `level` is the heading level that its sections have."""

    title: str
    level: int
    sections: tuple[Section, ...]

    def section(self, name: Name) -> Section | None:
        """The first section of that name."""
        return next((section for section in self.sections if section.name is name), None)


def name_of(text: str) -> Name | None:
    """The section that a heading's text names, if it names one."""
    return _NAMES.get(_plain(text))


def step_heading(text: str) -> StepHeading | None:
    """`Step 1: Flush`, `Step 1 - Flush`, `1. Flush` in a heading."""
    plain = text.strip().strip("*_").strip()
    found = _STEP.fullmatch(plain) or _NUMBERED.fullmatch(plain)
    return StepHeading(int(found[1]), found[2].strip("*_ \t")) if found is not None else None


def bare_step_heading(text: str) -> StepHeading | None:
    """`Step 2: Verify` on a line that lost its `###`; the word and a mark are needed."""
    found = _BARE_STEP.fullmatch(text.strip().strip("*_").strip())
    return StepHeading(int(found[1]), found[2].strip("*_ \t")) if found is not None else None


def title_of(blocks: Sequence[Block]) -> str:
    """The file's title: its first heading unless that is a section, without `Runbook:` in front."""
    headings = (block.text for block in blocks if block.kind is Kind.HEADING and not block.nested)
    title = " ".join(next(headings, "").split())
    if name_of(title) is not None:
        return ""
    return _EDGES.sub("", _TITLE_PREFIX.sub("", title)) or title


def is_runbook(blocks: Sequence[Block]) -> bool:
    """Whether the file is meant as a runbook; without these sections it is documentation.

    Trigger Conditions tell it, a Blast Radius beside Steps does, and so do step keys below Steps;
    a misspelt one of the first two counts, so that a runbook with a typo is told about, not lost.
    """
    headings = [block.text for block in blocks if block.kind is Kind.HEADING and not block.nested]
    names = {name_of(text) for text in headings}
    telling = {meant for text in headings if (meant := _telling(text)) is not None}
    if Name.TRIGGER in telling:
        return True
    return Name.STEPS in names and (Name.BLAST_RADIUS in telling or any(map(_has_step_keys, blocks)))


def section_level(blocks: Sequence[Block]) -> int:
    """The heading level of the sections: that of the first one."""
    levels = (block.level for block in blocks if block.kind is Kind.HEADING and _tells_level(block))
    return next(levels, 2)


def outline_of(blocks: Sequence[Block], problems: Problems) -> Outline:
    """The file's sections; misspelt, repeated and misplaced ones are problems."""
    level = section_level(blocks)
    sections = [Section(None, "", 1)]
    for block in blocks:
        if _begins_section(block, level, sections[-1]):
            sections.append(_section(block, sections, problems))
        else:
            _check_misplaced(block, problems)
            sections[-1].blocks.append(block)
    return Outline(title_of(blocks), level, tuple(sections))


@lru_cache(maxsize=_REMEMBERED)
def _plain(text: str) -> str:
    return " ".join(_EDGES.sub("", text).lower().replace("-", " ").replace("_", " ").split())


def _telling(text: str) -> Name | None:
    return _telling_plain(_plain(text))


@lru_cache(maxsize=_REMEMBERED)
def _telling_plain(plain: str) -> Name | None:
    near = _near(plain, tuple(name.value.lower() for name in _TELLING), cutoff=0.85)
    return _NAMES[near] if near else None


def _near(plain: str, names: Sequence[str], *, cutoff: float) -> str:
    """The name that is written almost so, or ""; names of a very different length are left out at once."""
    if len(plain) > _MAX_NAME:
        return ""
    possible = [n for n in names if 2 * min(len(n), len(plain)) >= cutoff * (len(n) + len(plain))]
    found = difflib.get_close_matches(plain, possible, n=1, cutoff=cutoff) if possible else ()
    return found[0] if found else ""


def _tells_level(block: Block) -> bool:
    return not block.nested and (_telling(block.text) is not None or name_of(block.text) is Name.STEPS)


def _has_step_keys(block: Block) -> bool:
    return any(split_line(line, _TELLING_KEYS) for line in block.lines)


def _begins_section(block: Block, level: int, current: Section) -> bool:
    if block.kind is not Kind.HEADING or block.nested or block.level > level or is_underlined_key(block):
        return False
    return not (current.name in STEP_SECTIONS and step_heading(block.text) is not None)


def is_underlined_key(block: Block) -> bool:
    """Whether a line of dashes turned a key line, or a paragraph, into a heading."""
    return block.underlined and (len(block.lines) > 1 or split_key(block.text) is not None)


def _section(block: Block, sections: Sequence[Section], problems: Problems) -> Section:
    name = name_of(block.text)
    if name is not None and any(section.name is name for section in sections):
        problems.add(
            block.line, f"a second section {name}", fix="join the two, in the place where they should run"
        )
    elif name is None:
        _check_unknown(block, problems)
    return Section(name, block.text.strip(), block.line)


def _check_unknown(block: Block, problems: Problems) -> None:
    plain = _plain(block.text)
    near = _near(plain, tuple(_NAMES), cutoff=0.8)
    if near:
        problems.add(
            block.line,
            f"the section {shown(block.text)} is not known",
            fix=f"did you mean `{_NAMES[near]}`?",
        )
    elif step_heading(block.text) is not None and _STEP.fullmatch(plain) is not None:
        problems.add(
            block.line,
            f"{shown(block.text)} stands outside Steps, Verify and Rollback",
            fix="move it below `## Steps`",
        )


def _check_misplaced(block: Block, problems: Problems) -> None:
    if block.kind is Kind.HEADING and name_of(block.text) is not None:
        problems.add(
            block.line,
            f"the heading {shown(block.text)} is inside another section or block",
            fix="give all sections the same number of #, at the left margin",
        )
