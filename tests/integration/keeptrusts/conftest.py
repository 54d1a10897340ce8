"""An agent's web face between a simulated Keeptrusts and a simulated PagerDuty, all on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.adapters.fake_clock import FakeClock
from agent.adapters.inline_run import InlineRun
from agent.adapters.keeptrusts_api import KeeptrustsApi
from agent.adapters.pagerduty_events import PagerDutyEvents
from agent.adapters.pagerduty_rest import PagerDutyDesk
from agent.adapters.store import Store
from agent.config import Config, parse
from agent.delivery.desk import DeskSender
from agent.delivery.keeptrusts import KeeptrustsSender
from agent.delivery.pager import PagerSender
from agent.domain.incident import Incident
from agent.domain.people import Actor, Person, Role, Via
from agent.domain.queue import Action, Escalated
from agent.escalations.claims import Changed
from agent.escalations.settings import queueing_of
from agent.pipeline import queueing
from agent.pipeline.handle import handle
from agent.pipeline.queueing import QueueDesk, Settling
from agent.pipeline.takeover import handle_event
from agent.simulators.keeptrusts import KeeptrustsSimulator
from agent.simulators.keeptrusts_delivery import Teller
from agent.simulators.pagerduty import WEBHOOK_SECRET, PagerDutySimulator
from agent.simulators.server import Simulator
from agent.web.app import create_app
from tests.integration.web.conftest import Site
from tests.unit.pipeline.conftest import HookedSandbox, World

TOKEN = "keeptrusts-webhook-canary"

#: Routing keys have 32 characters.
KEYS = {name: f"{name:0<32}" for name in ("safety", "legal", "finops", "governance")}

REVIEWER = Actor(Person("reviewer", role=Role.APPROVER), Via.API)


class Between:
    """One agent, whose web face answers for real, and what stands on its two sides."""

    def __init__(self, site: Site, keeptrusts: KeeptrustsSimulator, pagerduty: PagerDutySimulator) -> None:
        self.site, self.keeptrusts, self.pagerduty = site, keeptrusts, pagerduty
        self.world, self.store = site.world, site.world.store
        pagerduty.events.services.update({key: f"AI {name}" for name, key in KEYS.items()})
        self.section: dict[str, Any] = {
            "api_url": keeptrusts.url,
            "api_token": site.secret("kt-api", keeptrusts.api_token),
            "webhook_tokens": [site.secret("kt-webhook", TOKEN)],
            "runbook_url": "https://wiki.example.com/ai-governance",
            "pagerduty": {
                "content-safety": "safety",
                "compliance": "legal",
                "cost-limit": "finops",
                "default": "governance",
            },
        }
        site.settings["pagerduty"] = {
            "api_url": pagerduty.url,
            "events_url": pagerduty.url,
            "api_token": site.secret("pd-api", pagerduty.api_token),
            "routing_key": site.secret("pd-own", pagerduty.routing_key),
            "routing_keys": {name: site.secret(f"pd-{name}", key) for name, key in KEYS.items()},
            "webhook_secrets": [site.secret("pd-webhook", WEBHOOK_SECRET)],
        }
        site.settings["runbooks"] = {"default_autonomy": "auto"}
        site.settings["keeptrusts"] = self.section
        self._pagers: dict[str, PagerDutyEvents] = {}
        self._server: Simulator | None = None
        self._others: dict[str, Any] = {}

    @property
    def config(self) -> Config:
        return parse(self.site.settings, path="config.yaml")

    @property
    def url(self) -> str:
        """Where its webhooks are posted to."""
        return f"{self.face.url}/webhook/keeptrusts"

    @property
    def face(self) -> Simulator:
        """The agent's web face on a port; faults may be scripted in front of it."""
        if self._server is None:
            self._server = Simulator(create_app(self.site.parts))
            self._server.start()
        return self._server

    def subscribe(self) -> None:
        """As an operator registers it, and PagerDuty's webhooks too."""
        self.keeptrusts.subscribe(f"{self.url}?token={TOKEN}")
        self.pagerduty.subscribe(f"{self.face.url}/webhook/pagerduty")

    def told(self) -> None:
        """Every webhook of Keeptrusts was answered for good."""
        assert self.keeptrusts.wait_until_delivered(30)

    def deliver(self, *, rounds: int = 6) -> None:
        """Every letter that can be delivered is."""
        context = replace(self.world.context, config=self.config, desk=self._desk())
        own = self._pager("", self.pagerduty.routing_key)
        targets = {name: self._pager(name, key) for name, key in KEYS.items()}
        senders = (
            PagerSender(context, self.store, own, targets=targets),
            DeskSender(context, self.store, self._desk()),
            KeeptrustsSender(context, self.store, self._api()),
        )
        for sender in senders:
            for _ in range(rounds):
                self.world.clock.sleep(sender.deliver())

    def item(self, escalation_id: str) -> Escalated:
        found = self.store.queue_item(f"esc-kt-{escalation_id}")
        assert found is not None
        return found

    def settle(self, escalation_id: str, action: Action = Action.BLOCK, note: str = "harmful") -> Changed:
        return queueing.resolve(
            self.queue_desk,
            f"esc-kt-{escalation_id}",
            REVIEWER,
            Settling(action, note),
            now=self.world.clock.now(),
        )

    @property
    def queue_desk(self) -> QueueDesk:
        return QueueDesk(self.store, self.world.context.redactor, queueing_of(self.config))

    def work(self, incident_id: str) -> Incident:
        """The whole way of an incident that came from PagerDuty."""
        self.store.begin_run(incident_id, "main")
        self.world.context.library.reload()
        context = replace(self.world.context, config=self.config, desk=self._desk())
        handle(InlineRun(self.world.clock), context, incident_id)
        return self.store.incident(incident_id)

    def events(self) -> None:
        """What happened at PagerDuty since is looked at."""
        context = replace(self.world.context, config=self.config, desk=self._desk())
        for incident_id, event in self.store.unhandled_events(50):
            handle_event(context, incident_id, event)

    def close(self) -> None:
        self.pagerduty.wait_until_delivered(10)
        if self._server is not None:
            self._server.stop()
        for each in (*self._pagers.values(), *self._others.values()):
            each.close()

    def _pager(self, name: str, key: str) -> PagerDutyEvents:
        if name not in self._pagers:
            self._pagers[name] = PagerDutyEvents(self.pagerduty.url, key)
        return self._pagers[name]

    def _desk(self) -> PagerDutyDesk:
        sim = self.pagerduty
        if "desk" not in self._others:
            self._others["desk"] = PagerDutyDesk(sim.url, sim.api_token, sim.from_email)
        desk: PagerDutyDesk = self._others["desk"]
        return desk

    def _api(self) -> KeeptrustsApi:
        if "api" not in self._others:
            self._others["api"] = KeeptrustsApi(self.keeptrusts.url, self.keeptrusts.api_token)
        api: KeeptrustsApi = self._others["api"]
        return api


@pytest.fixture
def between(store: Store, clock: FakeClock, tmp_path: Path) -> Iterator[Between]:
    (tmp_path / "runbooks").mkdir()
    site = Site(World(store, clock, tmp_path / "runbooks", HookedSandbox()), tmp_path)
    with (
        KeeptrustsSimulator(teller=Teller(backoff_s=0.02)) as keeptrusts,
        PagerDutySimulator() as pagerduty,
    ):
        between = Between(site, keeptrusts, pagerduty)
        yield between
        between.close()
