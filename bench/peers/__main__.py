"""How soon a command starts, how long a thousand take, and what a `kill -9` loses, tool by tool."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.peers import runners
from bench.peers.load import Redis, Sender

IDLE_PAGES = 30
CONCURRENCY = 16

HEADINGS = (
    "", "idle p50 / max", "× minimal", "pages", "storm", "× minimal", "accepted", "lost", "twice",
    "told unknown",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Result:
    """Milliseconds from the POST to the start of its command, and what became of what was accepted."""

    name: str
    pages: int
    idle_p50_ms: float
    idle_p99_ms: float
    storm_s: float
    accepted: int
    lost: int
    twice: int
    unknown: int


def measure(kind: type[runners.Peer], *, pages: int, directory: Path) -> Result:
    pages = min(pages, kind.pages_at_most)
    redis = Redis(directory)
    runner = kind(directory / "work", redis.port)
    runner.start()
    try:
        idle = _idle(runner, redis)
        storm_s = _storm(runner, redis, pages)
        return Result(kind.name, pages, *idle, storm_s, *_killed(runner, redis, pages))
    finally:
        runner.kill()
        redis.stop()


def _idle(runner: runners.Peer, redis: Redis) -> tuple[float, float]:
    sender = Sender(runner.port, runner.path)
    waits = []
    for number in range(IDLE_PAGES):
        job = f"i{number}"
        sender.post(job)
        redis.wait_for(job, within_s=30)
        waits.append((redis.starts[job][0] - sender.accepted[job][0]) * 1000)
        time.sleep(0.1)
    waits.sort()
    return statistics.median(waits), waits[-1]


def _storm(runner: runners.Peer, redis: Redis, pages: int) -> float:
    """Until the last of them has started its command; endless if not all do."""
    sender = Sender(runner.port, runner.path)
    begun = time.time()
    sender.storm([f"s{number}" for number in range(pages)], concurrency=CONCURRENCY)
    redis.settle(quiet_s=10, within_s=600)
    starts = [times[0] for job, times in redis.starts.items() if job.startswith("s")]
    return max(starts) - begun if len(starts) == pages else float("inf")


def _killed(runner: runners.Peer, redis: Redis, pages: int) -> tuple[int, int, int, int]:
    """Half of them accepted, then the tree is killed and started again."""
    sender = Sender(runner.port, runner.path)
    sender.storm([f"k{number}" for number in range(pages // 2)], concurrency=CONCURRENCY)
    runner.kill()
    runner.start()
    redis.settle(quiet_s=10, within_s=300)
    counts = redis.count()
    unknown = _told_as_unknown(runner)
    never = {job for job in sender.accepted if counts[job] == 0}
    twice = sum(counts[job] > 1 for job in sender.accepted)
    return len(sender.accepted), len(never - unknown), twice, len(unknown)


def _told_as_unknown(runner: runners.Peer) -> set[str]:
    """Only this agent tells what it does not know: it escalates, and runs it no second time."""
    if not isinstance(runner, runners.Agent):
        return set()
    return runner.escalated()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--pages", type=int, default=1000)
    arguments.add_argument("--only", help="a part of one tool's name")
    chosen = arguments.parse_args()
    console = Console()
    results = []
    for kind in runners.RUNNERS:
        if chosen.only and chosen.only not in kind.name:
            continue
        needs = kind.missing()
        if needs:
            console.print(f"{kind.name} left out: {needs}")
            continue
        with tempfile.TemporaryDirectory() as directory:
            results.append(measure(kind, pages=chosen.pages, directory=Path(directory)))
            console.print(results[-1])
    console.print(_table(results))


def _table(results: list[Result]) -> Table:
    base = next((each for each in results if each.name == runners.Minimal.name), None)
    table = Table(
        title="POST → command; then kill -9 of the tree with half as many pages accepted, and a restart"
    )
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if not heading else "right")
    for each in results:
        table.add_row(
            each.name,
            f"{each.idle_p50_ms:.1f} / {each.idle_p99_ms:.1f} ms",
            f"{each.idle_p50_ms / base.idle_p50_ms:.1f}" if base else "",
            str(each.pages),
            f"{each.pages / each.storm_s:.0f}/s",
            f"{base.storm_s / base.pages * each.pages / each.storm_s:.2f}" if base else "",
            str(each.accepted),
            str(each.lost),
            str(each.twice),
            str(each.unknown),
        )  # fmt: skip
    return table


if __name__ == "__main__":
    main()
