"""How the demo looks: a Slack thread as people see it, the page that wakes a human, and what was checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from urllib.parse import urlsplit

import re2
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from agent.simulators.slack import SlackMessage

#: A line wider than this is hard to read; a narrower terminal is used whole.
_WIDEST = 108
_WITHOUT_TERMINAL = 100

_BOLD = re2.compile(r"\*([^*\n]+)\*")
_LINK = re2.compile(r"(https?://[^|\s]+)\|([^·\n]+)")
_FENCE = "```"
_BETWEEN_FIELDS = " | "
_FIELD_GAP = "   "
_TIMELINE = "Timeline:"
_BAR = Text("  ┃ ", style="dim")
_CLOCK_WIDTH = 10

_COLOURS = (
    ("🚨", "bold"),
    ("✅", "green"),
    ("❌", "red"),
    ("🔴", "bold red"),
    ("🛑", "red"),
    ("⚠️", "yellow"),
    ("📟", "magenta"),
    ("▶️", "cyan"),
    ("📋", "bold"),
    ("🔎", "cyan"),
)


class Screen:
    """Prints the demo; without a terminal it prints the same, uncoloured."""

    def __init__(self, console: Console | None = None) -> None:
        console = console or Console(highlight=False)
        console.width = min(console.width, _WIDEST) if console.is_terminal else _WITHOUT_TERMINAL
        self.console = console
        self._summaries = 0

    def title(self, text: str, lines: Sequence[str]) -> None:
        """What this is."""
        body = Text("\n".join(lines))
        self.console.print(Panel(body, title=f"[bold]{text}[/bold]", border_style="blue", padding=(0, 1)))

    def act(self, text: str) -> None:
        """A new chapter."""
        self.console.print()
        self.console.print(Rule(Text(text, style="bold blue"), style="blue", align="left"))

    def say(self, text: str) -> None:
        """One sentence of the story."""
        self.console.print(Text(text))

    def fact(self, text: str, *, holds: bool = True) -> None:
        """Something that was looked at and found so, or not."""
        mark = Text("✔ ", style="bold green") if holds else Text("✘ ", style="bold red")
        self.console.print(mark + Text(text, style="" if holds else "bold red"))

    def command(self, command: str, answer: str, *, good: bool) -> None:
        """A command that anybody could type, and what it answered."""
        self.console.print(Text.assemble(("$ ", "dim"), (command, "bold")))
        self.console.print(Text(f"  {answer}", style="green" if good else "red"))

    def arrival(self, at: datetime, text: str, *, good: bool) -> None:
        """One request or webhook."""
        line = Text.assemble((f"{at:%H:%M:%S}  ", "dim"), (text, "" if good else "red"))
        self.console.print(line, soft_wrap=True)

    def channel(self, name: str) -> None:
        """Where the thread stands."""
        self.console.print()
        self.console.print(Text(f"  # {name}", style="bold"))

    def root(self, message: SlackMessage, at: datetime, *, now_reads: bool = False) -> None:
        """The thread's first message; shown again when it has changed for good."""
        head = Text.assemble(
            ("  ■ oncall-agent ", "bold magenta"), ("APP", "dim reverse"), (f" {at:%H:%M:%S}", "dim")
        )
        if now_reads:
            head.append("  the first message now reads", "dim")
        self.console.print(head)
        for number, line in enumerate(message.shown.split("\n")):
            text = self._facts(line) if _BETWEEN_FIELDS in line else _marked(line, "" if number else "bold")
            self._barred(text, lead=_BAR)
        if not now_reads:
            self.console.print(_BAR)

    def reply(self, message: SlackMessage, at: datetime) -> None:
        """One message of the thread."""
        if message.broadcast:
            self._broadcast(message, at)
            return
        clock = f"{at:%H:%M:%S}"
        for line, is_code in _lines(message.shown):
            text = Text(line, style="bright_black" if is_code else _colour(line))
            lead = Text.assemble(
                ("  ┃ ", "dim"), (f"{clock:<{_CLOCK_WIDTH}}", "dim"), ("  ▏ " if is_code else "", "dim")
            )
            self._barred(text, lead=lead)
            clock = ""

    def page(self, heading: str, facts: Mapping[str, str | Sequence[str]]) -> None:
        """What the woken human sees."""
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="dim", no_wrap=True)
        grid.add_column(overflow="fold")
        for name, value in facts.items():
            grid.add_row(name, Text("\n".join([value] if isinstance(value, str) else value)))
        title = Text(heading, style="bold")
        self.console.print(Panel(grid, title=title, title_align="left", border_style="red", padding=(0, 1)))

    def table(self, heads: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> None:
        """A small table."""
        table = Table(box=box.SIMPLE_HEAD, header_style="bold", border_style="dim", pad_edge=False)
        for head in heads:
            table.add_column(head, overflow="fold")
        for row in rows:
            table.add_row(*row)
        self.console.print(table)

    def paths(self, pairs: Mapping[str, str]) -> None:
        """Where to look; each on a line of its own that can be copied whole."""
        width = max(len(name) for name in pairs)
        for name, value in pairs.items():
            line = Text.assemble((f"{name:<{width}}  ", "dim"), value)
            self.console.print(line, soft_wrap=True)

    def _broadcast(self, message: SlackMessage, at: datetime) -> None:
        """The summary; its timeline repeats what was just read, so that only the first shows it whole."""
        first, *rest = message.shown.split("\n")
        if self._summaries and _TIMELINE in rest:
            kept = rest.index(_TIMELINE)
            rest = [*rest[:kept], f"{_TIMELINE} {len(rest) - kept - 1} lines, as above"]
        self._summaries += 1
        self.console.print(_BAR)
        self.console.print(Text(f"  ┃ {at:%H:%M:%S}  also sent to #incidents", style="dim"))
        lead = _BAR + Text(f"{'':{_CLOCK_WIDTH}}▌ ", style="green")
        for number, line in enumerate([first, *rest]):
            style = "bold" if number == 0 else "bright_black" if line.startswith("[") else ""
            self._barred(Text(line, style=style), lead=lead, next_lead=lead)
        self.console.print(_BAR)

    def _facts(self, line: str) -> Text:
        """A card's fields; none is parted at a line's end."""
        room = self.console.width - _BAR.cell_len
        rows: list[list[str]] = [[]]
        for field in line.split(_BETWEEN_FIELDS):
            if rows[-1] and cell_len(_FIELD_GAP.join([*rows[-1], field])) > room:
                rows.append([])
            rows[-1].append(field.strip())
        return _bold("\n".join(_FIELD_GAP.join(row) for row in rows))

    def _barred(self, text: Text, *, lead: Text, next_lead: Text | None = None) -> None:
        """The text behind a lead; lines after the first get `next_lead`, or the bar and as much room."""
        rest = next_lead or Text("  ┃ ".ljust(lead.cell_len), style="dim")
        wrapped = text.wrap(self.console, self.console.width - lead.cell_len)
        for number, line in enumerate(wrapped or [Text()]):
            self.console.print((rest if number else lead) + line)


def _lines(text: str) -> Iterator[tuple[str, bool]]:
    """Each line, and whether it stands in a code block."""
    is_code = False
    for line in text.split("\n"):
        if line.strip() == _FENCE:
            is_code = not is_code
        else:
            yield line, is_code


def _colour(line: str) -> str:
    return next((colour for sign, colour in _COLOURS if line.startswith(sign)), "")


def _marked(line: str, style: str) -> Text:
    """mrkdwn of our own making: bold names, and links by the name of what they lead to."""
    text = Text(style=style)
    position = 0
    for found in _LINK.finditer(line):
        text.append_text(_bold(line[position : found.start()]))
        label = found.group(2).strip()
        text.append(label, style=f"underline link {found.group(1)}")
        position = found.start() + len(found.group(0).rstrip())
    return text.append_text(_bold(line[position:]))


def _bold(text: str) -> Text:
    shown = Text()
    position = 0
    for found in _BOLD.finditer(text):
        shown.append(text[position : found.start()])
        shown.append(found.group(1), style="dim")
        position = found.end()
    return shown.append(text[position:])


def host_of(url: str) -> str:
    """`host:port` of an address."""
    return urlsplit(url).netloc
