"""The daemon is killed exactly at its durable boundaries; docs/crashes.md says what comes of it."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import pytest

import agent
import agent.ports
from agent.adapters.store import Store
from tests.acceptance import crash_matrix, crash_points
from tests.acceptance.conftest import RedisServer
from tests.acceptance.crash_excuses import ELSEWHERE, EXCUSED, NOT_OUTSIDE
from tests.acceptance.crash_laws import Outcome, run_point
from tests.acceptance.crash_page import RESULTS, page
from tests.acceptance.crash_points import boundary_of, methods_of
from tests.acceptance.crash_ways import BY_NAME
from tests.acceptance.crash_world import World


@cache
def rows() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(RESULTS.read_text())
    return found


def named() -> set[str]:
    return {wrapped.name for wrapped in crash_points.boundaries()}


def protocols() -> Iterator[tuple[str, type]]:
    """Every port, by its name."""
    for found in pkgutil.iter_modules(agent.ports.__path__):
        for name, value in vars(importlib.import_module(f"agent.ports.{found.name}")).items():
            if inspect.isclass(value) and getattr(value, "_is_protocol", False) and value is not Protocol:
                yield name, value


def test_every_boundary_in_the_code_has_its_rows_or_its_excuse() -> None:
    died = {(boundary_of(row["point"]), row["point"].rpartition(":")[2]) for row in rows()}
    missing = {name for name in named() if (name, "before") not in died or (name, "after") not in died}
    assert missing - set(EXCUSED) == set(), "make crash-matrix dies there, or crash_excuses.py says why not"


def test_no_excuse_is_stale() -> None:
    assert set(EXCUSED) - named() == set()
    assert set(EXCUSED) & {boundary_of(row["point"]) for row in rows()} == set()


def test_every_port_of_the_outside_world_is_a_boundary_or_a_store() -> None:
    known = {protocol for protocol, _ in crash_points.PORTS.values()}
    strangers = {
        name
        for name, protocol in protocols()
        if protocol not in known and not all(hasattr(Store, each) for each in methods_of(protocol))
    }
    assert strangers == NOT_OUTSIDE


def test_whoever_opens_a_transaction_is_the_store_or_is_known() -> None:
    of_store = {Path(inspect.getfile(each)) for each in Store.__mro__[:-1]}
    root = Path(agent.__file__).parents[1]
    opening = {
        path
        for path in (root / "agent").rglob("*.py")
        if re.search(r"\.(writing|chaining)\(", path.read_text()) and path not in of_store
    }
    assert {str(path.relative_to(root)) for path in opening} == set(ELSEWHERE)


def test_the_page_says_what_the_results_say() -> None:
    assert crash_matrix.PAGE.read_text() == page(rows())


def test_no_row_breaks_a_law() -> None:
    assert [row["point"] for row in rows() if row["broken"] or not row["killed"]] == []
    assert {row["doubled"] for row in rows()} == {0}
    assert max(row["commands"] for row in rows()) == 1
    assert (
        max(row["pages"] for row in rows() if row["scenario"] != "S9") == 1
    )  # who is to choose is paged too


#: Stored, run, paged, a ticket opened, an incident handed over. The whole matrix is for `make soak`.
CHOSEN = (
    "store.accept_all[triggered]:after",
    "sandbox.run[steps 1.1]:after",
    "pager.page:after",
    "tracker.open:after",
    "agents.post[package]:after",
)


def chosen() -> list[tuple[str, str]]:
    known = {row["point"]: row["scenario"] for row in rows()}
    return [(known[point], point) for point in CHOSEN]


def judged(directory: Path, redis: RedisServer, points: list[tuple[str, str]]) -> list[Outcome]:
    with ThreadPoolExecutor(2) as pool:
        numbered = enumerate(points)
        return list(
            pool.map(
                lambda each: run_point(BY_NAME[each[1][0]], each[1][1], directory / str(each[0]), redis.port),
                numbered,
            )
        )


def test_a_daemon_that_dies_at_a_boundary_goes_on_as_the_page_says(
    tmp_path: Path, redis: RedisServer
) -> None:
    outcomes = judged(tmp_path, redis, chosen())
    assert {each.point: each.broken for each in outcomes if each.broken} == {}
    assert [each.point for each in outcomes if not each.killed] == []


def test_the_judge_sees_a_line_that_is_said_twice(
    tmp_path: Path, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the scope to read back nothing can be found again: what the page says cannot be prevented."""
    monkeypatch.setattr("agent.simulators.slack.SCOPES", ("chat:write", "chat:write.public", "channels:read"))
    (outcome,) = judged(tmp_path, redis, [("S1", "chat.post_lines[summary]:after")])
    assert outcome.killed
    assert outcome.doubled > 0
    assert any("was to say" in each for each in outcome.broken)


@pytest.mark.soak
def test_the_judge_sees_a_ticket_that_is_opened_twice(tmp_path: Path, redis: RedisServer) -> None:
    """A search that lags finds nothing: what the page says cannot be prevented."""

    def lag(world: World) -> None:
        assert world.vendors.jira is not None
        world.vendors.jira.lag()

    outcome = run_point(
        replace(BY_NAME["E1"], before=lag), "tracker.open:after", tmp_path / "lags", redis.port
    )
    assert outcome.killed
    assert any("2 tickets for" in each for each in outcome.broken)


@pytest.mark.soak
def test_the_whole_matrix(tmp_path: Path, redis: RedisServer) -> None:
    points = crash_matrix.traced(tmp_path / "ways", redis.port)
    outcomes = crash_matrix.died(tmp_path, redis.port, points)
    assert {each.point: each.broken for each in outcomes if each.broken} == {}
    assert {each.point for each in outcomes if not each.killed} == set()
    assert {boundary_of(point) for _, point in points} >= {boundary_of(row["point"]) for row in rows()}
