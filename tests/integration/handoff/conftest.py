"""Two agents in one process, each with its own store and web face, and the wire between them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from agent.adapters.fake_clock import FakeClock
from agent.adapters.http import classify, json_bytes
from agent.adapters.store import Store
from agent.config import parse
from agent.delivery.handoffs import Agents, HandoffSender
from agent.domain.errors import Reason, ServiceError
from agent.domain.handoffs import SENDER
from agent.domain.incident import Incident
from agent.domain.signing import SIGNATURE, sign
from agent.pipeline.handed_in import HandedInDesk
from tests.integration.web.conftest import Site
from tests.unit.pipeline.conftest import SETTINGS, HookedSandbox, World

KEY = "handoff-secret-canary"
TARGET_URL = "https://platform.example.com/api/v1/handoffs"


@dataclass
class Wire:
    """Posts as `HandoffHttp` does, straight into the other one's web face."""

    site: Site
    own: str
    clock: FakeClock
    prefix: str = ""
    is_cut: bool = False
    posted: list[Mapping[str, object]] = field(default_factory=list)

    def post(self, path: str, body: Mapping[str, object], *, key: str) -> None:
        if self.is_cut:
            raise ServiceError("agent", Reason.UNREACHABLE, "connection refused", retryable=True)
        self.posted.append(body)
        answer = self.send(path, json_bytes(body))
        if answer.status_code >= 300:
            reason, again = classify(answer.status_code)
            words = str((answer.get_json() or {}).get("error"))
            raise ServiceError("agent", reason, words, retryable=again)

    def send(self, path: str, raw: bytes, *, secret: str = KEY, own: str = "") -> TestResponse:
        signature = sign(secret, raw, at=int(self.clock.now().timestamp()))
        headers = {SIGNATURE: signature, SENDER: own or self.own}
        return self.site.client.post(self.prefix + path, data=raw, headers=headers)


class Member:
    """One agent: what it is configured to be, and what it does when it is its turn."""

    def __init__(self, name: str, store: Store, clock: FakeClock, directory: Path) -> None:
        directory.mkdir()
        (directory / "runbooks").mkdir()
        self.name = name
        self.clock = clock
        self.world = World(store, clock, directory / "runbooks", HookedSandbox())
        self.site = Site(self.world, directory)
        self.secret = self.site.secret("handoff-key", KEY)
        self.wires: dict[str, Wire] = {}
        self._sender: HandoffSender | None = None

    def configure(self, handoff: dict[str, Any], **sections: Any) -> None:
        data = {**SETTINGS, "handoff": {"name": self.name, **handoff}, **sections}
        self.site.settings = data
        self.world.config = parse(data, path="config.yaml")

    def send(self) -> None:
        """What is to be posted to other agents."""
        if self._sender is None:
            agents = Agents(self.wires, self.wires)
            self._sender = HandoffSender(self.world.context, self.world.store, agents)
        self._sender.deliver()

    def work(self) -> None:
        """Run what was handed in, and answer."""
        for incident in self.world.store.unfinished():
            if incident.started_at is None:
                self.world.store.begin_run(incident.id, "main")
                self.world.handle(incident.id)
        HandedInDesk(self.world.context).tick()
        self.send()

    def stories(self) -> str:
        return "\n".join(line for each in self.incidents() for line in self.world.told(each.id))

    def incidents(self) -> list[Incident]:
        rows = self.site.get("/api/v1/incidents").get_json()["incidents"]
        return [self.world.store.incident(each["id"]) for each in rows]


@dataclass
class Pair:
    """tier-1 asks platform."""

    tier1: Member
    platform: Member
    waits: int = 0

    def answer(self, _: str = "") -> bool:
        """While tier-1 waits: it is posted, worked on there, and answered."""
        self.waits += 1
        assert self.waits < 5, self.tier1.stories() + self.platform.stories()
        self.tier1.send()
        self.platform.work()
        return True

    def page(self, **facts: Any) -> Incident:
        return self.tier1.world.page(**facts)


@pytest.fixture
def member(tmp_path: Path, clock: FakeClock, migrated: Path) -> Iterator[Callable[[str], Member]]:
    stores: list[Store] = []

    def made(name: str) -> Member:
        path = tmp_path / f"{name}.db"
        shutil.copy(migrated, path)
        stores.append(Store(f"sqlite:///{path}", clock))
        return Member(name, stores[-1], clock, tmp_path / name)

    yield made
    for store in stores:
        store.close()


@pytest.fixture
def pair(member: Callable[[str], Member]) -> Pair:
    tier1, platform = member("tier-1"), member("platform")
    asks(tier1, platform)
    answers(platform, tier1)
    wire(tier1, platform)
    pair = Pair(tier1, platform)
    tier1.world.on_wait = pair.answer
    return pair


def asks(member: Member, other: Member, **target: Any) -> None:
    targets = {other.name: {"url": TARGET_URL, "secret": member.secret, **target}}
    rest = {"name": "rest", "match": {"any": True}, "route_to": f"handoff:{other.name}"}
    member.configure({"targets": targets}, escalation={"routing": [rest]})


def answers(member: Member, *others: Member, **more: Any) -> None:
    url = "https://tier-1.example.com"
    member.configure(
        {"accept_from": {each.name: {"url": url, "secret": member.secret} for each in others}, **more}
    )


def wire(one: Member, other: Member) -> None:
    one.wires[other.name] = Wire(other.site, one.name, one.clock, prefix="/api/v1/handoffs")
    other.wires[one.name] = Wire(one.site, other.name, one.clock)
