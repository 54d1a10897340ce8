"""Letters in a real outbox, senders over the shipped fakes, and a clock that stands still."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from agent.adapters.fake_chat import FakeChat
from agent.adapters.fake_clock import FakeClock
from agent.adapters.store import Store
from agent.delivery.chat import ChatSender
from agent.delivery.desk import DeskSender
from agent.delivery.pager import PagerSender
from agent.delivery.sending import Sender
from agent.domain.errors import Reason, ServiceError
from agent.domain.incident import Entry, EventKind
from agent.domain.outbox import Message
from agent.ports import ThreadCard
from tests.unit.pipeline.conftest import ALERT, HookedSandbox, World

DOWN = ServiceError("vendor", Reason.UNREACHABLE, "connection refused", retryable=True)
BUSY = ServiceError("vendor", Reason.RATE_LIMITED, "slow down", retryable=True, retry_after_s=45)
AUTH = ServiceError("vendor", Reason.AUTH, "invalid token", retryable=False)
REFUSED = ServiceError("vendor", Reason.REJECTED, "we do not like it", retryable=False)
GONE = ServiceError("vendor", Reason.NOT_FOUND, "message_not_found", retryable=False)


class PickyChat(FakeChat):
    """Refuses every message that holds the word `bad`, and cards while told to; counts what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, ...]] = []
        self.refuses_updates = False

    def post_lines(
        self, ref: str, lines: Sequence[str], *, keys: Sequence[str] = (), broadcast: bool = False
    ) -> int:
        self.asked.append(tuple(lines))
        if any("bad" in line for line in lines):
            raise REFUSED
        return super().post_lines(ref, lines, keys=keys, broadcast=broadcast)

    def update_root(self, ref: str, card: ThreadCard) -> None:
        if self.refuses_updates:
            raise REFUSED
        super().update_root(ref, card)


class Post:
    """An outbox with one sender a channel, as the daemon has them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.use(world.chat)
        self.desk = DeskSender(world.context, world.store, world.desk)
        self.pager = PagerSender(world.context, world.store, world.pager)
        self._count = 0

    def use(self, chat: FakeChat) -> None:
        self.fake = chat
        self.chat = ChatSender(self.world.context, self.world.store, chat)

    def incident(self, number: int = 1) -> str:
        return self.world.receive(replace(ALERT, source_id=f"P{number}"))

    def put(self, incident_id: str, *messages: Message) -> None:
        """Letters, as a stage of the pipeline leaves them."""
        self._count += 1
        entry = Entry(f"test-{self._count}", EventKind.NOTE, "something happened")
        assert self.world.store.record(incident_id, [entry], messages=messages)

    def deliver_all(self, sender: Sender, *, looks: int = 60) -> None:
        """As the daemon's schedule does: look, wait as long as told, look again."""
        for _ in range(looks):
            self.world.clock.sleep(sender.deliver() or 0.2)

    def waiting(self) -> int:
        return sum(count for count, _ in self.world.store.outbox_state().values())

    def lines(self) -> list[str]:
        """Every line of the newest thread."""
        return self.fake.threads[-1].lines

    def posts(self) -> list[tuple[str, ...]]:
        return [post.lines for post in self.fake.threads[-1].posts]


@pytest.fixture
def post(store: Store, clock: FakeClock, tmp_path: Path) -> Post:
    runbooks = tmp_path / "runbooks"
    runbooks.mkdir()
    return Post(World(store, clock, runbooks, HookedSandbox()))
