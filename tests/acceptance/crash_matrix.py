"""The whole crash matrix: `python -m tests.acceptance.crash_matrix` writes crashes.json and docs/crashes.md.

First every scenario goes undisturbed and tells its points; then each point that no earlier scenario had is
died at. Two at a time, each with vendors of its own.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.acceptance.conftest import RedisServer
from tests.acceptance.crash_excuses import EXCUSED
from tests.acceptance.crash_laws import Outcome, run_point, trace
from tests.acceptance.crash_page import RESULTS, page
from tests.acceptance.crash_points import boundary_of, new_points
from tests.acceptance.crash_scenarios import Scenario
from tests.acceptance.crash_ways import BY_NAME, SCENARIOS

PAGE = Path(__file__).parents[2] / "docs" / "crashes.md"
_AT_ONCE = 2
_CHANCES = 3


def traced(
    directory: Path, redis_port: int, scenarios: Sequence[Scenario] = SCENARIOS
) -> list[tuple[str, str]]:
    """(scenario, point) in the order of the ways that were gone; undisturbed, every law must hold.

    A busy machine may order things so that a human came too late: such a way is gone again.
    """

    def one(scenario: Scenario) -> list[str]:
        for chance in range(_CHANCES):
            points, outcome = trace(scenario, directory / f"{scenario.name}-{chance}", redis_port)
            if not outcome.broken:
                return points
        raise AssertionError(f"{scenario.name}: {outcome.broken}")

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        ways = list(pool.map(one, scenarios))
    found = new_points([(each.name, points) for each, points in zip(scenarios, ways, strict=True)])
    return [(scenario, point) for scenario, point in found if boundary_of(point) not in EXCUSED]


def died(directory: Path, redis_port: int, points: Iterable[tuple[str, str]]) -> list[Outcome]:
    """What came of each point, in their order."""

    def one(numbered: tuple[int, tuple[str, str]]) -> Outcome:
        number, (scenario, point) = numbered
        for chance in range(_CHANCES):  # threads race: what one way went through the next may not
            place = directory / f"point-{number}-{chance}"
            outcome = run_point(BY_NAME[scenario], point, place, redis_port)
            if outcome.killed or outcome.broken:
                break
        state = "BROKEN" if outcome.broken else "ok" if outcome.killed else "NOT REACHED"
        print(f"{state:12}{scenario:5}{point:60}{outcome.end}  {'; '.join(outcome.broken)[:600]}", flush=True)  # noqa: T201
        return outcome

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(one, enumerate(points)))


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only", default="", help="points whose `scenario point` this expression is found in"
    )
    parser.add_argument(
        "--known", action="store_true", help="die at the points of crashes.json, trace nothing"
    )
    options = parser.parse_args(arguments)
    directory = Path(tempfile.mkdtemp(prefix="crash-matrix-"))
    redis = RedisServer(directory)
    try:
        if options.known:
            points = [(row["scenario"], row["point"]) for row in json.loads(RESULTS.read_text())]
        else:
            points = traced(directory / "ways", redis.port)
        chosen = [each for each in points if re.search(options.only, " ".join(each))]
        outcomes = died(directory, redis.port, chosen)
    finally:
        redis.stop()
    bad = [each for each in outcomes if each.broken]
    missed = [each for each in outcomes if not each.killed]
    print(f"{len(outcomes)} points, {len(bad)} broken, {len(missed)} not reached; {directory}")  # noqa: T201
    if not options.only and not bad and not missed:
        rows = [outcome.as_row() for outcome in outcomes]
        RESULTS.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
        PAGE.write_text(page(rows))
    return 1 if bad or missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
