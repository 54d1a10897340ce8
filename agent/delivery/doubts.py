"""Posts whose end nobody knows: the chat is asked what stands there before anything is said again.

A process that dies between a post and its record, or an answer that is lost, leaves a letter begun and not
delivered. Slack takes no key that would make a second post harmless, so what was posted is looked up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import structlog

from agent.delivery.sending import Pace
from agent.domain.errors import Reason, ServiceError
from agent.domain.outbox import Letter
from agent.ports import Chat, Clock

T = TypeVar("T")

log = structlog.get_logger()

#: conversations.history and conversations.replies are tier 3, 50 a minute (page "Rate limits").
_BURST, _EVERY_S = 5, 1.3

#: After these a post surely does not stand there; after any other failure it may.
_NOT_POSTED = frozenset({Reason.RATE_LIMITED, Reason.AUTH, Reason.NOT_FOUND, Reason.REJECTED})

#: While these last nothing could be posted either; other answers to a look are not waited out for ever.
_GONE = frozenset({Reason.UNREACHABLE, Reason.TIMEOUT})
_MOST_REFUSED_LOOKS = 5


class Doubts:
    """Which letters may stand in the chat although nobody marked them as delivered."""

    def __init__(self, clock: Clock, chat: Chat) -> None:
        self._chat = chat
        self._pace = Pace(clock, burst=_BURST, every_s=_EVERY_S)
        #: Begun letters of which we know that they do not stand there.
        self._absent: set[int] = set()
        self._refused_looks: Counter[str] = Counter()

    def among(self, letters: Sequence[Letter]) -> list[Letter]:
        """Those that were begun and whose end is unknown; none where nothing can be looked up."""
        if not self._chat.has_threads:
            return []
        return [letter for letter in letters if letter.tries > 0 and letter.id not in self._absent]

    def absent(self, letters: Sequence[Letter]) -> None:
        """They surely do not stand there."""
        self._absent.update(letter.id for letter in letters)

    def over(self, letter_ids: Sequence[int]) -> None:
        """They were delivered, or given up."""
        self._absent.difference_update(letter_ids)

    @contextmanager
    def trying(self, letters: Sequence[Letter]) -> Iterator[None]:
        """Post inside: a refusal leaves no new doubt, and takes away none that was there before."""
        in_doubt = {letter.id for letter in self.among(letters)}
        try:
            yield
        except ServiceError as error:
            if error.reason in _NOT_POSTED:
                self.absent([letter for letter in letters if letter.id not in in_doubt])
            else:
                self.over([letter.id for letter in letters])
            raise

    def wait_s(self) -> float:
        """Seconds until the chat may be asked; 0 takes the place now."""
        return self._pace.wait_s()

    def root(self, first: Letter) -> str:
        """The root message of the letter's incident if it stands there, else ""."""
        key = first.incident_id
        found = self._look(key, lambda: self._chat.find_root(key, since=first.created_at))
        return found or ""

    def arrived(self, ref: str, letters: Sequence[Letter]) -> list[int]:
        """Which of these doubtful letters stand in the thread; of the others we know that they do not."""
        since = min(letter.created_at for letter in letters)
        found = self._look(letters[0].incident_id, lambda: self._chat.find_lines(ref, since=since))
        if found is None:
            return []
        self.absent([letter for letter in letters if str(letter.id) not in found])
        return [letter.id for letter in letters if str(letter.id) in found]

    def _look(self, incident_id: str, ask: Callable[[], T]) -> T | None:
        """None if the chat does not let us look: a line said twice is better than one never said."""
        try:
            found = ask()
        except ServiceError as error:
            if error.retryable and self._is_worth_waiting(incident_id, error):
                raise
            log.warning("chat_not_looked_up", incident_id=incident_id, error=str(error))
            found = None
        self._refused_looks.pop(incident_id, None)
        return found

    def _is_worth_waiting(self, incident_id: str, error: ServiceError) -> bool:
        if error.reason in _GONE:
            return True
        self._refused_looks[incident_id] += 1
        return self._refused_looks[incident_id] < _MOST_REFUSED_LOOKS
