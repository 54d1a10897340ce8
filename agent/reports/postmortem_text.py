"""A post-mortem as Markdown, as a page to print, and in a few lines for a chat; templates, and no facts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from itertools import islice

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from agent.domain.decision_event import GovernanceData, Minute
from agent.domain.postmortem import Postmortem, Tried
from agent.reports.plots import Column, bar, columns

#: Columns of the plot of decisions; a longer window is drawn in wider steps.
_MOST_COLUMNS = 90

#: What begins something else than text, anywhere or at the beginning of a line.
_MEANT = re.compile(r"([\\`*\[\]|~])|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_BEGINS = re.compile(r"^(?:#{1,6}|[>+=-]|[0-9]+[.)])(?=\s|$)")
_BACKTICKS = re.compile(r"`+")

_CHAT_ACTIONS = 6


def as_markdown(made: Postmortem) -> str:
    """The document as one Markdown file, in the published template's shape."""
    return _environment().get_template("postmortem.md").render(made=made)


def as_page(made: Postmortem) -> str:
    """A page by itself, with its own style: sent as a file, opened anywhere, printed as it is."""
    return _environment().get_template("postmortem.html").render(made=made, body=as_body(made))


def as_body(made: Postmortem) -> Markup:
    """What stands on a page, without the page."""
    drawn = decisions_plot(made.events) if made.events is not None else Markup("")
    return Markup(  # noqa: S704  (the template escapes whatever it writes)
        _environment().get_template("postmortem_body.html").render(made=made, drawn=drawn)
    )


def style_sheet() -> str:
    """How it looks, on a screen and on paper."""
    return _environment().get_template("postmortem.css").render()


def in_short(made: Postmortem, url: str) -> str:
    """What a chat is told: the summary, what is to be done, and where the whole of it is."""
    lines = [
        f"Post-mortem of {made.incident_id}: {made.title}",
        f"{made.started_at:%Y-%m-%d %H:%M} UTC, {made.duration}, {made.severity}, {made.status}",
        made.summary.text,
    ]
    if made.causes:
        lines.append(f"Root cause, the likeliest: {made.causes[0].text} ({made.causes[0].evidence})")
    lines += [f"☐ {each.text}: {each.why}" for each in islice(made.actions, _CHAT_ACTIONS)]
    if len(made.actions) > _CHAT_ACTIONS:
        lines.append(f"… and {len(made.actions) - _CHAT_ACTIONS} more")
    return "\n".join([*lines, f"The whole of it: {url}"])


def decisions_plot(events: GovernanceData) -> Markup:
    """Decisions over the window, the blocked ones told apart."""
    drawn = [
        Column(
            f"{each.at:%H:%M}",
            (
                ("bad", each.blocked, f"{each.blocked} blocked"),
                ("calm", each.total - each.blocked, f"{each.total - each.blocked} others"),
            ),
        )
        for each in joined(events.minutes)
    ]
    return Markup(columns(drawn, title="Decisions over the window"))  # noqa: S704  (plots escape every text)


def joined(minutes: Sequence[Minute]) -> tuple[Minute, ...]:
    """The same counts in fewer, wider steps, where there are too many to be drawn; empty ones are there."""
    if not minutes:
        return ()
    first = int(minutes[0].at.timestamp()) // 60
    width = max(1, -(-(int(minutes[-1].at.timestamp()) // 60 - first + 1) // _MOST_COLUMNS))
    steps: dict[int, dict[str, int]] = {}
    for each in minutes:
        counts = steps.setdefault((int(each.at.timestamp()) // 60 - first) // width, {})
        for name, many in each.decisions.items():
            counts[name] = counts.get(name, 0) + many
    return tuple(
        Minute(datetime.fromtimestamp((first + step * width) * 60, minutes[0].at.tzinfo), steps.get(step, {}))
        for step in range(max(steps) + 1)
    )


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("agent.reports", "templates"),
        autoescape=lambda name: name is None or not name.endswith(".md"),  # noqa: S701  (see `_md`)
        finalize=_visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters.update(
        md=_md, fenced=_fenced, session=_session, clock=_clock, many=lambda number: f"{number:,}"
    )
    made.globals.update(bar=lambda share: Markup(bar(share)))  # noqa: S704
    return made


def _visible(value: object) -> object:
    """Text without signs that a reader cannot see: some turn the writing round, some hide it."""
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    return "".join(each for each in value if each in "\n\t" or unicodedata.category(each) not in ("Cc", "Cf"))


def _md(value: object) -> str:
    """Text that is data, in one line of Markdown: nothing in it is a mark, a tag or a link."""
    plain = " ".join(str(_visible(str(value))).split())
    plain = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    plain = _MEANT.sub(lambda found: f"\\{found[0]}", plain)
    return _BEGINS.sub(lambda found: f"{found[0][:-1]}\\{found[0][-1]}", plain)


def _session(tried: Tried) -> str:
    """A command and what it put out, as a terminal shows them."""
    command = f"$ {tried.command}" if tried.command else ""
    return "\n".join(part for part in (command, tried.output) if part) or "(nothing was put out)"


def _fenced(text: str) -> str:
    """A block of code that ends where it should, whatever is in it."""
    plain = str(_visible(text)).rstrip("\n")
    longest = max((len(each) for each in _BACKTICKS.findall(plain)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{plain}\n{fence}"


def _clock(at: datetime, since: datetime) -> str:
    """The time of day; with the day, where it is not the one on which it began."""
    return f"{at:%H:%M:%S}" if at.date() == since.date() else f"{at:%Y-%m-%d %H:%M:%S}"
