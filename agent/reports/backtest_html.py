"""The report of a backtest as one HTML file: no script, no asset from elsewhere, every text escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from jinja2 import Environment, PackageLoader, StrictUndefined

from agent.reports.backtest import Backtest, Decision
from agent.reports.backtest_json import Measure
from agent.reports.summary import duration

_TEMPLATE = "backtest.html.j2"
#: The plots' own units; the page scales them.
_HEIGHT = 170.0
_WIDTH = 420.0
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True, slots=True)
class Bar:
    """One piece of a stacked column: `kind` is its colour's name."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    tip: str


@dataclass(frozen=True, slots=True)
class Plot:
    """Columns, the words below them, and the lines behind them."""

    width: float
    height: float
    bars: tuple[Bar, ...]
    ticks: tuple[tuple[float, str], ...]
    lines: tuple[tuple[float, str], ...]


@dataclass(frozen=True, slots=True)
class About:
    """What the report was made of, in words."""

    source: str
    runbooks: int
    min_confidence: float
    ranked_by: str


def as_html(report: Backtest, *, about: About, measures: Sequence[Measure] = ()) -> str:
    """One page that can be sent to a manager."""
    environment = Environment(
        loader=PackageLoader("agent.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        short=_short, folder=_folder, percent=percent, duration=duration, number=number, day=_day
    )
    return environment.get_template(_TEMPLATE).render(
        report=report,
        about=about,
        measures=measures,
        counts={decision.value: report.counts[decision] for decision in Decision},
        shares={decision.value: report.share(decision) for decision in Decision},
        hours=_stacked(
            [_named(counts) for counts in report.hours], [f"{hour}" for hour in range(24)], every=3
        ),
        days=_stacked([_named(counts) for counts in report.days], _DAYS),
        confidences=_stacked(
            [{"match" if at >= 8 else "ambiguous": count} for at, count in enumerate(report.confidences)],
            [f".{at}" for at in range(10)],
        ),
        next_share=sum(wanted.share for wanted in report.wanted[:5]),
    )


def percent(share: float) -> str:
    """`14 %`; small shares with a decimal, and never 0 or 100 for what is not."""
    value = share * 100
    if 0 < value < 10 or 99 < value < 100:
        return f"{max(0.1, min(99.9, value)):.1f} %"
    return f"{value:.0f} %"


def number(value: int) -> str:
    """`5 000`, with a thin space."""
    return f"{value:,}".replace(",", "\u202f")


def _short(runbook: str) -> str:
    """The file's name of a path, an id as it is."""
    return runbook.rpartition("/")[2].removesuffix(".md")


def _folder(runbook: str) -> str:
    return runbook.rpartition("/")[0]


def _day(at: datetime | None) -> str:
    return f"{at:%d %b %Y}".lstrip("0") if at is not None else "unknown"


def _named(counts: Mapping[Decision, int]) -> dict[str, int]:
    return {decision.value: counts[decision] for decision in Decision}


def _stacked(columns: Sequence[Mapping[str, int]], words: Sequence[str], *, every: int = 1) -> Plot:
    """Columns of pieces, in the order of Decision from the bottom up."""
    highest = max((sum(column.values()) for column in columns), default=0) or 1
    top = _round_up(highest)
    slot = _WIDTH / max(1, len(columns))
    gap = slot * 0.22
    bars: list[Bar] = []
    for at, column in enumerate(columns):
        level = _HEIGHT
        for kind in (decision.value for decision in Decision):
            count = column.get(kind, 0)
            height = _HEIGHT * count / top
            level -= height
            if count:
                tip = f"{words[at]}: {count} {_WORDS[kind]}"
                bars.append(
                    Bar(at * slot + gap / 2, round(level, 2), slot - gap, round(height, 2), kind, tip)
                )
    ticks = tuple((round((at + 0.5) * slot, 2), word) for at, word in enumerate(words) if at % every == 0)
    lines = tuple((round(_HEIGHT - _HEIGHT * part / 2, 2), number(top * part // 2)) for part in (0, 1, 2))
    return Plot(_WIDTH, _HEIGHT, tuple(bars), ticks, lines)


_WORDS = {"match": "taken by a runbook", "ambiguous": "a human chooses", "none": "no runbook"}


def _round_up(value: int) -> int:
    """The next even number of one or two digits and zeros, for a scale that is easy to read."""
    step = 2 * int(10 ** max(0, len(str(value)) - 2))
    return -(-value // step) * step
