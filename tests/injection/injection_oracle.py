"""What may run at all: the argvs that a runbook's own text allows, worked out without the agent's binding."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

from agent.domain.runbook import Runbook

_USE = re.compile(r"\{\{ *([a-z0-9_]+) *\}\}")


def is_the_runbooks_own(argv: Iterable[str], runbook: Runbook) -> bool:
    """Whether a step of the runbook, word by word, with declared values in its slots, is this argv."""
    words = tuple(argv)
    return any(_is_own(words, line, runbook) for step in runbook.steps for line in step.command.splitlines())


def _is_own(argv: tuple[str, ...], line: str, runbook: Runbook) -> bool:
    own = shlex.split(_USE.sub(r"{{\1}}", line))
    return len(own) == len(argv) and all(
        re.fullmatch(_word(word, runbook), given) is not None for word, given in zip(own, argv, strict=True)
    )


def _word(word: str, runbook: Runbook) -> str:
    declared = {parameter.name: parameter for parameter in runbook.parameters}
    parts = _USE.split(word)
    made = []
    for at, part in enumerate(parts):
        if at % 2 == 0:
            made.append(re.escape(part))
        elif declared[part].one_of:
            made.append("(?:" + "|".join(re.escape(value) for value in declared[part].one_of) + ")")
        else:
            made.append(f"(?:{declared[part].pattern.removeprefix('^').removesuffix('$')})")
    return "".join(made)
