"""psql: one statement of a closed list, as a pattern of the whole; all other SQL is code."""

from __future__ import annotations

import re2

from agent.domain.command import Refusal
from agent.domain.effects import Effect
from agent.safety.analysis import Analysis
from agent.safety.grammar import Invocation
from agent.safety.kinds import Findings
from agent.safety.pricing import Desk, analysis, count_of, target_of

_HINT = "use one of those in the effect tables, or declare yours under `sql`"


def psql(invocation: Invocation, found: Findings, desk: Desk) -> Analysis | Refusal:
    """`-c STATEMENT`: what the first pattern that fits says."""
    if not found.hosts and not desk.inside:
        return Refusal(f"{invocation.name} without -h", "name the host: without one it uses a local socket")
    statement = " ".join(invocation.value("-c").removesuffix(";").split())
    for rule in desk.tables.sql:
        if re2.compile(rule.statement).fullmatch(statement):
            count = count_of(rule.effect, invocation)
            if isinstance(count, Refusal):
                return count
            effect = Effect(rule.effect.effect_class, target_of(rule.effect, invocation), count)
            return analysis(invocation, (effect,), found)
    return Refusal(f"{invocation.name}: the statement {statement!r} is not among the known ones", _HINT)
