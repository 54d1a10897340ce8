"""The keys of Blast Radius, and where they stand: elsewhere they would be limits that nobody holds."""

from __future__ import annotations

import re

from agent.domain.effects import EffectClass
from agent.library.keys import normal, split_key
from agent.library.lookalikes import folded

FIX = "move it below `## Blast Radius`; begin the line with `Note:` if it is for the reader"
CLASSES = {kind.limit_key: kind for kind in EffectClass if kind is not EffectClass.READ}
OTHERS = (
    "requires_human_approval",
    "approvals",
    "approvers",
    "four_eyes",
    "max_duration",
    "max_commands",
    "allowance",
    "namespaces",
    "hosts",
)
_KNOWN = frozenset(map(normal, (*CLASSES, *OTHERS)))
_LIMIT = re.compile(r"max[ _-][a-z _-]+s")
_NUMBER = re.compile(r"[0-9]+\b.*")


def is_key_line(line: str) -> bool:
    """Whether a line sets a limit, or looks to a reader as if it did."""
    key_value = split_key(folded(line))
    if key_value is None:
        return False
    key, value = key_value
    if normal(key) in _KNOWN:
        return True
    return _LIMIT.fullmatch(key.lower()) is not None and "_" in key and _NUMBER.fullmatch(value) is not None
