"""Pages about the agent itself, straight to the pager: also when the outbox or its sender is what is broken.

Each alarm is raised once, however often its trouble is seen, and taken back when the trouble is over. Which
are raised is remembered as well as the store can: a restart neither raises one anew nor leaves it open.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog

from agent.delivery.sending import Backoff
from agent.domain.alert import Severity
from agent.domain.errors import ServiceError, StoreError
from agent.pipeline.intake import OWN_KEY_PREFIX
from agent.ports import Clock, Page, Pager
from agent.ports.stores import KnownStore

log = structlog.get_logger()

_KNOWN_AS = "alarm/"
_LONGEST_WAIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Alarm:
    """What is wrong with the agent, what to do, and how bad it is."""

    summary: str
    to_do: str
    severity: Severity = Severity.ERROR
    details: Mapping[str, object] = field(default_factory=dict)


class Alarms:
    """Without a pager nobody can be told but by the log."""

    def __init__(self, pager: Pager | None, store: KnownStore, clock: Clock, *, source: str) -> None:
        self._pager = pager
        self._store = store
        self._clock = clock
        self._source = source
        self._raised: set[str] | None = None
        self._logged: set[str] = set()
        self._backoff = Backoff(longest_s=_LONGEST_WAIT_S)
        self._pager_at = clock.monotonic()

    def settle(self, name: str, alarm: Alarm | None) -> None:
        """The trouble of this name is there, or is over."""
        self._log(name, alarm)
        is_raised = name in self._known()
        if alarm is not None and not is_raised:
            self._raise(name, alarm)
        elif alarm is None and is_raised:
            self._clear(name)

    def _log(self, name: str, alarm: Alarm | None) -> None:
        """Once, also where there is no pager."""
        if alarm is not None and name not in self._logged:
            self._logged.add(name)
            log.error("alarm", alarm=name, summary=alarm.summary, to_do=alarm.to_do)
        elif alarm is None and name in self._logged:
            self._logged.discard(name)
            log.info("alarm_over", alarm=name)

    def _raise(self, name: str, alarm: Alarm) -> None:
        page = Page(
            dedup_key=_key(name),
            summary=alarm.summary,
            severity=alarm.severity,
            source=self._source,
            component="oncall-agent",
            details={**alarm.details, "what_to_do": alarm.to_do},
        )
        pager = self._pager
        if pager is None or not self._taken(lambda: pager.page(page)):
            return
        self._known().add(name)
        self._remember(lambda: self._store.keep_known(_KNOWN_AS + name, self._clock.now().isoformat()))

    def _clear(self, name: str) -> None:
        pager = self._pager
        if pager is None or not self._taken(lambda: pager.clear(_key(name))):
            return
        self._known().discard(name)
        self._remember(lambda: self._store.forget_known(_KNOWN_AS + name))

    def _taken(self, call: Callable[[], None]) -> bool:
        """Whether the pager took it; if not, the next look tries again, not faster than it likes."""
        if self._clock.monotonic() < self._pager_at:
            return False
        try:
            call()
        except ServiceError as error:
            self._pager_at = self._clock.monotonic() + self._backoff.failed(error)
            log.error("alarm_not_taken", error=str(error))  # noqa: TRY400  (its words say all)
            return False
        self._backoff.succeeded()
        return True

    def _known(self) -> set[str]:
        if self._raised is None:
            self._raised = set(self._store.known(_KNOWN_AS))
        return self._raised

    def _remember(self, write: Callable[[], None]) -> None:
        """A store that cannot be written may be the trouble itself: then this process alone remembers."""
        try:
            write()
        except StoreError as error:
            log.warning("alarm_not_remembered", error=str(error))


def _key(name: str) -> str:
    return f"{OWN_KEY_PREFIX}alarm-{name}"
