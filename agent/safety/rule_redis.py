"""redis-cli SCAN and its kin: a bounded number of keys, since the server does nothing else meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

from agent.domain.command import Refusal
from agent.safety.analysis import Analysis
from agent.safety.grammar import Invocation
from agent.safety.kinds import Findings
from agent.safety.pricing import Desk, by_table

MAX_COUNT = 1_000
_WITH_VALUE = ("MATCH", "COUNT", "TYPE")


def redis_scan(invocation: Invocation, found: Findings, _desk: Desk) -> Analysis | Refusal:
    """SCAN, HSCAN, SSCAN, ZSCAN: every word behind the cursor is known, COUNT is small."""
    cursor = 0 if invocation.path[-1] == "SCAN" else 1
    return _refused(invocation.name, invocation.arguments[cursor + 1 :]) or by_table(invocation, found)


def _refused(name: str, words: Sequence[str]) -> Refusal | None:
    left = list(words)
    while left:
        word = left.pop(0)
        key = word.upper()
        if key == "NOVALUES":
            continue
        if key not in _WITH_VALUE or not left:
            return Refusal(f"{name}: {word!r} is not understood here", "use MATCH, COUNT or TYPE")
        value = left.pop(0)
        if key == "COUNT" and not _small(value):
            return Refusal(f"{name}: COUNT {value} would hold up the server", f"at most {MAX_COUNT}")
    return None


def _small(count: str) -> bool:
    return count.isascii() and count.isdigit() and len(count) < 6 and 0 < int(count) <= MAX_COUNT
