"""Plots as SVG text: drawn here, coloured by the page's style sheet, without a line of script.

Every text in them is escaped. A plot shows no number that the table beside it does not have.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, log10

WIDE, NARROW = 720, 400
_HEIGHT = 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 8, 10, 24

#: A column of a plot with few of them is no wall.
_WIDEST = 56.0

#: Labels below columns: more would touch each other.
_MOST_LABELS = 9

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_CELL, _GAP = 26, 2

#: Shades of a heat map above nothing at all.
_SHADES = 5


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its label, and what is stacked in it, as (style, value, words)."""

    label: str
    parts: tuple[tuple[str, float, str], ...]

    @property
    def total(self) -> float:
        """Its height."""
        return sum(value for _, value, _ in self.parts)


def columns(
    drawn: Sequence[Column], *, title: str, top: float | None = None, unit: str = "", width: int = WIDE
) -> str:
    """Stacked columns over time; `top` is the end of the scale, where it does not follow from the values."""
    highest = top if top is not None else _round_up(max((each.total for each in drawn), default=0))
    inside = "".join([*_grid(highest, unit, width), *_stacks(drawn, highest, width), *_labels(drawn, width)])
    return _svg(width, _HEIGHT, title, inside)


def _svg(width: int, height: int, title: str, inside: str) -> str:
    return (
        f'<svg class="plot" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{escape(title)}">{inside}</svg>'
    )


def _round_up(value: float) -> int:
    """The next number whose quarters are whole: a scale that people read at one look."""
    order = int(10 ** max(0, int(log10(max(value, 1))) - 1))
    return next(step * order for step in (4, 8, 12, 20, 40, 60, 80, 100) if step * order >= value)


def _grid(highest: float, unit: str, width: int) -> Iterator[str]:
    for quarter in range(5):
        y = _y(highest * quarter / 4, highest)
        value = f"{highest * quarter / 4:g}{unit}"
        yield f'<line class="grid" x1="{_LEFT}" x2="{width - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text class="tick" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{escape(value)}</text>'


def _y(value: float, highest: float) -> float:
    room = _HEIGHT - _TOP - _BOTTOM
    return _TOP + room - room * min(value, highest) / highest


def _stacks(drawn: Sequence[Column], highest: float, width: int) -> Iterator[str]:
    each_width = (width - _LEFT - _RIGHT) / max(len(drawn), 1)
    wide = min(max(each_width * 0.72, 1.0), _WIDEST)
    for place, column in enumerate(drawn):
        below = 0.0
        x = _LEFT + (place + 0.5) * each_width - wide / 2
        for style, value, words in column.parts:
            if value > 0:
                low, high = _y(below, highest), _y(below + value, highest)
                yield (
                    f'<rect class="{escape(style)}" x="{x:.1f}" y="{high:.1f}" rx="1.5" '
                    f'width="{wide:.1f}" height="{max(low - high, 0.5):.1f}">'
                    f"<title>{escape(column.label)}: {escape(words)}</title></rect>"
                )
            below += value


def _labels(drawn: Sequence[Column], width: int) -> Iterator[str]:
    each_width = (width - _LEFT - _RIGHT) / max(len(drawn), 1)
    every = max(1, ceil(len(drawn) / (_MOST_LABELS * width / WIDE)))
    for place, column in enumerate(drawn):
        if place % every == 0:
            x = _LEFT + (place + 0.5) * each_width
            yield (
                f'<text class="tick" x="{x:.1f}" y="{_HEIGHT - 7}" text-anchor="middle">'
                f"{escape(column.label)}</text>"
            )


def heat(hours: Mapping[tuple[int, int], int], *, title: str) -> str:
    """Weekdays by hours of the day, the darker the more."""
    highest = max(hours.values(), default=0)
    inside = "".join([*_hour_labels(), *_cells(hours, highest)])
    return _svg(_LEFT + 24 * _CELL, 20 + 7 * _CELL, title, inside)


def _hour_labels() -> Iterator[str]:
    for hour in range(0, 24, 3):
        x = _LEFT + hour * _CELL + _CELL / 2
        yield f'<text class="tick" x="{x:.0f}" y="13" text-anchor="middle">{hour:02}</text>'


def _cells(hours: Mapping[tuple[int, int], int], highest: int) -> Iterator[str]:
    size = _CELL - _GAP
    for day, name in enumerate(_DAYS):
        y = 20 + day * _CELL
        yield f'<text class="tick" x="{_LEFT - 6}" y="{y + 17}" text-anchor="end">{name}</text>'
        for hour in range(24):
            count = hours.get((day, hour), 0)
            shade = ceil(_SHADES * count / highest) if highest else 0
            yield (
                f'<rect class="heat-{shade}" x="{_LEFT + hour * _CELL}" y="{y}" rx="3" width="{size}" '
                f'height="{size}"><title>{name} {hour:02}:00: {count}</title></rect>'
            )


def bar(share: float, *, style: str = "bar-fill") -> str:
    """A bar for a row of a table that says the number in words beside it."""
    width = max(0.0, min(1.0, share)) * 100
    return (
        '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="bar-ground" width="100" height="8" rx="2"/>'
        f'<rect class="{escape(style)}" width="{width:.1f}" height="8" rx="2"/></svg>'
    )
