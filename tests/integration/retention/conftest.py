"""A whole agent in memory over a real store, some months older at each turn of its clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property
from pathlib import Path

import pytest
import sqlalchemy as sa

from agent.adapters import archive_file
from agent.adapters.archive_file import Line
from agent.adapters.archiver import Archiver, Report
from agent.adapters.audit_log import AuditLog
from agent.adapters.fake_clock import FakeClock
from agent.adapters.store import Store
from agent.adapters.store_schema import metadata
from agent.config import Config
from agent.domain.incident import Incident
from tests.postgres import on_both_databases
from tests.unit.pipeline.conftest import ALERT, HookedSandbox, World, runbook, step

DAY_S = 86_400.0


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    return on_both_databases(request)


@dataclass
class Keeping:
    """The agent, its archives, and what is left in its database."""

    world: World
    folder: Path
    numbers: list[int] = field(default_factory=lambda: [0])

    @property
    def store(self) -> Store:
        return self.world.store

    @property
    def clock(self) -> FakeClock:
        return self.world.clock

    @property
    def config(self) -> Config:
        return self.world.config

    def configure(self, **retention: object) -> None:
        settings = {"archive": str(self.folder / "archive"), **retention}
        # one of a runbook's last runs stays, whatever its age
        self.world.configure(retention=settings, matching={"incomplete": {"runs": 5}})

    def page(self, **facts: object) -> Incident:
        """A page comes in and is worked on to its end; the next one is another alert of another time."""
        self.numbers[0] += 1
        number = self.numbers[0]
        self.world.answers("redis-cli -h cache FLUSHDB", "OK")
        alert = replace(ALERT, source_id=f"P{number}", title=f"redis n{number}", **facts)  # type: ignore[arg-type]
        ended = self.world.handle(self.world.receive(alert))
        self.clock.sleep(60)
        self.world.deliver()  # what the chat's pace left
        return ended

    def pages(self, count: int, **facts: object) -> list[Incident]:
        return [self.page(**facts) for _ in range(count)]

    def days_later(self, days: float) -> None:
        self.clock.sleep(days * DAY_S)

    def archiver(self, *, per_file: int = 1_000, should_stop: Callable[[], bool] = lambda: False) -> Archiver:
        return Archiver(self.store, self.config, per_file=per_file, should_stop=should_stop)

    def archive(self, *, per_file: int = 1_000) -> Report:
        return self.archiver(per_file=per_file).run()

    @property
    def archives(self) -> Path:
        return self.folder / "archive"

    def lines(self) -> list[Line]:
        """Every line of every archive, in the order of the archives."""
        files = sorted(self.archives.glob("*.gz"), key=lambda path: path.stat().st_mtime_ns)
        return [line for path in files for line in archive_file.read(path)]

    def archived(self) -> list[str]:
        return [line["incident"]["id"] for line in self.lines() if line["type"] == "incident"]

    def rows_of(self, incident_id: str) -> dict[str, int]:
        """How many rows of each table belong to the incident."""
        found = {}
        with self.store.database.reading() as connection:
            for table in metadata.sorted_tables:
                key = table.c.get("incident_id", table.c.id if table.name == "incidents" else None)
                if key is not None:
                    count = sa.select(sa.func.count()).select_from(table).where(key == incident_id)
                    found[table.name] = int(connection.execute(count).scalar_one())
        return {name: count for name, count in found.items() if count}

    @cached_property
    def audit(self) -> AuditLog:
        return AuditLog(self.folder / "audit.jsonl", self.store)

    def now(self) -> timedelta:
        return timedelta(seconds=self.clock.monotonic())


@pytest.fixture
def keeping(store: Store, clock: FakeClock, tmp_path: Path) -> Keeping:
    runbooks = tmp_path / "runbooks"
    runbooks.mkdir()
    world = World(store, clock, runbooks, HookedSandbox())
    keeping = Keeping(world, tmp_path)
    keeping.configure()
    world.runbook(runbook(steps=step(1, "redis-cli -h cache FLUSHDB", keys='Expected output: "OK"')))
    return keeping
