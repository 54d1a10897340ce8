"""A whole agent in memory but for its database: fakes for every vendor, a clock that stands still."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from agent.adapters.fake_advisor import FakeAdvisor
from agent.adapters.fake_chat import FakeChat
from agent.adapters.fake_clock import FakeClock
from agent.adapters.fake_desk import FakeDesk, FakePager
from agent.adapters.fake_sandbox import FakeSandbox
from agent.adapters.inline_run import InlineRun
from agent.adapters.store import Store
from agent.config import Config, parse
from agent.delivery.chat import ChatSender
from agent.delivery.desk import DeskSender
from agent.delivery.pager import PagerSender
from agent.domain.alert import Alert, Urgency
from agent.domain.command import PricedCommand, Script
from agent.domain.incident import Incident
from agent.domain.outbox import Channel
from agent.domain.runbook import Action
from agent.domain.source_event import EventType, SourceEvent
from agent.library import Library
from agent.pipeline.context import Context
from agent.pipeline.gate import Gate
from agent.pipeline.handle import handle
from agent.ports import CommandResult, SourceFacts
from agent.safety.effects import EffectTables
from agent.safety.redaction import Redactor

ALERT = Alert("pagerduty", "P1", "Redis connection timeout", service="api-gateway", urgency=Urgency.HIGH)

SECRET = "xoxb-canary-000000000000"


class HookedSandbox(FakeSandbox):
    """Lets something happen in the world while a command runs."""

    def __init__(self) -> None:
        super().__init__()
        self.hooks: dict[tuple[str, ...], Callable[[], object]] = {}
        self.should_stop: Callable[[], bool] = lambda: False

    def run(
        self,
        script: Script,
        *,
        commands: Sequence[PricedCommand],
        marker: str,
        timeout_s: float,
        should_stop: Callable[[], bool],
    ) -> CommandResult:
        self.should_stop = should_stop
        for command in script.commands():
            self.hooks.get(command.argv, lambda: None)()
        return super().run(
            script, commands=commands, marker=marker, timeout_s=timeout_s, should_stop=lambda: False
        )

    def commands(self) -> list[str]:
        return [" ".join(argv) for ran in self.ran for argv in ran.argvs]


class Pods:
    """Counts a cluster of which a test says how many pods each workload has; nobody knows any other."""

    def __init__(self) -> None:
        self.pods: dict[str, int] = {}

    def workload_pods(self, namespace: str, kind: str, name: str) -> int | None:
        return self.pods.get(f"{namespace}/{kind}/{name}")

    def workload_replicas(self, namespace: str, kind: str, name: str) -> int | None:
        return self.pods.get(f"{namespace}/{kind}/{name}")

    def selected_pods(self, namespace: str, labels: str, fields: str) -> tuple[str, ...] | None:
        return None

    def node_pods(self, node: str) -> tuple[tuple[str, str], ...] | None:
        return None

    def release_workloads(self, namespace: str, release: str) -> tuple[tuple[str, str, int], ...] | None:
        return None

    def autoscaling_instances(self, region: str, group: str) -> int | None:
        return None

    def service_tasks(self, region: str, cluster: str, service: str) -> int | None:
        return None


class PreparedActions:
    """Carries out nothing: answers as prepared, and remembers what was asked."""

    def __init__(self, *answers: CommandResult) -> None:
        self.answers = list(answers)
        self.ran: list[tuple[Action, PricedCommand]] = []

    def run(
        self,
        action: Action,
        *,
        command: PricedCommand,
        marker: str,
        timeout_s: float,
        should_stop: Callable[[], bool],
    ) -> CommandResult:
        self.ran.append((action, command))
        return self.answers.pop(0)


#: Compiled once: thousands of worlds have the same.
SHIPPED = EffectTables.load().tables


@dataclass
class World:
    """What one test sees."""

    store: Store
    clock: FakeClock
    runbooks: Path
    sandbox: HookedSandbox
    config: Config = field(default_factory=lambda: parse(SETTINGS, path="config.yaml"))
    desk: FakeDesk = field(default_factory=FakeDesk)
    pager: FakePager = field(default_factory=FakePager)
    chat: FakeChat = field(default_factory=FakeChat)
    has_desk: bool = True
    gate: Gate = field(default_factory=Gate)
    tables: EffectTables = field(default_factory=lambda: EffectTables(SHIPPED))
    channels: frozenset[Channel] = frozenset(Channel)
    on_wait: Callable[[str], bool] = lambda _: False
    counter: Pods | None = None
    actions: PreparedActions | None = None
    advisor: FakeAdvisor | None = None
    _context: Context | None = None

    @property
    def context(self) -> Context:
        if self._context is None:
            self._context = Context(
                config=self.config,
                store=self.store,
                library=Library(self.runbooks),
                sandbox=self.sandbox,
                tables=self.tables,
                redactor=Redactor([SECRET]),
                clock=self.clock,
                desk=self.desk if self.has_desk else None,
                channels=self.channels,
                gate=self.gate,
                counter=self.counter,
                actions=self.actions,
                advisor=self.advisor,
            )
        return self._context

    def configure(self, **sections: dict[str, Any]) -> None:
        data = {name: {**SETTINGS.get(name, {}), **values} for name, values in (SETTINGS | sections).items()}
        self.config = parse(data, path="config.yaml")

    def runbook(self, text: str, name: str = "redis-connection-timeout") -> None:
        (self.runbooks / f"{name}.md").write_text(text)

    def receive(self, alert: Alert = ALERT, facts: SourceFacts | None = None) -> str:
        """A page comes in; gives the incident's id."""
        self.desk.add(alert.source_id, facts or SourceFacts(status="triggered"))
        event = SourceEvent(
            "pagerduty", f"d-{alert.source_id}", EventType.TRIGGERED, "incident.triggered", alert.source_id,
            alert=alert,
        )  # fmt: skip
        incident_id = self.store.accept(event, "{}").incident_id
        self.store.begin_run(incident_id, "main")
        return incident_id

    def handle(self, incident_id: str) -> Incident:
        """The whole way of the incident, then everything that is to be told."""
        handle(InlineRun(self.clock, woken=self.on_wait), self.context, incident_id)
        self.deliver()
        return self.store.incident(incident_id)

    def page(self, **facts: Any) -> Incident:
        return self.handle(self.receive(replace(ALERT, **facts)))

    def deliver(self) -> None:
        for sender in (
            ChatSender(self.context, self.store, self.chat),
            DeskSender(self.context, self.store, self.desk),
            PagerSender(self.context, self.store, self.pager),
        ):
            for _ in range(20):
                self.clock.sleep(sender.deliver())

    def answers(self, command: str, *outputs: str) -> None:
        """What the command prints, one output a run."""
        argv = tuple(command.split())
        self.sandbox.prepare(argv, *(CommandResult(0, stdout=f"{output}\n") for output in outputs))

    def times_out(self, command: str) -> None:
        self.sandbox.prepare(tuple(command.split()), CommandResult(None, timed_out=True))

    def when_run(self, command: str, do: Callable[[], object]) -> None:
        self.sandbox.hooks[tuple(command.split())] = do

    def told(self, incident_id: str) -> list[str]:
        return [event.text for event in self.store.timeline(incident_id)]

    def kinds(self, incident_id: str) -> list[str]:
        return [event.kind.value for event in self.store.timeline(incident_id)]


SETTINGS: dict[str, Any] = {
    "runbooks": {"default_autonomy": "auto"},
    "execution": {"retry_delay_s": 0},
    "pagerduty": {},
    "slack": {},
}


@pytest.fixture
def world(store: Store, clock: FakeClock, tmp_path: Path) -> World:
    runbooks = tmp_path / "runbooks"
    runbooks.mkdir()
    return World(store, clock, runbooks, HookedSandbox())


def runbook(
    *,
    title: str = "Redis Connection Timeout",
    triggers: str = '- Alert contains: "redis"',
    limits: str = "- max_cache_operations: 1",
    steps: str,
    more: str = "",
) -> str:
    return f"""# Runbook: {title}

## Trigger Conditions
{triggers}

## Blast Radius
{limits}

## Steps

{steps}

{more}
"""


def step(number: int, command: str, *, title: str = "Step", keys: str = "Failure action: escalate") -> str:
    return f"### Step {number}: {title} {number}\n```bash\n{command}\n```\n{keys}\n"


@pytest.fixture
def two_steps(world: World) -> World:
    """A runbook of two steps that charge, each of which works."""
    world.runbook(
        runbook(
            limits="- max_cache_operations: 2",
            steps=step(1, "redis-cli FLUSHDB") + step(2, "redis-cli DEL sessions"),
        )
    )
    world.answers("redis-cli FLUSHDB", "OK")
    world.answers("redis-cli DEL sessions", "1")
    return world
