"""jq: a program that only looks at its input."""

from __future__ import annotations

import re2

from agent.domain.command import Refusal
from agent.safety.analysis import Analysis
from agent.safety.grammar import Invocation
from agent.safety.kinds import Findings
from agent.safety.pricing import Desk, by_table

#: `.env` is a field and harmless; strings are looked at too, since "\(…)" in them is evaluated.
_FORBIDDEN = re2.compile(
    r"(?:^|[^.A-Za-z0-9_])(env|import|include|input_filename|modulemeta|get_search_list)(?:$|[^A-Za-z0-9_])"
    r"|\$(ENV)(?:$|[^A-Za-z0-9_])"
)


def jq(invocation: Invocation, found: Findings, _desk: Desk) -> Analysis | Refusal:
    """Refuse programs that read the environment or other files."""
    word = _FORBIDDEN.search(invocation.arguments[0])
    if word:
        name = word.group(1) or "$ENV"
        hint = f'a field of that name is written .{name} or .["…"] with --arg' if word.group(1) else ""
        return Refusal(f"jq: the program uses `{name}`, which reads more than its input", hint)
    return by_table(invocation, found)
