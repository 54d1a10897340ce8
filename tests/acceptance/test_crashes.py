"""The daemon is killed exactly at its durable boundaries; docs/crashes.md says what comes of it."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance import crash_matrix, crash_points
from tests.acceptance.conftest import RedisServer
from tests.acceptance.crash_laws import Outcome, run_point
from tests.acceptance.crash_page import RESULTS, page
from tests.acceptance.crash_points import boundary_of
from tests.acceptance.crash_scenarios import BY_NAME


@cache
def rows() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(RESULTS.read_text())
    return found


def named() -> set[str]:
    return {wrapped.name for wrapped in crash_points.boundaries()}


@pytest.mark.soak  # until the whole matrix was written down by `make crash-matrix`
def test_every_boundary_in_the_code_has_its_rows_or_its_excuse() -> None:
    died = {(boundary_of(row["point"]), row["point"].rpartition(":")[2]) for row in rows()}
    missing = {name for name in named() if (name, "before") not in died or (name, "after") not in died}
    assert missing - set(crash_points.EXCUSED) == set()


def test_no_excuse_is_stale() -> None:
    assert set(crash_points.EXCUSED) - named() == set()
    assert set(crash_points.EXCUSED) & {boundary_of(row["point"]) for row in rows()} == set()


def test_the_page_says_what_the_results_say() -> None:
    assert crash_matrix.PAGE.read_text() == page(rows())


def test_no_row_breaks_a_law() -> None:
    assert [row["point"] for row in rows() if row["broken"] or not row["killed"]] == []
    assert {row["doubled"] for row in rows()} == {0}
    assert max(row["commands"] for row in rows()) == 1
    assert max(row["pages"] for row in rows()) == 1


#: One of each kind: stored, answered, started, charged, spawned, ended, closed, posted, noted, resolved,
#: paged, told, parked, woken, taken over, withdrawn, given up.
CHOSEN = (
    "store.accept_all[triggered]:after",
    "web.answered[202]:after",
    "store.claim:after",
    "store.begin_attempt[steps 1.1]:after",
    "sandbox.handed_over[steps 1.1]:after",
    "sandbox.run[steps 1.1]:after",
    "store.end_attempt[steps 1.1]:after",
    "store.record[end]:after",
    "run.leg:after",
    "chat.post_root:after",
    "chat.post_lines[lines]:after",
    "desk.note:after",
    "desk.resolve:after",
    "pager.page:after",
    "store.record[paged]:after",
    "store.park[decision]:after",
    "store.decision_told:after",
    "store.stand_down:after",
    "store.withdraw_resolve:after",
    "store.record[unresolved]:after",
)


def chosen() -> list[tuple[str, str]]:
    known = {row["point"]: row["scenario"] for row in rows()}
    return [(known[point], point) for point in CHOSEN if point in known]


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
def test_the_whole_matrix(tmp_path: Path, redis: RedisServer) -> None:
    points = crash_matrix.traced(tmp_path / "ways", redis.port)
    outcomes = crash_matrix.died(tmp_path, redis.port, points)
    assert {each.point: each.broken for each in outcomes if each.broken} == {}
    assert {each.point for each in outcomes if not each.killed} == set()
    assert {boundary_of(point) for _, point in points} == {boundary_of(row["point"]) for row in rows()}
