"""A chat in memory, held to the same contract as Slack's: for tests and for trying things out."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from agent.domain.errors import Reason, ServiceError
from agent.ports import ThreadCard

_SERVICE = "chat"


@dataclass(frozen=True, slots=True)
class FakePost:
    """One post as it was asked for."""

    lines: tuple[str, ...]
    broadcast: bool = False


@dataclass(slots=True)
class FakeThread:
    """A root message, its card as it stands now, and what was posted under it."""

    ref: str
    card: ThreadCard
    earlier: list[ThreadCard] = field(default_factory=list)
    posts: list[FakePost] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        """Every line posted in the thread, oldest first."""
        return [line for post in self.posts for line in post.lines]


class FakeChat:
    """Implements ports.Chat; `threads` and `channel` tell what people would see."""

    def __init__(self, *, has_threads: bool = True) -> None:
        self._has_threads = has_threads
        self._lock = threading.Lock()
        self._failures: list[ServiceError] = []
        self.threads: list[FakeThread] = []
        self.channel: list[FakePost] = []

    @property
    def has_threads(self) -> bool:
        """Whether it behaves like a bot (True) or like an incoming webhook alone."""
        return self._has_threads

    def fail(self, *failures: ServiceError) -> None:
        """Raise these, one a call, before anything is posted again."""
        with self._lock:
            self._failures.extend(failures)

    def post_root(self, card: ThreadCard) -> str:
        """Open a thread."""
        with self._lock:
            self._fail_if_told()
            ref = f"fake:{len(self.threads) + 1}" if self._has_threads else ""
            self.threads.append(FakeThread(ref, card))
            return ref

    def update_root(self, ref: str, card: ThreadCard) -> None:
        """Replace the thread's card; nothing happens without threads or a reference."""
        if not ref or not self._has_threads:
            return
        with self._lock:
            self._fail_if_told()
            thread = self._thread(ref)
            thread.earlier.append(thread.card)
            thread.card = card

    def post_lines(self, ref: str, lines: Sequence[str], *, broadcast: bool = False) -> None:
        """Post under the root, or in the channel without a reference; blank posts are not made."""
        if not any(line.strip() for line in lines):
            return
        with self._lock:
            self._fail_if_told()
            post = FakePost(tuple(lines), broadcast)
            threaded = self._has_threads and ref
            (self._thread(ref).posts if threaded else self.channel).append(post)

    def thread(self, ref: str) -> FakeThread:
        """The thread with this reference."""
        with self._lock:
            return self._thread(ref)

    def _thread(self, ref: str) -> FakeThread:
        for thread in self.threads:
            if thread.ref == ref:
                return thread
        raise ServiceError(_SERVICE, Reason.NOT_FOUND, f"no thread {ref!r} here", retryable=False)

    def _fail_if_told(self) -> None:
        if self._failures:
            raise self._failures.pop(0)
