"""The end of an emergency bypass: put back when its time is over, whatever happened to the agent meanwhile.

What is due is asked of the store, by absolute times: a restart, however long, forgets none. What somebody
else changed since is left alone, and told to a human.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from agent.domain.alert import Severity
from agent.domain.bypasses import Bypass
from agent.domain.errors import Reason, ServiceError
from agent.domain.incident import Entry, EventKind
from agent.domain.outbox import Channel, ChatLine, ClearPage, Message, PageHuman
from agent.pipeline.intake import OWN_KEY_PREFIX
from agent.ports import Clock
from agent.ports.bypasses import BypassBook, Configurations
from agent.safety.keeptrusts_policy import same

log = structlog.get_logger()

#: So many in one look.
_MOST = 20
_EVERY_S = 5.0

#: After a failure it is tried again, soon at first: governance is off until it succeeds.
_AGAIN = (timedelta(seconds=10), timedelta(seconds=30), timedelta(minutes=1))


@dataclass(frozen=True, slots=True)
class BypassClock:
    """Ends what is due; one process does it for all of them."""

    book: BypassBook
    configurations: Configurations
    channels: frozenset[Channel]
    clock: Clock

    def tick(self) -> float:
        """Look; gives the seconds before it is worth looking again."""
        for bypass in self.book.bypasses_due(self.clock.now(), _MOST):
            try:
                self.end(bypass, "its time is over")
            except ServiceError as error:
                self._failed(bypass, error)
        return _EVERY_S

    def end(self, bypass: Bypass, why: str) -> str:
        """Put back what was there before, and see that it is; ServiceError if that cannot be said.

        Gives what was done, in words.
        """
        now = self.configurations.current(bypass.configuration)
        if same(now, bypass.before):
            return self._over(bypass, f"{why}; the earlier configuration is in force")
        if not same(now, bypass.during):
            return self._left_alone(bypass, why)
        self.configurations.put(bypass.configuration, bypass.before)
        after = self.configurations.current(bypass.configuration)
        if not same(after, bypass.before):
            raise not_as_put(bypass.configuration)
        return self._over(bypass, f"{why}; the earlier configuration is put back and was read back")

    def _over(self, bypass: Bypass, words: str) -> str:
        text = f"🔒 The emergency bypass of {bypass.configuration} is over: {words}"
        cleared = (ClearPage(_page_key(bypass), words),) if bypass.failures else ()
        log.info("bypass_ended", configuration=bypass.configuration, incident_id=bypass.incident_id)
        self.book.bypass_ended(bypass, self._entry(bypass, "ended", text), self._told(text, cleared))
        return words

    def _left_alone(self, bypass: Bypass, why: str) -> str:
        """What somebody put there may be their repair: overwritten, it would be undone."""
        words = f"{why}, but somebody has changed the configuration since: it is left as it is"
        text = f"🟠 The emergency bypass of {bypass.configuration}: {words}. Check that nothing of it remains"
        log.warning("bypass_left", configuration=bypass.configuration, incident_id=bypass.incident_id)
        page = self._page(bypass, text, Severity.ERROR)
        self.book.bypass_ended(bypass, self._entry(bypass, "left", text), self._told(text, (page,)))
        return words

    def _failed(self, bypass: Bypass, error: ServiceError) -> None:
        """A human is paged the first time; it is tried again until it succeeds."""
        now = self.clock.now()
        wait = _AGAIN[min(bypass.failures, len(_AGAIN) - 1)]
        after = replace(bypass, failures=bypass.failures + 1, next_at=now + wait)
        text = f"🔴 The emergency bypass of {bypass.configuration} could not be ended: {error}"
        log.error("bypass_not_ended", configuration=bypass.configuration, error=str(error))
        page = self._page(
            bypass, f"{text}. It is tried again; until then policies only flag", Severity.CRITICAL
        )
        is_first = bypass.failures == 0
        entry = self._entry(bypass, f"failed-{after.failures}", text)
        self.book.bypass_failed(bypass, after, entry, self._told(text, (page,)) if is_first else ())

    def _page(self, bypass: Bypass, text: str, severity: Severity) -> PageHuman:
        return PageHuman(
            dedup_key=_page_key(bypass),
            summary=text,
            severity=severity,
            source="incident-agent",
            component="keeptrusts",
            details={
                "configuration": bypass.configuration,
                "incident": bypass.incident_id,
                "begun_at": bypass.begun_at.isoformat(),
                "should_have_ended_at": bypass.ends_at.isoformat(),
                "what_to_do": "put the earlier version of the configuration back in Keeptrusts",
            },
        )

    def _told(self, text: str, messages: Sequence[Message]) -> Sequence[Message]:
        pages = [each for each in messages if Channel.PAGER in self.channels]
        chat = [ChatLine(text)] if Channel.CHAT in self.channels else []
        return [*chat, *pages]

    @staticmethod
    def _entry(bypass: Bypass, what: str, text: str) -> Entry:
        data = {"configuration": bypass.configuration, "deed": what, "ends_at": bypass.ends_at.isoformat()}
        return Entry(f"bypass-{_since(bypass.begun_at)}-{what}", EventKind.NOTE, text, data)


def begun_entry(bypass: Bypass) -> Entry:
    """What is written down, with the bypass itself, before anything is sent."""
    ends = f"it ends by itself at {bypass.ends_at:%H:%M} UTC"
    text = f"🔓 An emergency bypass of {bypass.configuration} begins; {ends}"
    data = {"configuration": bypass.configuration, "deed": "begun", "ends_at": bypass.ends_at.isoformat()}
    return Entry(f"bypass-{_since(bypass.begun_at)}-begun", EventKind.NOTE, text, data)


def not_taken_entry(bypass: Bypass, why: str) -> Entry:
    """Keeptrusts refused it, so there is nothing to end."""
    text = f"The emergency bypass of {bypass.configuration} was not taken: {why}"
    data = {"configuration": bypass.configuration, "deed": "not_taken"}
    return Entry(f"bypass-{_since(bypass.begun_at)}-not-taken", EventKind.NOTE, text, data)


def not_as_put(configuration: str) -> ServiceError:
    """What is read back is another text: a proxy, or somebody at the same moment."""
    words = f"configuration {configuration} was put, and what is read back is something else; look at it"
    return ServiceError("Keeptrusts", Reason.BAD_ANSWER, words, retryable=True)


def _page_key(bypass: Bypass) -> str:
    return f"{OWN_KEY_PREFIX}bypass-{bypass.configuration}-{_since(bypass.begun_at)}"


def _since(at: datetime) -> str:
    return at.strftime("%Y%m%dT%H%M%S%f")
