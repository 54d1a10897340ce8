"""`python -m bench.storm [--incidents 1000] [--only PART] [--json]`: what the run of an incident costs.

Each part measures this agent, the real process, against the least that does the same job in the same run:
Flask, SQLite (FULL), a thread pool and `subprocess.run` (bench.peers.minimal), or the commands in `bash`.
What is told as ended stands in the database as ended: resolved or escalated, with its timeline.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.peers.load import Redis, Sender
from bench.peers.runners import Agent, Minimal, Peer
from bench.storm_agents import Approved, Begun, FiveSteps, Looks, OnPostgresql, count, tree
from tests.postgres import programs, server

#: PagerDuty delivers over a few connections; ours takes 16 at a time.
CONCURRENCY = 16
_IDLE_PAGES = 60
_ENDED = "SELECT count(*) FROM incidents WHERE status IN ('resolved', 'escalated')"
_WITHIN_S = 900.0


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure, what it is compared with, and the ratio of the two."""

    part: str
    what: str
    ours: float
    baseline: float | None = None
    unit: str = ""

    @property
    def ratio(self) -> float | None:
        return None if not self.baseline else self.ours / self.baseline


@contextmanager
def running(kind: type[Peer], *, name: str = "work") -> Iterator[tuple[Peer, Redis]]:
    with tempfile.TemporaryDirectory() as directory:
        redis = Redis(Path(directory))
        runner = kind(Path(directory) / name, redis.port)
        runner.start()
        try:
            yield runner, redis
        finally:
            runner.kill()
            redis.stop()


def wait_until(condition: Callable[[], bool], what: str, *, every_s: float = 0.05) -> None:
    end = time.monotonic() + _WITHIN_S
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"not within {_WITHIN_S:g} s: {what}")
        time.sleep(every_s)


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


def started_after_ms(runner: Peer, redis: Redis, jobs: Sequence[str], *, pause_s: float) -> list[float]:
    """One page at a time: from the POST to the start of its command."""
    sender = Sender(runner.port, runner.path)
    waits = []
    for job in jobs:
        sender.post(job)
        redis.wait_for(job, within_s=30)
        waits.append((redis.starts[job][0] - sender.accepted[job][0]) * 1_000)
        time.sleep(pause_s)
    return waits


def idle(_: int) -> Iterator[Figure]:
    """POST → command started, with nothing else to do."""
    found = {}
    for kind in (Minimal, Agent):
        with running(kind) as (runner, redis):
            jobs = [f"i{number}" for number in range(_IDLE_PAGES)]
            found[kind] = started_after_ms(runner, redis, jobs, pause_s=0.2)
    for share in (0.5, 0.99):
        ours, least = (percentile(found[kind], share) for kind in (Agent, Minimal))
        yield Figure("idle", f"POST → command started, p{share * 100:.0f}", ours, least, "ms")


def storm(incidents: int) -> Iterator[Figure]:
    """One-step incidents at once, over 50 services, until all have ended; and with a tenth of the work."""
    for size in dict.fromkeys((max(incidents // 10, 1), incidents)):
        found = {kind: _storm(kind, size) for kind in (Minimal, Agent)}
        names = (
            "all ended after",
            "accepted within",
            "POST → command started, p50",
            "the same, p99",
            "CPU each",
        )
        units = ("s", "s", "s", "s", "ms")
        for name, unit, ours, least in zip(names, units, found[Agent], found[Minimal], strict=True):
            yield Figure(f"storm of {size}", name, ours, least, unit)


def storm_on_postgresql(incidents: int) -> Iterator[Figure]:
    """The same storm with PostgreSQL, which has to share the machine with the agent."""
    if programs() is None:
        print("on PostgreSQL: left out, Debian's package postgresql is not installed", file=sys.stderr)
        return
    least = _storm(Minimal, incidents)
    with server(fsync=True) as postgres, postgres.database() as url:
        ours = _storm(type("Agent", (OnPostgresql,), {"url": url}), incidents)
    for name, unit, place in (
        ("all ended after", "s", 0),
        ("accepted within", "s", 1),
        ("CPU each", "ms", 4),
    ):
        yield Figure(f"on PostgreSQL, {incidents}", name, ours[place], least[place], unit)


def _storm(kind: type[Peer], size: int) -> tuple[float, float, float, float, float]:
    with running(kind) as (runner, redis):
        assert runner.process is not None
        sender, used = Sender(runner.port, runner.path), tree(runner.process.pid).cpu_s
        begun = time.time()
        sender.storm([f"s{number}" for number in range(size)], concurrency=CONCURRENCY)
        accepted = time.time() - begun
        if len(sender.accepted) < size:
            raise SystemExit(f"{kind.name} took {len(sender.accepted)} of {size} pages")
        wait_until(lambda: _ended(runner) >= size, f"all {size} have ended ({kind.name})")
        ended = time.time() - begun
        used = tree(runner.process.pid).cpu_s - used
        waits = [redis.starts[job][0] - sender.accepted[job][0] for job in sender.accepted]
        p50, p99 = percentile(waits, 0.5), percentile(waits, 0.99)
        return ended, accepted, p50, p99, used / size * 1_000


def _ended(runner: Peer) -> int:
    if isinstance(runner, OnPostgresql):
        return runner.count(_ENDED)
    if isinstance(runner, Agent):
        return count(runner, _ENDED)
    return count(runner, "SELECT count(*) FROM jobs WHERE done = 1", database="jobs.db")


def five_steps(incidents: int) -> Iterator[Figure]:
    """A five-step runbook, one after the other, against the same five commands in `bash`."""
    times = max(incidents // 20, 5)
    with running(FiveSteps) as (runner, _):
        assert isinstance(runner, FiveSteps)
        assert runner.process is not None
        sender, used = Sender(runner.port, runner.path), tree(runner.process.pid).cpu_s
        begun = time.perf_counter()
        for number in range(times):
            sender.post(f"f{number}")
            wait_until(lambda done=number + 1: _ended(runner) >= done, "it has ended", every_s=0.002)
        took, used = time.perf_counter() - begun, tree(runner.process.pid).cpu_s - used
        script = "; ".join(runner.commands("$1"))
        bash_took, bash_used = _in_bash(script, times)
    yield Figure("five steps", "time an incident", took / times * 1_000, bash_took / times * 1_000, "ms")
    yield Figure("five steps", "CPU an incident", used / times * 1_000, bash_used / times * 1_000, "ms")


def _in_bash(script: str, times: int) -> tuple[float, float]:
    def spent() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    begun, before = time.perf_counter(), spent()
    for number in range(times):
        subprocess.run(["bash", "-c", script, "bash", f"b{number}"], check=True, capture_output=True)
    return time.perf_counter() - begun, spent() - before


def waiting(incidents: int) -> Iterator[Figure]:
    """Incidents that wait for approval: what they hold while nobody answers."""
    with running(Approved) as (runner, _):
        assert runner.process is not None
        time.sleep(2)
        alone = tree(runner.process.pid)
        Sender(runner.port, runner.path).storm(
            [f"w{number}" for number in range(incidents)], concurrency=CONCURRENCY
        )
        asked = "SELECT count(*) FROM incidents WHERE status = 'awaiting_approval'"
        wait_until(lambda: count(runner, asked) == incidents, "all of them wait")
        time.sleep(5)
        before, begun = tree(runner.process.pid), time.monotonic()
        time.sleep(30)
        after, span_s = tree(runner.process.pid), time.monotonic() - begun
    yield Figure("waiting", "memory, none of them", alone.rss_mb, None, "MB")
    yield Figure("waiting", f"memory, {incidents} wait for approval", after.rss_mb, alone.rss_mb, "MB")
    yield Figure("waiting", "of one core meanwhile", 100 * (after.cpu_s - before.cpu_s) / span_s, None, "%")


def recovery(_: int) -> Iterator[Figure]:
    """`kill -9` of everything with a hundred commands under way, and the next start."""
    with running(Looks) as (runner, _):
        Sender(runner.port, runner.path).storm(
            [f"r{n}" for n in range(Looks.AT_ONCE)], concurrency=CONCURRENCY
        )
        begun = Begun(runner)
        wait_until(lambda: begun.first() == Looks.AT_ONCE, "all of them are under way")
        before = begun.commands()
        runner.kill()
        killed = time.perf_counter()
        runner.start()
        listening = time.perf_counter() - killed
        wait_until(lambda: begun.commands() == 2 * before, "all of them are under way again")
        carried_on = time.perf_counter() - killed
    yield Figure("recovery", "from the start until it listens", listening, None, "s")
    yield Figure("recovery", f"until {Looks.AT_ONCE} commands are under way again", carried_on, None, "s")


PARTS = {
    "idle": idle,
    "storm": storm,
    "postgresql": storm_on_postgresql,
    "five": five_steps,
    "waiting": waiting,
    "recovery": recovery,
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--incidents", type=int, default=1_000)
    arguments.add_argument("--only", choices=list(PARTS))
    arguments.add_argument("--json", action="store_true")
    asked = arguments.parse_args()
    if not asked.json:
        print(f"{'':18} {'':44} {'ours':>10} {'least':>10} {'ratio':>7}")
    for name, part in PARTS.items():
        for each in part(asked.incidents) if asked.only in (None, name) else ():
            print(json.dumps(asdict(each) | {"ratio": each.ratio}) if asked.json else _line(each), flush=True)


def _line(each: Figure) -> str:
    least = "" if each.baseline is None else f"{each.baseline:.2f}"
    ratio = "" if each.ratio is None else f"{each.ratio:.2f}"
    return f"{each.part:18} {each.what:44} {each.ours:8.2f} {each.unit:2} {least:>9} {ratio:>7}"


if __name__ == "__main__":
    main()
