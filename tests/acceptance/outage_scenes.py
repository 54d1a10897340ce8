"""One incident with one broken neighbour: the real adapter on a real socket, everything else in memory.

The clock stands still and moves when somebody waits, so that an hour of retries takes no time; only what a
neighbour makes us wait for an answer is real.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

from structlog.testing import capture_logs

from agent.adapters.anthropic_advisor import AnthropicAdvisor, Asking
from agent.adapters.clock import SystemClock
from agent.adapters.inline_run import InlineRun
from agent.adapters.kubernetes.actions import KubernetesActions
from agent.adapters.kubernetes.client import KubernetesApi
from agent.adapters.kubernetes.counting import KubernetesCounting
from agent.adapters.kubernetes.credentials import ClusterCredentials
from agent.adapters.live_actions import LiveActions
from agent.adapters.live_counter import LiveCounter
from agent.adapters.pagerduty_events import PagerDutyEvents
from agent.adapters.pagerduty_rest import PagerDutyDesk
from agent.adapters.slack import SlackChat
from agent.delivery.chat import ChatSender
from agent.delivery.desk import DeskSender
from agent.delivery.pager import PagerSender
from agent.delivery.sending import Sender
from agent.domain.incident import Incident
from agent.domain.outbox import Channel
from agent.library.bindings import why_not_allowed
from agent.pipeline.handle import handle
from agent.simulators.anthropic import AnthropicSimulator
from agent.simulators.kubernetes.simulator import KubernetesSimulator
from agent.simulators.pagerduty import PagerDutySimulator
from agent.simulators.server import Simulator
from agent.simulators.slack import RateLimit, SlackSimulator
from tests.acceptance.outage_faults import Asked
from tests.unit.pipeline.conftest import ALERT, World, runbook, step

#: What the neighbour gets for an answer that does not come, and for one that does on a busy machine.
TIMEOUT_S, PATIENT_S = 0.25, 5.0

CHECK = "redis-cli PING"
RESTART = "action: kubernetes.rollout_restart\nnamespace: production\ndeployment: api"
ROLLOUT = "- max_rollouts: 2\n- max_pod_restarts: 6"


@dataclass(frozen=True, slots=True)
class Seen:
    """What people saw of an incident: the timeline, the log, and how long the neighbour held it up."""

    incident: Incident
    told: tuple[str, ...]
    logged: tuple[dict[str, Any], ...]
    took_s: float


class Scene(ABC):
    """One neighbour, and an incident that needs it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.be_patient(PATIENT_S)
        self.prepare()

    def be_patient(self, timeout_s: float) -> None:
        """How long the next `connect` waits for an answer."""
        self.timeout_s = timeout_s

    @abstractmethod
    def open(self) -> AbstractContextManager[Simulator]:
        """The neighbour's simulator."""

    def prepare(self) -> None:
        """The runbook that needs the neighbour, or does not."""
        self.world.runbook(runbook(steps=step(1, CHECK, keys='Expected output: "PONG"')))
        self.world.answers(CHECK, *["PONG"] * 4)

    @abstractmethod
    def connect(self, url: str) -> None:
        """Talk to the neighbour at this address from now on."""

    def concerns(self, asked: Asked) -> bool:
        """Whether the fault is about this request."""
        return True

    def comes_before(self, asked: Asked) -> bool:
        """Whether the request that the fault is about comes next."""
        return False

    def play(self) -> Seen:
        """An incident from its webhook to its end, before anything is delivered."""
        incident_id = self.receive()
        began = time.monotonic()
        with capture_logs() as logged:
            handle(InlineRun(self.world.clock), self.world.context, incident_id)
        took_s = time.monotonic() - began
        return Seen(
            self.world.store.incident(incident_id),
            tuple(self.world.told(incident_id)),
            tuple(logged),  # type: ignore[arg-type]
            took_s,
        )

    def receive(self) -> str:
        return self.world.receive(ALERT)

    def sender(self) -> Sender | None:
        """Who delivers to the neighbour, if anything is delivered to it."""
        return None

    @abstractmethod
    def nothing_is_lost(self, seen: Seen) -> None:
        """What stands at the neighbour in the end is all that had to, once."""


class SlackScene(Scene):
    """The whole story of a resolved incident in its thread."""

    def open(self) -> AbstractContextManager[Simulator]:
        self.slack = SlackSimulator(rate_limit=RateLimit(per_s=1000, burst=1000))
        return self.slack

    def connect(self, url: str) -> None:
        self.world.chat = SlackChat(
            f"{url}/api/", self.slack.bot_token, "#incidents", timeout_s=self.timeout_s
        )  # type: ignore[assignment]

    def sender(self) -> Sender:
        return ChatSender(self.world.context, self.world.store, self.world.chat)

    def nothing_is_lost(self, seen: Seen) -> None:
        (root,) = self.slack.roots()
        assert root.text.startswith("✅ resolved")
        said = [line for message in self.slack.thread(root.ts)[1:] for line in message.text.splitlines()]
        first_lines = [text.splitlines()[0] for text in seen.told]
        assert [line for line in said if line in first_lines] == first_lines


class EventsScene(Scene):
    """Nobody knows the alert, so a human is paged."""

    def open(self) -> AbstractContextManager[Simulator]:
        self.pagerduty = PagerDutySimulator()
        return self.pagerduty

    def prepare(self) -> None:
        """No runbook at all."""

    def connect(self, url: str) -> None:
        self.world.pager = PagerDutyEvents(url, self.pagerduty.routing_key, self.timeout_s)  # type: ignore[assignment]

    def sender(self) -> Sender:
        return PagerSender(self.world.context, self.world.store, self.world.pager)

    def arrived(self) -> list[str]:
        return [page.alert_key for page in self.pagerduty.pages()]

    def nothing_is_lost(self, seen: Seen) -> None:
        assert self.arrived() == [f"oncall-agent-{seen.incident.id}"]
        assert self.world.told(seen.incident.id).count("📟 A human was paged") == 1


class RestScene(Scene):
    """Facts are asked for; acknowledge, note and resolve are told."""

    def open(self) -> AbstractContextManager[Simulator]:
        self.pagerduty = PagerDutySimulator()
        return self.pagerduty

    def connect(self, url: str) -> None:
        simulated = self.pagerduty
        self.world.desk = PagerDutyDesk(url, simulated.api_token, simulated.from_email, self.timeout_s)  # type: ignore[assignment]
        self.world._context = None  # it holds the desk

    def receive(self) -> str:
        self.page = self.pagerduty.create_incident(ALERT.title, service=ALERT.service)
        desk, self.world.desk = self.world.desk, _Nothing()  # type: ignore[assignment]
        incident_id = self.world.receive(replace(ALERT, source_id=self.page.id))
        self.world.desk = desk
        return incident_id

    def sender(self) -> Sender:
        return DeskSender(self.world.context, self.world.store, self.world.desk)

    def nothing_is_lost(self, seen: Seen) -> None:
        incident = self.pagerduty.incident(self.page.id)
        assert (incident.status, len(incident.notes)) == ("resolved", 1)


class AdvisorScene(Scene):
    """Two runbooks match, and the advisor is asked which one it is."""

    def open(self) -> AbstractContextManager[Simulator]:
        self.anthropic = AnthropicSimulator()
        return self.anthropic

    def prepare(self) -> None:
        for name in ("one", "two"):
            self.world.runbook(runbook(steps=step(1, CHECK, keys='Expected output: "PONG"')), name)

    def connect(self, url: str) -> None:
        asking = Asking("claude-haiku-4-5", deadline_s=self.timeout_s)
        self.world.advisor = AnthropicAdvisor(  # type: ignore[assignment]
            self.anthropic.api_key, asking, why_not_allowed=why_not_allowed, base_url=url
        )

    def nothing_is_lost(self, seen: Seen) -> None:
        """A human was paged to choose, as without an advisor."""
        assert seen.incident.result.startswith(
            "Escalated to a human: More than one runbook matches: one, two"
        )
        letters = self.world.store.next_letters(Channel.PAGER, 10)
        assert len({letter.message.dedup_key for letter in letters}) == 1  # type: ignore[union-attr]


class _ClusterScene(Scene):
    def open(self) -> AbstractContextManager[Simulator]:
        self.cluster = KubernetesSimulator()
        self.cluster.add_deployment("production", "api", replicas=3)
        return self.cluster

    def connect(self, url: str) -> None:
        self.api = KubernetesApi(ClusterCredentials(server=url), timeout_s=self.timeout_s)
        self.world.counter = LiveCounter(lambda: KubernetesCounting(self.api))  # type: ignore[assignment]
        self.world.actions = LiveActions(KubernetesActions(self.api).handlers(), clock=SystemClock())  # type: ignore[assignment]

    def prepare(self) -> None:
        text = f"### Step 1: Restart\n```action\n{RESTART}\n```\n"
        self.world.runbook(runbook(steps=text, limits=ROLLOUT))

    def paged(self) -> bool:
        return len(self.world.store.next_letters(Channel.PAGER, 10)) == 1


class CountingScene(_ClusterScene):
    """What a step would change is counted in the cluster, before anything runs."""

    def nothing_is_lost(self, seen: Seen) -> None:
        """Nothing was changed, nothing was charged, a human is paged."""
        assert self.paged()
        assert (self.cluster.changes(), self.world.store.charged(seen.incident.id)) == ([], {})


class ChangingScene(_ClusterScene):
    """What was counted is changed: the request itself meets the fault, and all before it must not."""

    def be_patient(self, timeout_s: float) -> None:
        super().be_patient(max(timeout_s, 4 * TIMEOUT_S))

    def concerns(self, asked: Asked) -> bool:
        return asked.method == "PATCH" and "dryRun" not in asked.path

    def comes_before(self, asked: Asked) -> bool:
        return "dryRun" in asked.path

    def nothing_is_lost(self, seen: Seen) -> None:
        """Changed once at most, charged for every attempt, and a human is paged."""
        assert self.paged()
        assert len(self.cluster.changes()) <= 1
        attempts = [attempt for attempt in self.world.store.attempts(seen.incident.id) if attempt.duration_s]
        assert self.world.store.charged(seen.incident.id) == {
            "rollout": len(attempts), "pod_restart": 3 * len(attempts),
        }  # fmt: skip


class _Nothing:
    """Stands on the desk's place while an incident is received."""

    def add(self, *_: object) -> None:
        """Nothing to do: the simulator has it."""
