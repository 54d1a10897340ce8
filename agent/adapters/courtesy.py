"""Who waits for an answer goes first: a source gives up after seconds, a run has minutes.

All threads of a process share one interpreter, and a run at every place that there is would leave a webhook
a small part of it. So a run looks around before each of its steps. It waits for a moment only: webhooks that
never cease must not stop the work that they bring.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

#: How long one step lets others go before it.
_AT_MOST_S = 0.1


class Courtesy:
    """Counts who waits for an answer."""

    def __init__(self, *, at_most_s: float = _AT_MOST_S) -> None:
        self._at_most_s = at_most_s
        self._nobody_waits = threading.Condition()
        self._waiting = 0

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Somebody waits for an answer until the block ends."""
        with self._nobody_waits:
            self._waiting += 1
        try:
            yield
        finally:
            with self._nobody_waits:
                self._waiting -= 1
                if not self._waiting:
                    self._nobody_waits.notify_all()

    def give_way(self) -> None:
        """Go on once nobody waits for an answer, or after a moment."""
        if not self._waiting:
            return
        with self._nobody_waits:
            self._nobody_waits.wait_for(lambda: not self._waiting, timeout=self._at_most_s)
