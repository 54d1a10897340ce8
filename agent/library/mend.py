"""Code blocks that were never closed, as in the published article: closed where the step's keys begin.

A shell block runs away when its end mark is missing: the step's keys, and often further headings,
then count as code. The mend is a rewrite of exactly those lines, and only in this form:

    one command (a trailing backslash continues it), then the step's key lines, then any of
      `### Step 2: …` with its own code block,
      `Step 2: …` that lost its `###`, then one command without fence, then its key lines,
      a section heading with or without its `##`; what is below Escalation is text again.

Anything else cannot be told apart from code, so it is a problem and nothing of the file is run.
Lines are only ever added (end marks, `###`), never changed, so a command stays what the text says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from agent.library import step_keys
from agent.library.blocks import Block, Kind, Source
from agent.library.keys import split_key
from agent.library.outline import STEP_SECTIONS, Name, bare_step_heading, name_of, step_heading
from agent.library.problems import NotUnderstoodError, Problems
from agent.library.values import shown

SHELLS = frozenset({"bash", "sh", "shell"})
_FENCE = "```"
_FIX = "close the code block with ``` right below the command"


def runaway_line(block: Block) -> int | None:
    """The number of the first line in a code block that is a step's key, a heading or a fence."""
    for number, line in zip(block.numbers, block.lines, strict=True):
        if _is_structure(line, in_shell=block.language in SHELLS):
            return number
    return None


def mended(source: Source, blocks: Sequence[Block], level: int, problems: Problems) -> Source:
    """The source with its runaway shell blocks closed; a block that cannot be told apart is a problem."""
    if not any(map(_can_mend, blocks)):
        return source
    lines: list[tuple[int, str]] = []
    position = 0
    section: Name | None = None
    for block in blocks:
        if block.kind is Kind.HEADING and not block.nested:
            section = name_of(block.text) or (
                section if step_heading(block.text) or block.level > level else None
            )
        if section not in STEP_SECTIONS or not _can_mend(block):
            continue
        begin, end = block.span
        lines.extend(_numbered(source, position, begin))
        try:
            lines.extend(_Mender(level).mended(list(_numbered(source, begin, end)), is_closed=block.closed))
        except _CannotTellError as error:
            problems.add_error(error.line, error)
            lines.extend(_numbered(source, begin, end))
        position = end
    lines.extend(_numbered(source, position, len(source.lines)))
    return Source(tuple(text for _, text in lines), tuple(number for number, _ in lines))


def _can_mend(block: Block) -> bool:
    if block.kind is not Kind.FENCE or block.nested or block.language not in SHELLS:
        return False
    return not block.closed or runaway_line(block) is not None


def _numbered(source: Source, begin: int, end: int) -> zip[tuple[int, str]]:
    return zip(source.numbers[begin:end], source.lines[begin:end], strict=True)


class _CannotTellError(NotUnderstoodError):
    def __init__(self, line: int, message: str, fix: str = _FIX) -> None:
        super().__init__(message, fix)
        self.line = line


class _State(Enum):
    CODE = auto()  # in a code block
    KEYS = auto()  # below a step's command
    STEP = auto()  # below `### Step`: its code block must follow
    BARE_STEP = auto()  # below `Step` without ###: its command must follow
    BARE_CODE = auto()  # below that command: its keys must follow
    STEPS = auto()  # below `## Verify` or `## Rollback`: a step must follow
    TEXT = auto()  # below another section: prose for people


@dataclass(slots=True)
class _Mender:
    """Walks a runaway block's lines; every line is either placed or the whole block is refused."""

    level: int
    out: list[tuple[int, str]] = field(default_factory=list)
    state: _State = _State.CODE
    opened: int = 0
    end_mark: str = _FENCE
    code: list[str] = field(default_factory=list)

    def mended(self, lines: list[tuple[int, str]], *, is_closed: bool) -> list[tuple[int, str]]:
        last = lines.pop() if is_closed else None
        self._open(*lines[0])
        for number, line in lines[1:]:
            self._place(number, line)
        if last is not None and self.state is not _State.CODE:
            raise _CannotTellError(
                last[0], "a step's key or heading stands inside the code block that ends here"
            )
        if last is None and self.state not in (_State.KEYS, _State.TEXT):
            raise _CannotTellError(self.opened, "the code block is never closed, so its end cannot be told")
        return self.out if last is None else [*self.out, last]

    def _open(self, number: int, line: str) -> None:
        self.out.append((number, line))
        self.opened, self.code, self.state = number, [], _State.CODE
        text = line.strip()
        self.end_mark = text[: len(text) - len(text.lstrip(text[0]))]

    def _place(self, number: int, line: str) -> None:
        match self.state:
            case _State.CODE:
                self._in_code(number, line)
            case _State.BARE_STEP:
                self._bare_command(number, line)
            case _State.BARE_CODE:
                self._after_bare_command(number, line)
            case _State.KEYS | _State.STEP | _State.STEPS | _State.TEXT:
                self._outside(number, line)

    def _in_code(self, number: int, line: str) -> None:
        if line.strip() == self.end_mark:
            self.out.append((number, line))
            self.state = _State.KEYS
        elif not _is_structure(line, in_shell=True):
            self.code.append(line)
            self.out.append((number, line))
        elif not _is_key(line):
            raise _CannotTellError(self.opened, f"the code block is not closed before {shown(line)}")
        elif not _is_one_command(self.code):
            raise _CannotTellError(
                self.opened,
                "the code block is not closed, and its one command cannot be told from the text below",
            )
        else:
            self.out += [(number, self.end_mark), (number, line)]
            self.state = _State.KEYS

    def _bare_command(self, number: int, line: str) -> None:
        if not line.strip():
            self.out.append((number, line))
        elif _is_shell_fence(line):
            self._open(number, line)
        elif _is_structure(line, in_shell=True):
            raise _CannotTellError(number, f"a step's command is missing before {shown(line)}")
        else:
            self.out += [(number, f"{_FENCE}bash"), (number, line)]
            self.opened, self.code, self.state, self.end_mark = number, [line], _State.BARE_CODE, _FENCE

    def _after_bare_command(self, number: int, line: str) -> None:
        if _continues(self.code) and not _is_structure(line, in_shell=True):
            self.code.append(line)
            self.out.append((number, line))
        elif not line.strip():
            self.out.append((number, line))
        elif _is_key(line) and _is_one_command(self.code):
            self.out += [(number, self.end_mark), (number, line)]
            self.state = _State.KEYS
        else:
            raise _CannotTellError(number, f"{shown(line)} cannot be told apart from a command", _FIX)

    def _outside(self, number: int, line: str) -> None:
        if section := _section_heading(line):
            self._section(number, line, section)
        elif self._is_plain(line):
            self.out.append((number, line))
        elif self.state is _State.STEP and _is_shell_fence(line):
            self._open(number, line)
        elif self.state is not _State.STEP and _heading(line, step_heading):
            self.out.append((number, line))
            self.state = _State.STEP
        elif self.state is not _State.STEP and bare_step_heading(line):
            self.out += [(number, ""), (number, f"{'#' * min(self.level + 1, 6)} {line.strip()}")]
            self.state = _State.BARE_STEP
        else:
            raise _CannotTellError(
                number, f"after a code block that is not closed, {shown(line)} cannot be told apart"
            )

    def _is_plain(self, line: str) -> bool:
        """Whether a line outside code may stand as it is: text, a key, an empty line."""
        if self.state is _State.STEPS:
            return not line.strip() or _is_hold_for(line)
        return self.state is _State.TEXT or not line.strip() or _is_key(line)

    def _section(self, number: int, line: str, section: Name) -> None:
        if self.state is _State.STEP:
            raise _CannotTellError(number, f"a step's command is missing before {shown(line)}")
        bare = not line.lstrip().startswith("#")
        self.out += [(number, ""), (number, f"{'#' * self.level} {line.strip()}" if bare else line)]
        self.state = _State.STEPS if section in STEP_SECTIONS else _State.TEXT


def _is_structure(line: str, *, in_shell: bool) -> bool:
    """Whether a line in a code block is not code but a step's key, a heading or a fence."""
    if line.lstrip(" ").startswith(("```", "~~~")):
        return True
    if any(_heading(line, read, least=2) for read in (step_heading, name_of)) or bare_step_heading(line):
        return True
    return _is_key(line) if in_shell else step_keys.begins_with_long_key(line)


def _heading(line: str, read: object, *, least: int = 1) -> bool:
    """Whether the line is a Markdown heading (at least that many #) whose text can be read so."""
    marks = line.lstrip(" ")
    text = marks.lstrip("#")
    level = len(marks) - len(text)
    is_heading = least <= level <= 6 and text[:1] in (" ", "\t", "")
    return is_heading and callable(read) and read(text.strip()) is not None


def _section_heading(line: str) -> Name | None:
    """A known section's heading, with its # or, alone on its line, without."""
    text = line.strip()
    if text.startswith("#"):
        return name_of(text.lstrip("#")) if _heading(text, name_of) else None
    return name_of(text) if text.replace(" ", "").isalpha() else None


def _is_key(line: str) -> bool:
    return bool(step_keys.entries_on(line.strip().removeprefix("- ").removeprefix("* ")))


def _is_hold_for(line: str) -> bool:
    key_value = split_key(line.strip().removeprefix("- "))
    return key_value is not None and key_value[0].lower() == step_keys.HOLD_FOR


def _is_shell_fence(line: str) -> bool:
    text = line.strip()
    marks = text[:3]
    return marks in ("```", "~~~") and text.strip("`~").strip().lower() in SHELLS


def _is_one_command(code: Sequence[str]) -> bool:
    """One line that is not empty, or several that a trailing backslash joins."""
    lines = [line for line in code if line.strip()]
    return bool(lines) and all(line.endswith("\\") for line in lines[:-1]) and not lines[-1].endswith("\\")


def _continues(code: Sequence[str]) -> bool:
    return code[-1].endswith("\\")
