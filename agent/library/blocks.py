"""Markdown text → blocks with exact line numbers, on markdown-it-py's token stream.

Only block structure is tokenised: key lines are read as they are written, so that `*` and `\\` in a
value stay what the author typed. Reference definitions are off: they would make lines vanish.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from markdown_it import MarkdownIt
from markdown_it.token import Token

#: Lists and quotes within each other beyond this are refused; the tokenizer would drop them silently.
MAX_NESTING = 8
_CONTAINERS = frozenset({"bullet_list", "ordered_list", "list_item", "blockquote"})

_markdown = MarkdownIt("commonmark", {"maxNesting": 3 * MAX_NESTING})
_markdown.core.ruler.enableOnly(["normalize", "block"])
_markdown.disable("reference")


class Kind(StrEnum):
    """What a block of Markdown is."""

    HEADING = "a heading"
    TEXT = "text"
    FENCE = "a code block"
    INDENTED_CODE = "indented code"
    HTML = "HTML"


@dataclass(frozen=True, slots=True)
class Source:
    """The lines of a file and the numbers they have in it."""

    lines: tuple[str, ...]
    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """One block. `numbers` are the file's line numbers of `lines`; `span` is its place in the source.

    For a fence, `lines` are its content, `info` what stands behind the opening marks.
    """

    kind: Kind
    line: int
    lines: tuple[str, ...]
    numbers: tuple[int, ...]
    span: tuple[int, int]
    level: int = 0
    info: str = ""
    closed: bool = True
    underlined: bool = False
    containers: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Its lines as one text."""
        return "\n".join(self.lines)

    @property
    def language(self) -> str:
        """The word behind a fence's opening marks, in lower case."""
        return self.info.strip().lower()

    @property
    def nested(self) -> bool:
        """Whether it stands in a list or a quote."""
        return bool(self.containers)

    @property
    def quoted(self) -> bool:
        """Whether it stands in a `>` quote."""
        return "blockquote" in self.containers


def source_of(text: str) -> Source:
    """The text's lines, without a byte-order mark, whatever its line ends are."""
    normal = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    lines = tuple(normal.split("\n"))
    return Source(lines, tuple(range(1, len(lines) + 1)))


def blocks_of(source: Source) -> tuple[Block, ...]:
    """The blocks in order of appearance."""
    return tuple(_blocks(source, _markdown.parse("\n".join(source.lines))))


def _blocks(source: Source, tokens: Sequence[Token]) -> Iterator[Block]:
    containers: list[str] = []
    heading: Token | None = None
    for token in tokens:
        name = token.type.removesuffix("_open").removesuffix("_close")
        if name in _CONTAINERS:
            _enter_or_leave(containers, name, token.nesting)
        elif name == "heading":
            heading = token if token.nesting == 1 else None
        elif token.map is not None and name in _MAKERS:
            yield _block(source, token, heading, tuple(containers))


def _enter_or_leave(containers: list[str], name: str, nesting: int) -> None:
    if nesting == 1:
        containers.append(name)
    else:
        containers.pop()


_MAKERS = {
    "inline": Kind.TEXT,
    "fence": Kind.FENCE,
    "code_block": Kind.INDENTED_CODE,
    "html_block": Kind.HTML,
}


def _block(source: Source, token: Token, heading: Token | None, containers: tuple[str, ...]) -> Block:
    assert token.map is not None
    begin, end = token.map
    kind = Kind.HEADING if heading is not None else _MAKERS[token.type]
    lines = tuple(token.content.removesuffix("\n").split("\n"))
    first = begin + (1 if kind is Kind.FENCE else _blank_lines(source, begin, end))
    numbers = _numbers(source, first, len(lines))
    return Block(
        kind=kind,
        line=_number(source, begin),
        lines=lines,
        numbers=numbers,
        span=(begin, end),
        level=int(heading.tag[1:]) if heading is not None else 0,
        info=token.info,
        closed=kind is not Kind.FENCE or _is_closed(source, token.markup, begin, end),
        underlined=heading is not None and heading.markup in "=-",
        containers=containers,
    )


def _number(source: Source, index: int) -> int:
    return source.numbers[min(index, len(source.numbers) - 1)]


def _numbers(source: Source, first: int, count: int) -> tuple[int, ...]:
    numbers = source.numbers[first : first + count]
    return numbers if len(numbers) == count else (*numbers, *source.numbers[-1:] * (count - len(numbers)))


def _blank_lines(source: Source, begin: int, end: int) -> int:
    """Lines of exotic white space in front of a paragraph; the tokenizer strips them from its text."""
    count = 0
    while begin + count < end - 1 and not source.lines[begin + count].strip():
        count += 1
    return count


def _is_closed(source: Source, marks: str, begin: int, end: int) -> bool:
    """Whether the fence's last line is its end mark; an open one runs to the end of its container."""
    line = source.lines[end - 1]
    marker = line.lstrip(" \t>").rstrip(" \t")
    is_indented_code = line.startswith(("    ", "\t"))
    return (
        end - 1 > begin and not is_indented_code and set(marker) == {marks[0]} and len(marker) >= len(marks)
    )
