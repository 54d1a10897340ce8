"""Who carries out which leg in this process; a thread that has ended one waits a moment for the next.

To begin a thread for each leg, and to have the engine write down its beginning and its end, costs more than
many a leg itself. In a storm the next one is there before the last one's thread has gone.
"""

from __future__ import annotations

import queue
import threading
from collections import OrderedDict

from agent.domain.runs import Leg, RunState

#: How long a thread without a leg waits for one.
_LINGERS_S = 0.25

#: Of so many legs that are over it is known how they ended, for whoever finds that their run did not.
_KNOWN = 1_000


class Carriers:
    """The legs that are being carried out here, and the line of those that wait for a thread."""

    def __init__(self, *, lingers_s: float = _LINGERS_S) -> None:
        self._lingers_s = lingers_s
        self._guard = threading.Lock()
        self._at_work: set[str] = set()
        self._over: OrderedDict[str, RunState] = OrderedDict()
        self._line: queue.SimpleQueue[Leg] = queue.SimpleQueue()
        self._idle = 0

    def enrol(self, leg: Leg) -> bool:
        """Whether nobody is at it yet: from now on somebody is."""
        with self._guard:
            if leg.id in self._at_work:
                return False
            self._at_work.add(leg.id)
            return True

    def strike(self, leg: Leg, how: RunState) -> None:
        """Nobody is at it any more; how it ended."""
        with self._guard:
            self._at_work.discard(leg.id)
            self._over[leg.id] = how
            if len(self._over) > _KNOWN:
                self._over.popitem(last=False)

    def state(self, leg: Leg) -> RunState:
        """As far as this process knows."""
        with self._guard:
            return RunState.ALIVE if leg.id in self._at_work else self._over.get(leg.id, RunState.UNKNOWN)

    def hand_over(self, leg: Leg) -> bool:
        """To a thread that waits for one; False if none does."""
        with self._guard:
            if not self._idle:
                return False
            self._idle -= 1
            self._line.put(leg)
            return True

    def next(self) -> Leg | None:
        """Wait a moment for a leg; None: the thread may go."""
        with self._guard:
            self._idle += 1
        try:
            return self._line.get(timeout=self._lingers_s)
        except queue.Empty:
            with self._guard:
                if not self._line.empty():  # it came in the last moment
                    return self._line.get()
                self._idle -= 1
                return None
