"""Markdown text → a runbook, documentation, or every problem of the file with its line and fix.

Tolerant in form, strict in meaning: whatever could change what runs and is not understood is a
problem, and a file with a problem is not run. Only what stands in a code block ever becomes a command.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import PurePath

from agent.domain.errors import RunbookProblem
from agent.library import front_matter, mend
from agent.library.assembly import read_other_sections, runbook_of
from agent.library.blocks import MAX_NESTING, Block, Kind, Source, blocks_of, source_of
from agent.library.front_matter import FrontMatter
from agent.library.outline import Outline, is_runbook, outline_of, section_level, title_of
from agent.library.problems import Problems
from agent.library.results import Broken, Documentation, Parsed, ParseResult

__all__ = ["MAX_BYTES", "Broken", "Documentation", "ParseResult", "Parsed", "parse"]

#: A runbook is read by a tired human; the largest public one we know has 63 kB.
MAX_BYTES = 256 * 1024
MAX_LINES = 10_000
#: Characters that show a reader something else than what stands in the file (direction, zero width).
_MISLEADING = frozenset(
    "\u00ad\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff\x85"
)


def parse(text: str, *, path: str) -> ParseResult:
    """Read one Markdown file's whole text, as decoded from its bytes: UTF-8, line ends and all."""
    if too_large := _why_too_large(text, path):
        return Broken((too_large,), path)
    source = source_of(text)
    front, body = front_matter.split(source)
    blocks = blocks_of(body)
    if not is_runbook(blocks):
        return Documentation(path, title_of(blocks) or PurePath(path).stem, text)
    problems = Problems(path)
    _check_characters(source, problems)
    _check_line_ends(text, problems)
    if front_matter.is_unclosed(source, front):
        problems.add(
            1, "front matter that never ends", fix="close it with a line of ---, or remove the first line"
        )
    head = front_matter.parse(front, problems) if front is not None else FrontMatter()
    outline = _outline(body, blocks, problems)
    if outline is None:
        return Broken(problems.in_order(), path)
    runbook = runbook_of(outline, head, problems, text=text)
    return Broken(problems.in_order(), path) if problems.found else Parsed(runbook)


def _why_too_large(text: str, path: str) -> RunbookProblem | None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        return RunbookProblem(path, line, "a character that UTF-8 cannot hold", "save the file as UTF-8")
    if size > MAX_BYTES or text.count("\n") + text.count("\r") > 2 * MAX_LINES:
        return RunbookProblem(
            path, 1, f"larger than {MAX_BYTES} bytes or {MAX_LINES} lines", "split the file"
        )
    return None


def _check_characters(source: Source, problems: Problems) -> None:
    """What the reader sees must be what runs: no control characters, nothing invisible."""
    for number, line in zip(source.numbers, source.lines, strict=True):
        if line.isprintable():
            continue
        hidden = next((character for character in line if _is_hidden(character)), None)
        if hidden is not None:
            name = unicodedata.name(hidden, "control character")
            problems.add(number, f"an invisible character, U+{ord(hidden):04X} ({name})", fix="delete it")


def _check_line_ends(text: str, problems: Problems) -> None:
    """A terminal shows what follows a lone carriage return in place of what stands before it."""
    lines = text.replace("\r\n", "\n")
    if (at := lines.find("\r")) >= 0:
        problems.add(
            lines.count("\n", 0, at) + 1,
            "a carriage return without a line feed hides text in a terminal",
            fix="end all lines with a line feed (Unix line ends)",
        )


def _is_hidden(character: str) -> bool:
    return character in _MISLEADING or (unicodedata.category(character) == "Cc" and character != "\t")


def _outline(body: Source, blocks: Sequence[Block], problems: Problems) -> Outline | None:
    """The sections, with runaway code blocks closed; None (and problems) if the steps cannot be told."""
    before = len(problems.found)
    mended = mend.mended(body, blocks, section_level(blocks), problems)
    if len(problems.found) > before:
        read_other_sections(outline_of(blocks, problems), problems)
        return None
    if mended != body:
        blocks = blocks_of(mended)
    _check_blocks(blocks, problems)
    return outline_of(blocks, problems)


def _check_blocks(blocks: Sequence[Block], problems: Problems) -> None:
    for block in blocks:
        if len(block.containers) > MAX_NESTING:
            problems.add(block.line, "lists or quotes nested too deeply", fix="make it flatter")
        if block.kind is Kind.HTML and block.text.lstrip().startswith("<!--") and "-->" not in block.text:
            problems.add(
                block.line, "a comment that never ends hides the rest of the file", fix="close it with -->"
            )
        if block.kind is Kind.FENCE and not block.closed:
            problems.add(block.line, "the code block is never closed", fix="close it with ```")
