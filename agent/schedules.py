"""What a daemon does again and again, each in a thread of its own, until it stops."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from agent.domain.errors import AgentError
from agent.pulse import LATE_AFTER_S, QUIET_AFTER_S, Pulse

log = structlog.get_logger()

#: A schedule that breaks this often in a row in ways nobody foresaw ends the process: a restart is safe.
_MAX_SURPRISES = 5

#: Without these nothing is worked on and nobody would notice; the others are told and tried again.
_VITAL = frozenset({"dispatcher", "watchdog", "send-pager", "presence", "reaper"})

#: One round may be fifty pages to a vendor that answers each of them at the last moment; or years to archive.
_SLOW = {"send-pager": 300.0, "retention": 6 * 3_600.0}

_LONGEST_PAUSE_S = 30.0

#: How soon a schedule that found the store or a vendor unusable tries again.
_AFTER_FAILURE_S = 1.0

Tick = Callable[[], float]


@dataclass
class Schedules:
    """Runs ticks; a tick gives the seconds before it is worth running again (0: the usual pause)."""

    stopping: threading.Event
    pulse: Pulse
    _threads: list[threading.Thread] = field(default_factory=list)

    def add(self, name: str, tick: Tick, *, every_s: float, wakeup: threading.Event | None = None) -> None:
        """Run it from now on: at least every `every_s`, and at once when `wakeup` is set."""
        late_after_s = _SLOW.get(name, LATE_AFTER_S if name in _VITAL else every_s + QUIET_AFTER_S)
        self.pulse.expect(name, is_vital=name in _VITAL, late_after_s=late_after_s)
        pause = wakeup or self.stopping
        thread = threading.Thread(
            target=self._repeat, args=(name, tick, every_s, pause), name=name, daemon=True
        )
        self._threads.append(thread)
        thread.start()

    def join(self, timeout_s: float) -> None:
        """Wait for what is in the middle of a tick, all together no longer than this."""
        until = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(timeout=max(0.0, until - time.monotonic()))

    def _repeat(self, name: str, tick: Tick, every_s: float, pause: threading.Event) -> None:
        surprises = 0
        while not self.stopping.is_set():
            try:
                wait_s = tick() or every_s
                surprises = 0
                self.pulse.ticked(name)
            except AgentError as error:
                log.warning("schedule_failed", schedule=name, error=str(error))
                self.pulse.failed(name, str(error))
                wait_s = _AFTER_FAILURE_S
            except Exception as error:  # a process boundary: told, tried again, and then the process ends
                surprises += 1
                self.pulse.failed(name, f"{type(error).__name__}: {error}")
                log.exception("schedule_broke", schedule=name, in_a_row=surprises)
                if name in _VITAL and surprises >= _MAX_SURPRISES:
                    os._exit(70)
                wait_s = min(2.0**surprises, _LONGEST_PAUSE_S)
            pause.wait(wait_s)
