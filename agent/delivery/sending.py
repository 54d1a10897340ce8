"""What every sender shares: how long to wait, and how fast to speak."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Protocol

from agent.domain.errors import ServiceError
from agent.domain.outbox import Channel, Letter
from agent.ports import Clock, OutboxStore

_BATCH = 50

_FIRST_DELAY_S = 1.0
_LONGEST_DELAY_S = 30.0

#: A vendor that asks for a longer wait is asked again all the same: a wrong header must silence no channel.
_LONGEST_BELIEVED_S = 300.0

#: Between tries when only an operator can mend it (a wrong token, an unknown channel).
_OPERATOR_DELAY_S = 60.0


class Sender(Protocol):
    """Delivers what is due for one channel, at least once and in order per incident.

    A channel that is down holds up no incident and no other channel; nothing is lost meanwhile.
    """

    channel: Channel

    def deliver(self) -> float:
        """Deliver what is due; gives the seconds before it is worth looking again (0: at once)."""
        ...


def fairly(letters: Iterable[Letter]) -> Sequence[Sequence[Letter]]:
    """Each incident's letters in order; the incident that was tried least comes first.

    So what a vendor does not take for one incident never stands in front of all others.
    """
    of_incident: dict[str, list[Letter]] = {}
    for letter in letters:
        of_incident.setdefault(letter.incident_id, []).append(letter)
    return sorted(of_incident.values(), key=lambda group: (group[0].tries, group[0].id))


class OneByOne(ABC):
    """A Sender that takes what is due one by one, in order per incident.

    What fails holds up the letters behind it of its own incident, and no other incident's. What follows from
    a letter that was `_sent` is written down before it is marked: whoever dies in between sends it once more.
    """

    channel: Channel

    def __init__(self, outbox: OutboxStore) -> None:
        self._outbox = outbox

    def deliver(self) -> float:
        """Deliver what is due; gives the seconds before it is worth looking again (0: at once)."""
        for letters in fairly(self._outbox.next_letters(self.channel, _BATCH)):
            for letter in letters:
                self._outbox.begin_delivery([letter.id])
                try:
                    self._send(letter)
                except ServiceError as error:
                    wait_s = self._failed(letter, error)
                    if wait_s:
                        return wait_s
                    break
                self._sent(letter)
                self._outbox.delivered([letter.id])
        return 0.0

    @abstractmethod
    def _send(self, letter: Letter) -> None:
        """Bring it there; ServiceError if it was not taken."""

    @abstractmethod
    def _sent(self, letter: Letter) -> None:
        """It arrived."""

    @abstractmethod
    def _failed(self, letter: Letter, error: ServiceError) -> float:
        """It was not taken: postponed or given up here; gives the seconds in which to try no other, or 0."""


class Backoff:
    """How long to wait after the n-th failure in a row; a vendor's Retry-After is honoured, in bounds."""

    def __init__(self, *, longest_s: float = _LONGEST_BELIEVED_S) -> None:
        self._failures = 0
        self._longest_s = longest_s

    def succeeded(self) -> None:
        """The vendor is there."""
        self._failures = 0

    def failed(self, error: ServiceError) -> float:
        """Seconds to wait now."""
        if not error.retryable:
            return min(_OPERATOR_DELAY_S, self._longest_s)
        doubled: float = _FIRST_DELAY_S * 2 ** min(self._failures, 10)
        self._failures += 1
        wanted = max(min(doubled, _LONGEST_DELAY_S), error.retry_after_s or 0.0)
        return min(wanted, self._longest_s)


class Pace:
    """Lets `burst` calls through at once and then one every `every_s` seconds."""

    def __init__(self, clock: Clock, *, burst: int, every_s: float) -> None:
        self._clock = clock
        self._burst = burst
        self._every_s = every_s
        self._left = float(burst)
        self._at = clock.monotonic()

    def wait_s(self) -> float:
        """Seconds until the next call may go; 0 takes its place now."""
        now = self._clock.monotonic()
        self._left = min(self._burst, self._left + (now - self._at) / self._every_s)
        self._at = now
        if self._left < 1:
            return (1 - self._left) * self._every_s
        self._left -= 1
        return 0.0
