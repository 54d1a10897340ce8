"""A chat in memory, held to the same contract as Slack's: for tests and for trying things out."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from agent.domain.errors import Reason, ServiceError
from agent.ports import QuestionCard, ThreadCard

_SERVICE = "chat"


@dataclass(frozen=True, slots=True)
class FakePost:
    """One post as it was asked for."""

    lines: tuple[str, ...]
    broadcast: bool = False
    keys: tuple[str, ...] = ()


@dataclass(slots=True)
class FakeQuestion:
    """A question as it stands now, in its thread and in the channel."""

    ref: str
    key: str
    card: QuestionCard
    earlier: list[QuestionCard] = field(default_factory=list)


@dataclass(slots=True)
class FakeThread:
    """A root message, its card as it stands now, and what was posted under it."""

    ref: str
    card: ThreadCard
    earlier: list[ThreadCard] = field(default_factory=list)
    posts: list[FakePost] = field(default_factory=list)
    key: str = ""
    questions: list[FakeQuestion] = field(default_factory=list)

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
        self._lost: dict[int, ServiceError] = {}
        self._posted = 0
        self.looks = 0
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

    def lose_answer(self, number: int, failure: ServiceError) -> None:
        """Make the n-th post from now, and raise this instead of saying so."""
        with self._lock:
            self._lost[self._posted + number] = failure

    def post_root(self, card: ThreadCard, *, key: str = "") -> str:
        """Open a thread."""
        with self._lock:
            self._fail_if_told()
            ref = f"fake:{len(self.threads) + 1}" if self._has_threads else ""
            self.threads.append(FakeThread(ref, card, key=key))
            self._answer()
            return ref

    def find_root(self, key: str, *, since: datetime) -> str:  # noqa: ARG002  (remembers no times)
        """The reference of the thread with this key."""
        with self._lock:
            self.looks += 1
            self._fail_if_told()
            return next((thread.ref for thread in self.threads if key and thread.key == key), "")

    def find_lines(self, ref: str, *, since: datetime) -> frozenset[str]:  # noqa: ARG002
        """The keys of the lines in the thread."""
        with self._lock:
            self.looks += 1
            self._fail_if_told()
            if not (self._has_threads and ref):
                return frozenset()
            thread = self._thread(ref)
            asked = {question.key for question in thread.questions}
            return frozenset(key for post in thread.posts for key in post.keys) | asked

    def update_root(self, ref: str, card: ThreadCard) -> None:
        """Replace the thread's card; nothing happens without threads or a reference."""
        if not ref or not self._has_threads:
            return
        with self._lock:
            self._fail_if_told()
            thread = self._thread(ref)
            thread.earlier.append(thread.card)
            thread.card = card

    def post_lines(
        self, ref: str, lines: Sequence[str], *, keys: Sequence[str] = (), broadcast: bool = False
    ) -> int:
        """Post under the root, or in the channel without a reference; blank posts are not made."""
        if not any(line.strip() for line in lines):
            return len(lines)
        with self._lock:
            self._fail_if_told()
            post = FakePost(tuple(lines), broadcast, tuple(keys))
            threaded = self._has_threads and ref
            (self._thread(ref).posts if threaded else self.channel).append(post)
            self._answer()
            return len(lines)

    def post_question(self, ref: str, question: QuestionCard, *, key: str = "") -> str:
        """Ask under the root."""
        with self._lock:
            self._fail_if_told()
            if not self._has_threads:
                raise ServiceError(_SERVICE, Reason.REJECTED, "no buttons work here", retryable=False)
            questions = self._thread(ref).questions
            asked = f"{ref}/{len(questions) + 1}"
            questions.append(FakeQuestion(asked, key, question))
            self._answer()
            return asked

    def find_question(self, ref: str, key: str, *, since: datetime) -> str:  # noqa: ARG002
        """The reference of the question with this key."""
        with self._lock:
            self.looks += 1
            self._fail_if_told()
            found = self._thread(ref).questions if ref else []
            return next((each.ref for each in found if key and each.key == key), "")

    def update_question(self, question_ref: str, question: QuestionCard) -> None:
        """Replace the question."""
        with self._lock:
            self._fail_if_told()
            for asked in self._thread(question_ref.partition("/")[0]).questions:
                if asked.ref == question_ref:
                    asked.earlier.append(asked.card)
                    asked.card = question
                    return
            raise ServiceError(_SERVICE, Reason.NOT_FOUND, f"no question {question_ref!r}", retryable=False)

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

    def _answer(self) -> None:
        self._posted += 1
        failure = self._lost.pop(self._posted, None)
        if failure is not None:
            raise failure
