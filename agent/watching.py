"""The dead-man's switch: another process asks whether the agent is well, and pages when it is not.

It knows no database and little of the rest, so that what breaks the agent does not break it too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

import structlog

from agent.delivery.sending import Backoff
from agent.domain.alert import Severity
from agent.domain.errors import ServiceError
from agent.domain.watching import Look, Silent, WatchMemory
from agent.ports import Clock, Page, Pager

log = structlog.get_logger()

#: After a silence so many good looks in a row are believed: a process that dies again and again is not well.
BELIEVED_AFTER = 3

#: A watcher that breaks this often in a row, in ways nobody foresaw, watches nothing.
_MAX_SURPRISES = 5

#: However long the pager asks us to wait.
_LONGEST_WAIT_S = 30.0

_WHAT_TO_DO = (
    "While it is down nobody works on incidents but you. See why it ended and start it again "
    "(`systemctl status oncall-agent`, `kubectl get pods -n oncall-agent`, its log): it goes on where it "
    "was. This page is resolved by itself once the agent is well."
)


class Probe(Protocol):
    """One way to ask; it never raises for what it sees."""

    def look(self) -> Look:
        """Ask once."""
        ...


class Memory(Protocol):
    """Where the watcher keeps what a restart of it must not forget."""

    def load(self) -> WatchMemory:
        """What was remembered."""
        ...

    def save(self, memory: WatchMemory) -> None:
        """Remember this from now on."""
        ...


class Verdict(StrEnum):
    """What one round found."""

    WELL = "well"
    SILENT = "silent"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a silence may last, and how many good looks end it."""

    stale_after_s: float
    believed_after: int = BELIEVED_AFTER


class Watcher:
    """Looks in rounds; pages once for a silence, and takes the page back when it is over."""

    def __init__(
        self,
        name: str,
        *,
        probes: Sequence[Probe],
        pager: Pager,
        clock: Clock,
        memory: Memory,
        patience: Patience,
    ) -> None:
        self._name = name
        self._probes = probes
        self._pager = pager
        self._clock = clock
        self._keep = memory
        self._patience = patience
        self._memory = memory.load()
        self._silence_began: float | None = None
        if self._memory.silent_since is not None:
            self._silence_began = clock.monotonic() - self._memory.silent_s
        self._good_looks = 0
        self._backoff = Backoff(longest_s=_LONGEST_WAIT_S)
        self._pager_at = clock.monotonic()

    @property
    def dedup_key(self) -> str:
        """Names the page, so that one silence wakes nobody twice; the agent knows it as its own."""
        return f"oncall-agent-down-{self._name}"

    @property
    def why(self) -> str:
        """What was seen at the last look, in words; "" if all is well."""
        return self._memory.why

    @property
    def is_told(self) -> bool:
        """Whether the pager has taken all that was to be told."""
        is_stale = self._verdict() is Verdict.STALE
        return bool(self._memory.is_paged) if is_stale else self._memory.is_paged is False

    def round(self) -> Verdict:
        """Look, and page or take the page back if that is due."""
        looks = [probe.look() for probe in self._probes]
        silences = [look for look in looks if isinstance(look, Silent)]
        if silences:
            self._heard_nothing(silences)
        else:
            self._heard()
        verdict = self._verdict()
        if verdict is Verdict.STALE and silences and not self._memory.is_paged:
            self._page()
        elif verdict is Verdict.WELL and self._memory.is_paged is not False:
            self._clear()
        return verdict

    def _heard_nothing(self, silences: Sequence[Silent]) -> None:
        now, monotonic = self._clock.now(), self._clock.monotonic()
        self._good_looks = 0
        since = min((each.since for each in silences if each.since is not None), default=now)
        memory = replace(self._memory, why="; ".join(each.why for each in silences))
        if self._silence_began is None:
            self._silence_began = monotonic - max(0.0, (now - since).total_seconds())
            memory = replace(memory, silent_since=since)
        if memory.why != self._memory.why:
            log.warning("agent_silent", why=memory.why, since=str(memory.silent_since))
        self._remember(replace(memory, silent_s=monotonic - self._silence_began))

    def _heard(self) -> None:
        self._good_looks += 1
        if self._silence_began is None or self._good_looks < self._patience.believed_after:
            return
        log.info("agent_back", silent_since=str(self._memory.silent_since))
        self._silence_began = None
        self._remember(WatchMemory(is_paged=self._memory.is_paged))

    def _verdict(self) -> Verdict:
        if self._silence_began is None:
            return Verdict.WELL
        silent_s = self._clock.monotonic() - self._silence_began
        return Verdict.STALE if silent_s > self._patience.stale_after_s else Verdict.SILENT

    def _page(self) -> None:
        if self._taken(lambda: self._pager.page(self._page_text())):
            log.error("agent_down_paged", dedup_key=self.dedup_key, why=self._memory.why)
            self._remember(replace(self._memory, is_paged=True))

    def _clear(self) -> None:
        if self._taken(lambda: self._pager.clear(self.dedup_key)):
            log.info("agent_down_cleared", dedup_key=self.dedup_key)
            self._remember(replace(self._memory, is_paged=False))

    def _page_text(self) -> Page:
        why, since = self._memory.why, self._memory.silent_since or self._clock.now()
        return Page(
            dedup_key=self.dedup_key,
            summary=f"oncall-agent on {self._name} is down since {since:%Y-%m-%d %H:%M} UTC: {why}",
            severity=Severity.CRITICAL,
            source=self._name,
            component="oncall-agent",
            details={
                "silent_since": since.isoformat(),
                "last_error": why,
                "looked_at": self._clock.now().isoformat(),
                "what_to_do": _WHAT_TO_DO,
            },
        )

    def _taken(self, call: Callable[[], None]) -> bool:
        """Whether the pager took it; while it does not, it is asked again, not faster than it likes."""
        if self._clock.monotonic() < self._pager_at:
            return False
        try:
            call()
        except ServiceError as error:
            wait_s = self._backoff.failed(error)
            self._pager_at = self._clock.monotonic() + wait_s
            log.error("pager_not_reached", error=str(error), again_in_s=round(wait_s, 1))  # noqa: TRY400
            return False
        self._backoff.succeeded()
        return True

    def _remember(self, memory: WatchMemory) -> None:
        if memory != self._memory:
            self._memory = memory
            self._keep.save(memory)


def keep_looking(look: Callable[[], object], stopping: threading.Event, every_s: float) -> bool:
    """Look again and again until told to stop; False once looking itself is broken.

    A dead-man's switch that only logs would fail in silence: its process ends instead, for all to see.
    """
    surprises = 0
    while not stopping.is_set() and surprises < _MAX_SURPRISES:
        try:
            look()
            surprises = 0
        except Exception:  # a process boundary: told, tried again, and then the process ends
            surprises += 1
            log.exception("watch_broke", in_a_row=surprises)
        stopping.wait(every_s)
    return surprises < _MAX_SURPRISES
