"""`Capture: name from /regex/` or `name from .path`: keeps a value of a step's output."""

from __future__ import annotations

import re

from agent.domain.command import Refusal
from agent.domain.decisions import ParameterValue
from agent.domain.runbook import Capture
from agent.library import json_paths, regexes
from agent.library.problems import NotUnderstoodError
from agent.library.values import pattern_only, shown

_CAPTURE = re.compile(r"([A-Za-z][A-Za-z0-9_-]*) +from +(?:jq +)?(.+)", re.IGNORECASE | re.DOTALL)
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
#: A longer value is not a name, a number or an address any more.
MAX_VALUE_CHARS = 256


def parse(text: str) -> Capture:
    """The name, and where in the output its value stands."""
    found = _CAPTURE.fullmatch(text.strip())
    if found is None:
        raise NotUnderstoodError(
            f"{shown(text)} is not a capture", "write `name from /pattern/` or `name from .path`"
        )
    name, source = found[1], found[2].strip()
    if _NAME.fullmatch(name) is None:
        raise NotUnderstoodError(
            f"the name {shown(name)} cannot be used", "use a-z, 0-9 and _, a letter first"
        )
    if source.startswith("/"):
        return Capture(name, pattern=pattern_only(source))
    json_paths.whole(source)
    return Capture(name, path=source)


def apply(capture: Capture, stdout: str) -> ParameterValue | Refusal:
    """The captured value, or why there is none.

    The output is untrusted: a value that is empty, too long or not printable on one line is refused.
    """
    where = f"/{capture.pattern}/" if capture.pattern else capture.path
    value = (
        regexes.first_group(capture.pattern, stdout) if capture.pattern else _at_path(capture.path, stdout)
    )
    if value is None:
        return Refusal(
            f"capture {capture.name}: the output has nothing at {where}", "check the step's output"
        )
    if not value or len(value) > MAX_VALUE_CHARS or not value.isprintable():
        return Refusal(
            f"capture {capture.name}: {shown(value)} cannot be used as a value",
            f"capture a printable text of one line, at most {MAX_VALUE_CHARS} characters",
        )
    return ParameterValue(value, f"output at {where}")


def _at_path(path: str, stdout: str) -> str | None:
    try:
        value = json_paths.value_at(stdout, json_paths.whole(path))
    except NotUnderstoodError:
        return None
    return None if isinstance(value, dict | list) or value is None else json_paths.as_text(value)
