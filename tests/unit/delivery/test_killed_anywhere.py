"""A sender that is killed before or after any of its writes tells everything, once, after the restart."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.adapters.fake_clock import FakeClock
from agent.adapters.fake_desk import FakeDesk
from agent.adapters.store import Store
from agent.delivery.desk import DeskSender
from agent.domain.errors import Reason, ServiceError
from agent.domain.outbox import (
    ChatCard,
    ChatLine,
    ChatSummary,
    ClearPage,
    DeskAcknowledge,
    DeskNote,
    DeskResolve,
)
from agent.safety.effects import EffectTables
from tests.unit.delivery.conftest import REFUSED, PickyChat, Post
from tests.unit.delivery.test_pager_sender import page
from tests.unit.pipeline.conftest import HookedSandbox, World

WRITES = (
    "record", "begin_delivery", "delivered", "postpone", "undeliverable", "keep_thread_ref",
    "forget_thread_ref", "begin_own_write", "end_own_write", "put_last",
)  # fmt: skip


_TABLES = EffectTables.load()


class Killed(BaseException):
    """The process is gone."""


class Killer:
    """Ends the process before or after the n-th write; 0: never, and `count` says how many there were."""

    def __init__(self, store: Store, at: int, *, after: bool) -> None:
        self.count = 0
        self._at, self._after = at, after
        for name in WRITES:
            setattr(store, name, self._wrapped(getattr(store, name)))

    def _wrapped(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def killing(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            if self.count == self._at and not self._after:
                raise Killed
            value = write(*args, **kwargs)
            if self.count == self._at:
                raise Killed
            return value

        return killing


class SlowWithNotes(FakeDesk):
    """Takes a note only after everything else."""

    def note(self, source_id: str, text: str) -> None:
        if self.incident(source_id).facts.status != "resolved":
            raise ServiceError("desk", Reason.SERVER_ERROR, "later", retryable=True)
        super().note(source_id, text)


class NeverResolves(FakeDesk):
    """Takes everything but a resolve."""

    def resolve(self, source_id: str, resolution: str) -> str:
        raise ServiceError("desk", Reason.REJECTED, "no", retryable=False)


def a_page_and_its_clearing(post: Post) -> None:
    post.put(post.incident(), page(), ClearPage(page().dedup_key, "it is over"))


def a_clearing_that_is_refused(post: Post) -> None:
    post.world.pager.clear = refuse  # type: ignore[method-assign]
    post.put(post.incident(), page(), ClearPage(page().dedup_key, "it is over"))


def refuse(*_: object) -> None:
    raise REFUSED


def a_handover(post: Post) -> None:
    post.put(post.incident(), DeskAcknowledge("P1"), DeskNote("P1", "done"), DeskResolve("P1", "done"))


def a_resolve_that_is_refused(post: Post) -> None:
    post.world.desk = NeverResolves()
    post.world.desk.add("P1")
    post.put(post.incident(), DeskNote("P1", "done"), DeskResolve("P1", "done"))


def a_note_that_lets_the_resolve_pass(post: Post) -> None:
    post.world.desk = SlowWithNotes()
    post.world.desk.add("P1")
    post.put(post.incident(), DeskNote("P1", "done"), DeskResolve("P1", "done"))


def a_thread(post: Post) -> None:
    incident_id = post.incident()
    post.put(incident_id, ChatLine("one"), ChatCard())
    post.put(incident_id, ChatLine("two"), ChatSummary("summary"), ChatCard())


def a_thread_with_a_line_that_is_refused(post: Post) -> None:
    post.use(PickyChat())
    post.put(post.incident(), ChatLine("one"), ChatLine("bad"), ChatLine("three"), ChatCard())


STORIES = [
    a_page_and_its_clearing,
    a_clearing_that_is_refused,
    a_handover,
    a_resolve_that_is_refused,
    a_note_that_lets_the_resolve_pass,
    a_thread,
    a_thread_with_a_line_that_is_refused,
]


def told(
    migrated: Path, directory: Path, story: Callable[[Post], None], at: int = 0, *, after: bool = False
) -> tuple[str, int]:
    """Everything that anybody sees in the end, and how many writes the first life made."""
    directory.mkdir()
    clock = FakeClock()
    shutil.copy(migrated, directory)
    store = Store(f"sqlite:///{directory}/oncall.db", clock)
    post = Post(World(store, clock, directory, HookedSandbox(), tables=_TABLES))
    story(post)
    killer = Killer(store, at, after=after)
    try:
        life(post)
    except Killed:
        for name in WRITES:
            delattr(store, name)
        post.use(post.fake)
        life(post)
    seen = everything(post)
    store.close()
    return seen, killer.count


def life(post: Post) -> None:
    desk = DeskSender(post.world.context, post.world.store, post.world.desk)
    for _ in range(30):
        waits = [sender.deliver() for sender in (post.chat, desk, post.pager)]
        if not post.waiting():
            return
        post.world.clock.sleep(max(*waits, 5.0))


def everything(post: Post) -> str:
    (incident,) = post.world.store.incidents()
    kept = post.world.desk.incident("P1")
    seen = (
        sorted(event.text for event in post.world.store.timeline(incident.id)),
        [(thread.lines, thread.card.status) for thread in post.fake.threads],
        [(each.dedup_key, each.severity) for each in post.world.pager.woken],
        [each.dedup_key for each in post.world.pager.open_pages],
        (kept.notes, kept.facts.status, kept.acknowledged_by),
        post.waiting(),
    )
    return str(seen).replace(incident.id, "ID")


@pytest.mark.parametrize("story", STORIES, ids=lambda each: each.__name__)
def test_wherever_a_sender_is_killed_everything_is_told_once(
    migrated: Path, tmp_path: Path, story: Callable[[Post], None]
) -> None:
    expected, writes = told(migrated, tmp_path / "whole", story)
    assert writes > 3
    different = {}
    for at in range(1, writes + 1):
        for after in (False, True):
            seen, _ = told(migrated, tmp_path / f"{at}-{after}", story, at, after=after)
            if seen != expected:
                different[at, after] = (seen, expected)
    assert different == {}
