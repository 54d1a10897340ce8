"""A world with a prober in it, for the tests of `## Watch`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from agent.domain.errors import Reason, ServiceError
from agent.domain.probing import Unseen
from agent.domain.source_event import SourceEvent
from agent.library import Library
from agent.pipeline.probe_sight import Sight
from agent.pipeline.probing import Prober
from tests.unit.pipeline.conftest import SECRET, World, runbook, step

BACKLOG = "- promql `sum(pending)`; every 60s; warning > 20; critical > 50; clears < 15"


@dataclass
class Gauge:
    """A Prometheus of one number; a ServiceError is what happens instead."""

    now: float | Unseen | ServiceError = 0.0
    asked: list[tuple[str, float]] = field(default_factory=list)

    def value(self, query: str, *, timeout_s: float) -> float | Unseen:
        self.asked.append((query, timeout_s))
        if isinstance(self.now, ServiceError):
            raise self.now
        return self.now


AWAY = ServiceError("prometheus", Reason.UNREACHABLE, f"GET /api/v1/query {SECRET} refused", retryable=True)


@dataclass
class Watch:
    """A world with a prober, and what it has done so far."""

    world: World
    gauge: Gauge = field(default_factory=Gauge)
    woken: int = 0

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Another process, or the same one again: it knows what the store knows."""
        self.world.context.library.reload()
        self.prober = Prober(self.world.context, self.world.store, Sight(self.gauge), notify=self._woken)

    def _woken(self) -> None:
        self.woken += 1

    def see(self, *values: float | Unseen | ServiceError) -> None:
        """A look at each, a minute apart."""
        for value in values:
            self.gauge.now = value
            self.prober.tick()
            self.world.clock.sleep(60)

    def alerts(self) -> list[tuple[str, str]]:
        """(title, severity) of everything that came in."""
        alerts = [incident.alert for incident in self.world.store.incidents(limit=50)]
        return sorted((alert.title, str(alert.severity)) for alert in alerts)

    def incident_id(self) -> str:
        (state,) = self.world.store.probe_states()
        assert state.raised is not None
        return state.raised.incident_id

    def events(self) -> list[SourceEvent]:
        return [event for _, event in self.world.store.unhandled_events(50)]


def watching(world: World, items: str = BACKLOG, *, triggers: str = '- Alert contains: "backlog"') -> Watch:
    world.runbook(text(items, triggers), name="backlog")
    return Watch(world)


def text(items: str, triggers: str = '- Alert contains: "backlog"') -> str:
    return runbook(
        title="Escalation backlog",
        triggers=triggers + "\n- Service: keeptrusts",
        steps=step(1, "redis-cli PING"),
        more=f"## Watch\n{items}\n" if items else "",
    )


def rewrite(watch: Watch, content: str | None) -> None:
    file: Path = watch.world.runbooks / "backlog.md"
    if content is None:
        file.unlink()
    else:
        file.write_text(content)
    assert isinstance(watch.world.context.library, Library)
    watch.world.context.library.reload()


DISK = """- free space: command; every 60s; critical < 10; timeout 5s
  ```bash
  df --output=avail /var | tail -n 1
  ```"""

DF, TAIL = ("df", "--output=avail", "/var"), ("tail", "-n", "1")
