"""Drafts a runbook, of nothing or from what a human did by hand: lint-clean, and it runs nothing yet.

A line of what was done that is a command which a guard understands becomes a step, with the least limit it
needs; everything else is kept as words for whoever finishes the draft. `autonomy: suggest` and the tag
`draft` say what it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agent.domain.effects import NEVER_BY_LIMIT_ALONE, EffectClass
from agent.library import Parsed, parse
from agent.library.lint import lint_result

#: Whether a draft is as it should be; whoever can price commands asks for more than `is_lint_clean`.
IsClean = Callable[[str], bool]

#: More lines than these are a session's log and no runbook.
_MOST_LINES = 30
_LONGEST_LINE = 500
_LONGEST_TITLE = 120

_WORD = re.compile(r"[A-Za-z][A-Za-z-]{2,}")
_PLAIN = re.compile(r"[a-z0-9][a-z0-9._-]{0,60}")
_JOINING = frozenset({"and", "or", "not", "the", "for", "with", "from"})
_MOST_WORDS = 4

#: Stand in the trigger of a draft until somebody writes better ones.
_UNFINISHED = ("unfinished", "trigger")

#: What stands in the place of a command that is still to be written; it reads and changes nothing.
_TO_WRITE = "echo write the command of this step here"


@dataclass(frozen=True, slots=True)
class Fixed:
    """What is known of a case that a human fixed by hand; nobody did (`by`) where a runbook is only begun."""

    title: str
    done: str
    by: str
    note: str = ""
    service: str = ""
    team: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """The file to be; `left_as_words` are lines that no guard understands as they stand."""

    name: str
    text: str
    left_as_words: tuple[str, ...]


def is_lint_clean(text: str) -> bool:
    """Whether it is a runbook on which nobody has a remark."""
    result = parse(text, path="draft.md")
    return isinstance(result, Parsed) and not lint_result(result)


def draft_of(fixed: Fixed, *, is_clean: IsClean = is_lint_clean) -> Draft:
    """The draft; always a runbook, if need be one whose only step is still to be written."""
    commands: list[str] = []
    limits: list[EffectClass] = []
    words: list[str] = []
    for line in _lines(fixed.done):
        more = _limits_for(fixed, [*commands, line], limits, is_clean) if _may_be_command(line) else None
        if more is None:
            words.append(line)
        else:
            commands.append(line)
            limits += more
    name = "-".join(word.lower() for word in _words(fixed.title)) or "draft"
    return Draft(name, _text(fixed, commands, limits, words), tuple(words))


def _limits_for(
    fixed: Fixed, commands: Sequence[str], limits: Sequence[EffectClass], is_clean: IsClean
) -> list[EffectClass] | None:
    """The limit that it takes with the last command in it: none, or of one class; None if it cannot be."""
    if is_clean(_text(fixed, commands, limits, ())):
        return []
    for effect in EffectClass:
        if effect in NEVER_BY_LIMIT_ALONE or effect is EffectClass.READ:
            continue
        if is_clean(_text(fixed, commands, [*limits, effect], ())):
            return [effect]
    return None


def _text(fixed: Fixed, commands: Sequence[str], limits: Sequence[EffectClass], words: Sequence[str]) -> str:
    title = _one_line(fixed.title)[:_LONGEST_TITLE] or "A case that was fixed by hand"
    lines = [
        "---",
        f'owner: "{_owner(fixed)}"',
        "autonomy: suggest",
        "tags: [draft]",
        "---",
        f"# Runbook: {title}",
        "",
        _about(fixed),
        "",
        "## Trigger Conditions",
        *_triggers(fixed),
        "",
        "## Blast Radius",
        *(f"- max_{effect.value}s: {limits.count(effect)}" for effect in dict.fromkeys(limits)),
        "- requires_human_approval: true",
        "",
        "## Steps",
        *(line for number, each in enumerate(commands or [_TO_WRITE], 1) for line in _step(number, each)),
        "",
        "## Verify",
        *_step(1, "echo write here what shows that it is fixed")[:-1],
        "",
        "## Escalation",
        *(f"What was found: {line}" for line in _lines(fixed.note)),
        *(f"Done by hand: {line}" for line in words),
        "If a step fails, page the on-call engineer.",
        "",
        "## Examples",
        f"- Matches: {_example(fixed)}",
        "- Does not match: something else altogether",
    ]
    return "\n".join(lines) + "\n"


def _about(fixed: Fixed) -> str:
    by = _one_line(fixed.by)
    if not by:
        return "A draft: what happens, what customers notice of it, and when this is not what to do."
    return f"A draft, from what {by} did by hand. Read every line before it may run."


def _triggers(fixed: Fixed) -> list[str]:
    found = _trigger_words(fixed)
    conditions = [f"- Alert contains: {' AND '.join(word.lower() for word in found)}"] if found else []
    if _service(fixed):
        conditions.append(f"- Service: {_service(fixed)}")
    return conditions


def _trigger_words(fixed: Fixed) -> list[str]:
    """At least two, or a service beside them: one word alone would meet many alerts."""
    found = _words(fixed.title)
    return found if len(found) > 1 or _service(fixed) else [*found, *_UNFINISHED][:_MOST_WORDS]


def _service(fixed: Fixed) -> str:
    service = _one_line(fixed.service)
    return service if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,100}", service) else ""


def _example(fixed: Fixed) -> str:
    service = _service(fixed)
    return " ".join([*_trigger_words(fixed), *([f"service:{service}"] if service else [])])


def _words(title: str) -> list[str]:
    """What names the case: its first words that are words."""
    found = [word for word in _WORD.findall(title) if word.lower() not in _JOINING]
    return list(dict.fromkeys(found))[:_MOST_WORDS]


def _step(number: int, command: str) -> list[str]:
    name = command.split()[0]
    return [
        "",
        f"### Step {number}: {name}",
        "```bash",
        command,
        "```",
        "Expected output: exit code 0",
        "Failure action: escalate",
    ]


def _owner(fixed: Fixed) -> str:
    given = (each.casefold() for each in (fixed.team, fixed.by))
    return next((each for each in given if _PLAIN.fullmatch(each)), "nobody-yet")


def _may_be_command(line: str) -> bool:
    return " " in line and line[0].islower() and "```" not in line


def _lines(text: str) -> list[str]:
    """What was typed, line by line, without list marks and prompts."""
    found = (re.sub(r"^\s*(?:[-*>]\s+|\$\s+|[0-9]+[.)]\s+)", "", line) for line in text.splitlines())
    return [short for line in found if (short := _one_line(line).replace("`", "'")[:_LONGEST_LINE])][
        :_MOST_LINES
    ]


def _one_line(text: str) -> str:
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())
