"""Two processes ask for the last unit of a limit at the same moment: never both get it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.adapters.clock import SystemClock
from agent.adapters.store import Store
from agent.domain.alert import Alert
from tests.postgres import PostgresServer

ROUNDS = 40

#: One process of the race: each line names the incident to charge and the kind of limit to race for.
RACER = """
import sys
from agent.adapters.clock import SystemClock
from agent.adapters.store import Store
from agent.domain.decisions import Section
from agent.domain.effects import BlastRadius, Effect, EffectClass
from agent.domain.limits import Charge, Scope, WindowLimit
from agent.domain.records import AttemptKey

FLUSH, ROLLOUT = EffectClass.CACHE_OPERATION, EffectClass.ROLLOUT
store = Store(sys.argv[1], SystemClock())
for line in sys.stdin:
    kind, incident, number, round_ = line.split()
    radius = BlastRadius({FLUSH: 1 if kind == "incident" else 99, ROLLOUT: 99}, max_commands=99)
    last = WindowLimit("limits.per_service.per_hour.cache_operations", FLUSH, Scope.SERVICE, 3600, 1)
    effect = Effect(ROLLOUT if kind == "exclusive" else FLUSH, "it", 1, f"{kind}-{round_}")
    charge = Charge(
        (effect,), 1, radius, windows=(last,) if kind == "window" else (), exclusive=frozenset({ROLLOUT}),
        service=f"{kind}-{round_}", lasts_s=60,
    )
    begun = store.begin_attempt(
        AttemptKey(incident, Section.STEPS, 1, int(number)), title="Fix", charge=charge
    )
    print(type(begun).__name__, flush=True)
"""


@pytest.fixture
def race_url(database_url: str, request: pytest.FixtureRequest) -> str:
    """PostgreSQL with a default that would let a transaction see an old state."""
    if database_url.startswith("postgresql"):
        name = database_url.rpartition("/")[2]
        server: PostgresServer = request.getfixturevalue("postgres_server")
        server.run(f"ALTER DATABASE {name} SET default_transaction_isolation TO 'repeatable read'")
    return database_url


@contextmanager
def racer(url: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", RACER, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        cwd=Path(__file__).parent.parent.parent.parent,
    ) as process:  # fmt: skip
        yield process


def race(url: str, kind: str, *, same_incident: bool) -> list[tuple[str, str]]:
    """What both processes were told in each round, sorted."""
    store = Store(url, SystemClock())
    told = []
    with racer(url) as one, racer(url) as other:
        for number in range(1, ROUNDS + 1):
            first = store.open_manual(Alert("manual", "a", "a"))
            second = first if same_incident else store.open_manual(Alert("manual", "b", "b"))
            for process, incident, attempt in ((one, first, 1), (other, second, 2)):
                assert process.stdin is not None
                process.stdin.write(f"{kind} {incident} {attempt} {number}\n")
            for process in (one, other):
                assert process.stdin is not None
                process.stdin.flush()
            words = sorted(process.stdout.readline().strip() for process in (one, other) if process.stdout)
            told.append((words[0], words[1]))
    store.close()
    return told


@pytest.mark.parametrize(
    ("kind", "same_incident", "other"),
    [("incident", True, "Refusal"), ("window", False, "Refusal"), ("exclusive", False, "Busy")],
)
def test_never_do_two_processes_get_the_last_unit(
    race_url: str, kind: str, same_incident: bool, other: str
) -> None:
    told = race(race_url, kind, same_incident=same_incident)
    assert told == [tuple(sorted(("Begun", other)))] * ROUNDS
