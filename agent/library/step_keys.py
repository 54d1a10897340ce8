"""The keys of a step, and what to do with its lines that are not keys."""

from __future__ import annotations

import difflib
import re

from agent.library import lookalikes, radius_keys
from agent.library.keys import MAX_KEY_WORDS, NOTE_KEYS, normal, scanner_for, split_key, split_line

EXPECTED = "expected output"
FAILURE = "failure action"
ATTEMPTS = "attempts"
RETRY_DELAY = "retry delay"
TIMEOUT = "timeout"
APPROVAL = "approval"
ONLY_IF = "only if"
CAPTURE = "capture"
#: A key of the Verify section, not of a step.
HOLD_FOR = "hold for"

KEYS = (EXPECTED, FAILURE, ATTEMPTS, RETRY_DELAY, TIMEOUT, APPROVAL, ONLY_IF, CAPTURE)
_LONG_KEYS = (EXPECTED, FAILURE, RETRY_DELAY, ONLY_IF, HOLD_FOR)
_SCANNER = scanner_for(KEYS)
_LONG_SCANNER = scanner_for(_LONG_KEYS)
_LONG_INSIDE = re.compile(rf"(?i)\b({'|'.join(_LONG_KEYS)})\b[^\w\s]{{0,3}} *[:|]")
_WITHOUT_COLON = re.compile(
    rf"(?i)[*_`]*(?:(?:{'|'.join(_LONG_KEYS)})\b|(?:attempts|timeout)\W{{1,3}}[0-9]|approval\W{{1,3}}required"
    rf"|capture\W{{1,3}}\w+ from\b)"
)
#: An unknown key made of such words would change what runs.
_TELLING_WORDS = frozenset(
    {"output", "expect", "expects", "expected", "fail", "fails", "failure", "retry", "retries", "attempt"}
    | {"attempts", "timeout", "approval", "approve", "approved", "condition", "only", "when", "if", "unless"}
    | {"skip", "rollback", "capture", "hold", "delay", "wait"}
)


def entries_on(line: str) -> list[tuple[str, str]]:
    """The step keys on one line, with their values; [] if the line does not begin with one."""
    return split_line(line, _SCANNER)


def begins_with_long_key(line: str) -> bool:
    """Whether a line begins with one of the keys that cannot be anything else, such as YAML."""
    return bool(split_line(line, _LONG_SCANNER))


def why_not_prose(line: str) -> tuple[str, str] | None:
    """Why a line in a step cannot be taken as prose (what is wrong, and the fix); None if it can."""
    key_value = split_key(line)
    if key_value is not None and normal(key_value[0]) in NOTE_KEYS:
        return None
    if radius_keys.is_key_line(line):
        return "is a limit outside Blast Radius, where nobody holds it", radius_keys.FIX
    if key_value is not None and (reason := _why_not_a_key(*key_value)):
        return reason
    if key_value is None and (near := lookalikes.meant(line, (*KEYS, HOLD_FOR))) is not None:
        return "looks like a step's key and is none", f"did you mean `{near.capitalize()}:`?"
    line = lookalikes.folded(line)
    if _WITHOUT_COLON.match(line.strip()):
        return "looks like a step's key without its colon", "write `Key: value`"
    if _LONG_INSIDE.search(line):
        return "has a step's key inside the line", "let each key begin its own line"
    return None


def _why_not_a_key(key: str, value: str) -> tuple[str, str] | None:
    name = normal(key)
    near = difflib.get_close_matches(name, KEYS, n=1, cutoff=0.75)
    words = name.split()
    is_key_like = bool(value) or bool(near) or not _TELLING_WORDS.isdisjoint(words)
    if not is_key_like or len(words) > MAX_KEY_WORDS:
        return None
    hint = f"did you mean `{near[0].capitalize()}:`?" if near else f"use one of {', '.join(KEYS)}"
    return "is not a key that a step knows", f"{hint}; begin the line with `Note:` if it is for the reader"
