"""Plots: what is drawn is what is counted, and what others wrote stays text."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.reports import plots
from agent.reports.plots import Column

SVG = "{http://www.w3.org/2000/svg}"


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" '))


@given(st.lists(st.lists(st.integers(0, 10**6), min_size=1, max_size=3), max_size=60))
def test_whatever_is_counted_stays_within_the_plot(counts: list[list[int]]) -> None:
    drawn = [Column("x", tuple(("good", each, str(each)) for each in parts)) for parts in counts]
    root = parsed(plots.columns(drawn, title="t"))
    width, height = float(root.get("width", "0")), float(root.get("height", "0"))
    for rect in root.iter(f"{SVG}rect"):
        x, y, w, h = (float(rect.get(name, "-1")) for name in ("x", "y", "width", "height"))
        assert x >= 0
        assert y >= 0
        assert x + w <= width
        assert y + h <= height


def test_heights_are_as_the_numbers() -> None:
    root = parsed(plots.columns([Column("a", (("good", 10, "10"), ("bad", 20, "20")))], title="t"))
    good, bad = (float(each.get("height", "0")) for each in root.iter(f"{SVG}rect"))
    assert bad == pytest.approx(2 * good, rel=0.02)


def test_a_scale_is_read_at_one_look() -> None:
    for highest in (0, 1, 3, 7, 9, 30, 77, 101, 1_234):
        svg = plots.columns([Column("a", (("good", highest, ""),))], title="t")
        ticks = [float(each) for each in re.findall(r'text-anchor="end">([\d.e+]+)<', svg)]
        assert len(ticks) == 5
        assert all(each == int(each) for each in ticks)
        assert highest <= ticks[-1] <= max(4, 2 * highest)


def test_hostile_words_stay_text() -> None:
    words = "<script>x</script>\"'"
    drawn = [Column(words, ((words, 1, words),))]
    for svg in (plots.columns(drawn, title=words, unit=words), plots.heat({}, title=words)):
        assert "<script" not in svg
        parsed(svg)


def test_the_busiest_hour_is_the_darkest_and_an_empty_one_has_no_shade() -> None:
    root = parsed(plots.heat({(0, 3): 10, (6, 23): 1}, title="t"))
    shades = [each.get("class") for each in root.iter(f"{SVG}rect")]
    assert len(shades) == 7 * 24
    assert (shades[3], shades[-1], shades[0]) == ("heat-5", "heat-1", "heat-0")


@pytest.mark.parametrize(
    ("share", "width"), [(0, "0.0"), (0.5, "50.0"), (1, "100.0"), (7, "100.0"), (-1, "0.0")]
)
def test_a_bar_is_as_long_as_its_share(share: float, width: str) -> None:
    assert f'class="bar-fill" width="{width}"' in plots.bar(share)
