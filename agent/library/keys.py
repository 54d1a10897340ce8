"""Key lines: `- **Expected output:** "OK"` → key and value, with the line it stands on.

One line of text that is already isolated; form is free (bold, list item, any case), meaning is not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from agent.library.blocks import Block, Kind
from agent.library.problems import Problems
from agent.library.values import literal_end, opens_literal, shown

_MARKS = ("***", "**", "__", "*", "_", "`")
_KEY = re.compile(r"[A-Za-z][\w .\-/]{0,79}", re.ASCII)
#: What may stand in front of a key or of a quoted text.
_BREAK = re.compile(r"[ \t;,|(:=<>]")
MAX_KEY_WORDS = 4
#: Lines that begin so are for the human reader.
NOTE_KEYS = frozenset(
    {
        "note",
        "notes",
        "warning",
        "caution",
        "important",
        "tip",
        "hint",
        "why",
        "background",
        "see",
        "see also",
    }
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A key line: the key in lower case with single spaces, the value as written."""

    key: str
    value: str
    line: int


def split_key(text: str) -> tuple[str, str] | None:
    """Key and value of a line that has the shape `Words: value`; None for any other line."""
    if ":" not in text:
        return None
    line = text.strip()
    mark = next((mark for mark in _MARKS if line.startswith(mark)), "") if line[0] in "*_`" else ""
    raw_key, colon, value = line[len(mark) :].partition(":")
    if not colon or value.startswith("//"):
        return None
    raw_key, value = _without_marks(raw_key.rstrip(), value.strip(), mark)
    key = raw_key.replace("\\_", "_").strip()
    if _KEY.fullmatch(key) is None or len(key.split()) > MAX_KEY_WORDS:
        return None
    return " ".join(key.split()), value


def _without_marks(key: str, value: str, mark: str) -> tuple[str, str]:
    """Emphasis may end before the colon, behind it, or at the end of the line."""
    if not mark:
        return key, _without_ticks(value)
    if key.endswith(mark):
        return key.removesuffix(mark), _without_ticks(value)
    if value.startswith(mark):
        return key, _without_ticks(value.removeprefix(mark).strip())
    return key, _without_ticks(value.removesuffix(mark).strip())


def _without_ticks(value: str) -> str:
    if len(value) > 2 and value[0] == value[-1] == "`" and value.count("`") == 2:
        return value[1:-1].strip()
    return value


def normal(key: str) -> str:
    """A key as it is compared: lower case, words joined by single spaces."""
    return " ".join(key.lower().replace("_", " ").replace("-", " ").split())


def scanner_for(names: Sequence[str]) -> re.Pattern[str]:
    """A pattern that finds one of the names as a key, at one position."""
    words = "|".join(re.escape(name).replace("\\ ", " +") for name in names)
    return re.compile(rf"[*_`]{{0,3}}({words})[*_`]{{0,3}} *:[*_`]{{0,3}}", re.IGNORECASE)


def split_line(text: str, scanner: re.Pattern[str]) -> list[tuple[str, str]]:
    """All keys on one line: `Expected output: "OK" Failure action: continue`; [] if it begins with none."""
    line = text.strip()
    if scanner.match(line) is None:
        return []
    starts = list(_key_starts(line, scanner))
    if len(starts) == 1 and (only := split_key(line)) is not None:
        return [(normal(only[0]), only[1])]
    ends = [found.start() for found in starts[1:]] + [len(line)]
    return [
        (normal(found[1]), _trimmed(line[found.end() : end], is_last=end == len(line)))
        for found, end in zip(starts, ends, strict=True)
    ]


def _key_starts(line: str, scanner: re.Pattern[str]) -> Iterator[re.Match[str]]:
    position = 0
    while position < len(line):
        at_word = position == 0 or line[position - 1] in " \t;,|"
        found = scanner.match(line, position) if at_word else None
        if found is not None:
            yield found
            position = found.end()
        elif opens_literal(line, position):
            position = literal_end(line, position) or len(line)
        else:
            position = _after_break(line, position)


def _after_break(line: str, position: int) -> int:
    """Where the next key or quoted text could begin."""
    found = _BREAK.search(line, position)
    return found.end() if found is not None else len(line)


def _trimmed(value: str, *, is_last: bool) -> str:
    return _without_ticks(value.strip() if is_last else value.strip().rstrip(";,|").rstrip())


def numbered_lines(block: Block) -> Iterator[tuple[int, str]]:
    """The block's lines with their numbers in the file."""
    yield from zip(block.numbers, block.lines, strict=True)


def any_key(_key: str) -> bool:
    """For sections whose keys are looked at later."""
    return True


def entries_of(
    blocks: Sequence[Block], problems: Problems, *, section: str, is_known: Callable[[str], bool] = any_key
) -> tuple[Entry, ...]:
    """The key lines of a section that consists of key lines only; whatever else is there is a problem."""
    entries: list[Entry] = []
    for block in blocks:
        if block.kind is Kind.TEXT and not block.quoted:
            entries.extend(_block_entries(block, problems, section=section, is_known=is_known))
        elif not (block.kind is Kind.HTML and is_comment(block)):
            problems.add(
                block.line,
                f"{section} holds {'a quote' if block.quoted else block.kind}, which means nothing there",
                fix="keep only lines of the form `- key: value` in this section",
            )
    return tuple(entries)


def _block_entries(
    block: Block, problems: Problems, *, section: str, is_known: Callable[[str], bool]
) -> Iterator[Entry]:
    """Lines that do not begin with a key go on with the line before, as Markdown renders them."""
    entry: Entry | None = None
    for number, text in numbered_lines(block):
        key_value = split_key(text)
        if key_value is None and entry is not None:
            entry = replace(entry, value=f"{entry.value} {text.strip()}")
            continue
        if entry is not None and entry.key not in NOTE_KEYS:
            yield entry
        entry = _entry(key_value, number, text, problems, section=section, is_known=is_known)
    if entry is not None and entry.key not in NOTE_KEYS:
        yield entry


def _entry(
    key_value: tuple[str, str] | None,
    number: int,
    text: str,
    problems: Problems,
    *,
    section: str,
    is_known: Callable[[str], bool],
) -> Entry | None:
    if key_value is None:
        problems.add(
            number,
            f"{section}: {shown(text)} is not understood",
            fix="write `- key: value`, or begin the line with `Note:` if it is for the reader",
        )
        return None
    key, value = key_value
    if key.lower() in NOTE_KEYS:
        return Entry(key.lower(), value, number)
    if not is_known(key):
        problems.add(
            number, f"{section}: {shown(key)} is not a key that is known there", fix=f"check {shown(text)}"
        )
        return None
    return Entry(key, value, number)


def is_comment(block: Block) -> bool:
    """Whether an HTML block is nothing but a comment that ends."""
    text = block.text.strip()
    return text.startswith("<!--") and text.find("-->") == len(text) - len("-->")
