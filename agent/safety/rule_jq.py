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
    r"|\$(ENV|__prog_args|__prog_name)(?:$|[^A-Za-z0-9_])"
)
#: jq 1.6 takes blanks and comments between `$` and the name. Before a quote it ends a pattern: test("x$").
_LOOSE_DOLLAR = re2.compile(r'\$(?:$|[^A-Za-z_"])')


def jq(invocation: Invocation, found: Findings, _desk: Desk) -> Analysis | Refusal:
    """Refuse programs that read the environment or other files."""
    program = invocation.arguments[0]
    if invocation.filled_in(0):
        return Refusal("jq: a parameter inside the program", "write --arg name {{ parameter }}, and $name")
    if _LOOSE_DOLLAR.search(program):
        hint = "write $name without a blank; in a pattern, [$]"
        return Refusal("jq: a `$` without a name right behind it", hint)
    word = _FORBIDDEN.search(program)
    if word:
        name = word.group(1) or f"${word.group(2)}"
        hint = f'a field of that name is written .{name} or .["…"] with --arg' if word.group(1) else ""
        return Refusal(f"jq: the program uses `{name}`, which reads more than its input", hint)
    return by_table(invocation, found)
