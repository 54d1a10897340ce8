"""What was to be told and has not arrived: said wherever else somebody may read it, and paged for by itself.

A page to a human that is not taken is the worst of it: its incident's thread and its source say so, and the
heartbeat stops, so that whoever listens to it wakes somebody.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from agent.delivery.alarms import Alarm, Alarms
from agent.domain.alert import Severity
from agent.domain.errors import UnknownIncidentError
from agent.domain.incident import Entry, EventKind
from agent.domain.outbox import Channel, ChatSummary, DeskNote
from agent.domain.stuck import LateEvents, LateLetter
from agent.pipeline.context import Context
from agent.pipeline.telling import tell
from agent.ports.stores import LateStore
from agent.reports.summary import duration

log = structlog.get_logger()

#: Longer than a short hiccup of the vendor; a human should be awake by then.
PAGE_LATE_AFTER = timedelta(minutes=2)

#: The thread and the source may be behind for longer: nobody is woken by them.
STORY_LATE_AFTER = timedelta(minutes=30)

#: In a storm a letter waits because others go first; after this time that is no excuse.
NEVER_TRIED_AFTER = timedelta(minutes=10)
STORY_NEVER_TRIED_AFTER = timedelta(hours=4)

#: An event waits for seconds at most, while our own write is under way.
EVENT_LATE_AFTER = timedelta(minutes=2)

_MOST = 20

_WHERE = {
    Channel.CHAT: "Slack",
    Channel.DESK: "PagerDuty's REST API",
    Channel.MAIL: "the mail server",
    Channel.NOTICE: "further channels of Slack",
    Channel.TICKET: "the tracker",
    Channel.KEEPTRUSTS: "Keeptrusts",
    Channel.HOOK: "hooks",
    Channel.HANDOFF: "other agents",
}


class Lateness:
    """One look at what waits."""

    def __init__(self, context: Context, store: LateStore, alarms: Alarms) -> None:
        self._context = context
        self._store = store
        self._alarms = alarms

    def look(self) -> str:
        """Tell what is late; gives what keeps pages from humans, in words, "" if nothing does."""
        now = self._context.clock.now()
        pages = self._store.late_letters(Channel.PAGER, now - PAGE_LATE_AFTER, _MOST)
        for letter in pages:
            if letter.error or now - letter.created_at > NEVER_TRIED_AFTER:
                self._tell_elsewhere(letter, now)
        words = _late(pages, "page(s) to humans are", now)
        self._alarms.settle("pages", _alarm_of_pages(words) if pages else None)
        behind = self._store.late_channels(now - STORY_LATE_AFTER)
        for channel, where in _WHERE.items():
            self._look_at_story(channel, where, now, is_behind=channel in behind)
        events = self._store.late_events(now - EVENT_LATE_AFTER)
        self._alarms.settle("events", _alarm_of_events(events, now) if events is not None else None)
        return words if pages else ""

    def _tell_elsewhere(self, letter: LateLetter, now: datetime) -> None:
        """In the thread, shown in the channel, and at the source: once for each page."""
        try:
            incident = self._context.store.incident(letter.incident_id)
        except UnknownIncidentError:
            return
        text = (
            f"📟 ⚠️ A page to a human has not been delivered for {_ago(letter.created_at, now)} "
            f"({letter.error or 'it was not tried yet'}). Whoever reads this: wake who is on call"
        )
        told = tell(
            self._context,
            incident.id,
            Entry(f"page-late-{letter.id}", EventKind.DELIVERY, text, {"letter": letter.id}),
            messages=(ChatSummary(text), DeskNote(incident.alert.source_id, text)),
        )
        if told:
            log.error("page_late", incident_id=incident.id, letter=letter.id, error=letter.error)

    def _look_at_story(self, channel: Channel, where: str, now: datetime, *, is_behind: bool) -> None:
        found = self._store.late_letters(channel, now - STORY_LATE_AFTER, _MOST) if is_behind else ()
        # without an error it may be one of many that are being told just now, after a long silence
        late = [each for each in found if each.error or now - each.created_at > STORY_NEVER_TRIED_AFTER]
        self._alarms.settle(f"{channel}-late", _alarm_of_story(late, where, now) if late else None)


def _late(letters: Sequence[LateLetter], what: str, now: datetime) -> str:
    if not letters:
        return ""
    count = f"{len(letters)}" if len(letters) < _MOST else f"at least {_MOST}"
    error = next((letter.error for letter in letters if letter.error), "they were not tried")
    return f"{count} {what} not delivered, the oldest for {_ago(letters[0].created_at, now)}: {error}"


def _alarm_of_pages(words: str) -> Alarm:
    return Alarm(
        f"oncall-agent: {words}",
        "wake who is on call; `oncall-agent doctor` says what is wrong with the way to PagerDuty",
        Severity.CRITICAL,
    )


def _alarm_of_story(late: Sequence[LateLetter], where: str, now: datetime) -> Alarm:
    return Alarm(
        f"oncall-agent: {_late(late, f'message(s) to {where} are', now)}",
        f"incidents are worked on all the same; `oncall-agent doctor` says what is wrong with {where}",
        Severity.WARNING,
    )


def _alarm_of_events(events: LateEvents, now: datetime) -> Alarm:
    return Alarm(
        f"oncall-agent: {events.count} event(s) of people at the source are not looked at, the oldest for "
        f"{_ago(events.oldest_at, now)}",
        "the agent may not notice that somebody took over: `oncall-agent stop` stops it, its log says why",
    )


def _ago(moment: datetime, now: datetime) -> str:
    return duration((now - moment).total_seconds())
