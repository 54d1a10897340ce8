"""Front matter: `id, owner, autonomy, tags` between two lines of `---` at the top of the file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from agent.domain.runbook import Autonomy
from agent.library.blocks import Source
from agent.library.problems import NotUnderstoodError, Problems
from agent.library.values import shown
from agent.library.yaml_blocks import YamlError, load_mapping

MAX_LINES = 100
MAX_TAGS = 20
_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_KEYS = ("id", "owner", "autonomy", "tags")


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """What the author says about the runbook as a whole."""

    id: str = ""
    owner: str = ""
    autonomy: Autonomy | None = None
    tags: tuple[str, ...] = ()


def split(source: Source) -> tuple[str | None, Source]:
    """The front matter's text, if there is any, and the source with its lines blanked out."""
    if source.lines[0].rstrip() != "---":
        return None, source
    ends = (index for index, line in enumerate(source.lines[1:], start=1) if line.rstrip() in ("---", "..."))
    end = next(ends, None)
    if end is None:
        return None, source
    text = "\n".join(source.lines[1:end])
    return text, Source(("",) * (end + 1) + source.lines[end + 1 :], source.numbers)


def is_unclosed(source: Source, text: str | None) -> bool:
    """Whether the file begins like front matter that has no end."""
    return text is None and source.lines[0].rstrip() == "---"


def parse(text: str, problems: Problems) -> FrontMatter:
    """Front matter's values; problems are told at their line (the text begins at line 2)."""
    try:
        if text.count("\n") >= MAX_LINES:
            raise NotUnderstoodError(f"front matter longer than {MAX_LINES} lines", "close it with ---")
        values = load_mapping(text)
    except YamlError as error:
        problems.add(2 + error.offset, f"front matter: {error.message}", fix=error.fix)
        return FrontMatter()
    except NotUnderstoodError as error:
        problems.add_error(1, error)
        return FrontMatter()
    lines = _lines_of_keys(text)
    for key in values:
        if key not in _KEYS:
            problems.add(
                lines.get(key, 1), f"front matter: {shown(key)} is not known", fix=f"use {', '.join(_KEYS)}"
            )
    return _front_matter(values, lines, problems)


def _front_matter(values: Mapping[str, object], lines: Mapping[str, int], problems: Problems) -> FrontMatter:
    """Each value is read on its own, so that all problems are told at once."""
    front_matter = FrontMatter()
    readers = {"id": _id, "owner": _owner, "autonomy": _autonomy, "tags": _tags}
    read: dict[str, object] = {}
    for key in _KEYS:
        if key not in values:
            continue
        try:
            read[key] = readers[key](values[key])
        except NotUnderstoodError as error:
            problems.add(lines.get(key, 1), f"front matter: {error.message}", fix=error.fix)
    return _made(read) if read else front_matter


def _made(read: Mapping[str, object]) -> FrontMatter:
    autonomy, tags = read.get("autonomy"), read.get("tags", ())
    return FrontMatter(
        id=str(read.get("id", "")),
        owner=str(read.get("owner", "")),
        autonomy=autonomy if isinstance(autonomy, Autonomy) else None,
        tags=tags if isinstance(tags, tuple) else (),
    )


def _lines_of_keys(text: str) -> Mapping[str, int]:
    """File line of each key at the left margin."""
    lines: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), start=2):
        lines.setdefault(line.partition(":")[0].strip(), number)
    return lines


def _id(value: object) -> str:
    if not isinstance(value, str) or _ID.fullmatch(value) is None:
        raise NotUnderstoodError(f"id {shown(str(value))} cannot be used", "use a-z, 0-9, dots and hyphens")
    return value


def _owner(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > 200 or not value.isprintable():
        raise NotUnderstoodError(
            f"owner {shown(str(value))} cannot be used", "write a team or a person as text"
        )
    return value.strip()


def _autonomy(value: object) -> Autonomy:
    words = ", ".join(Autonomy)
    if not isinstance(value, str) or value.lower() not in set(Autonomy):
        raise NotUnderstoodError(f"autonomy {shown(str(value))} is not known", f"use one of {words}")
    return Autonomy(value.lower())


def _tags(value: object) -> tuple[str, ...]:
    items = value.split(",") if isinstance(value, str) else value
    if (
        not isinstance(items, list)
        or len(items) > MAX_TAGS
        or not all(isinstance(item, str) for item in items)
    ):
        raise NotUnderstoodError("tags are a short list of words", "write tags: [redis, cache]")
    tags = tuple(item.strip() for item in items)
    if not all(tag and tag.isprintable() and len(tag) <= 100 for tag in tags):
        raise NotUnderstoodError("a tag is empty or too long", "write tags: [redis, cache]")
    return tags
