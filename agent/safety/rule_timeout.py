"""timeout: what it starts is judged in its place, as if it stood alone."""

from __future__ import annotations

from dataclasses import replace

from agent.domain.command import Refusal
from agent.safety.analysis import Analysis
from agent.safety.grammar import Invocation
from agent.safety.kinds import Findings
from agent.safety.pricing import Desk, within


def timeout(invocation: Invocation, _found: Findings, desk: Desk) -> Analysis | Refusal:
    """`timeout 30 COMMAND …` does what the command does, or less of it."""
    at = invocation.places[1]
    filled = tuple(replace(each, word=each.word - at) for each in invocation.filled if each.word >= at)
    inner = desk.analyse_instead(invocation.arguments[1:], filled)
    if isinstance(inner, Refusal):
        return within(invocation, inner)
    if inner.access.executable_sha256:
        return Refusal(f"{invocation.name}: a declared script stands alone", "use the step's `Timeout:` key")
    return inner
