"""`kubectl describe` lists a container's environment with every value: names stay, values do not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import re2

ENVIRONMENT: Final = "Environment:"
#: A value that names where it comes from shows nothing: `<set to the key 'x' in secret 'y'>`.
_LINE: Final = re2.compile(r"([ \t]*[A-Za-z_][A-Za-z0-9_.-]*:[ \t]+)(<set to .*|\(v1:.*)?.*\s*")


def without_values(text: str, mask: str) -> str:
    """The text with every value below a line `Environment:` masked; one look at each line."""
    return "".join(_masked_lines(text, mask)) if ENVIRONMENT in text else text


def _masked_lines(text: str, mask: str) -> Iterator[str]:
    depth = -1
    for line in text.splitlines(keepends=True):
        indent = len(line) - len(line.lstrip(" \t"))
        if depth >= 0 and line.strip() and indent <= depth:
            depth = -1
        yield _masked(line, mask) if depth >= 0 and line.strip() else line
        if line.strip() == ENVIRONMENT:
            depth = indent


def _masked(line: str, mask: str) -> str:
    end = line[len(line.rstrip("\r\n")) :]
    found = _LINE.fullmatch(line)
    if found is None:
        return line[: len(line) - len(line.lstrip(" \t"))] + mask + end
    return line if found.group(2) else str(found.group(1)) + mask + end
