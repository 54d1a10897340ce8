"""The clock of the queue: half of an escalation's time is over, or all of it is.

What is due is asked of the store, by absolute times: a restart, however long, loses no deadline. What is told
is posted in the transaction that marks it as told, so nobody is told twice and nobody is forgotten.
"""

from __future__ import annotations

from datetime import datetime

import structlog

from agent.domain.incident import Entry, EventKind
from agent.domain.outbox import Channel, ChatCard, ChatLine, Message
from agent.domain.queue import Escalated
from agent.escalations import claims
from agent.escalations.notices import Occasion, told
from agent.pipeline.queueing import QueueDesk, redacted_entry
from agent.ports import Clock
from agent.reports.summary import duration

log = structlog.get_logger()

#: So many in one look; after a full one at once the next.
_MOST = 100

_EVERY_S, _AT_ONCE_S = 1.0, 0.05


class SlaClock:
    """Warns and reassigns; one process does it for all of them."""

    def __init__(self, desk: QueueDesk, clock: Clock) -> None:
        self._desk = desk
        self._clock = clock

    def tick(self) -> float:
        """Look; gives the seconds before it is worth looking again."""
        now = self._clock.now()
        due = self._desk.store.queue_due(now, _MOST)
        for item in due:
            if now >= item.deadline:
                self._breach(item, now)
            elif item.waits_for_an_answer and item.respond_by is not None and now >= item.respond_by:
                self._unanswered(item, now)
            else:
                self._warn(item, now)
        return _AT_ONCE_S if len(due) == _MOST else _EVERY_S

    def _warn(self, item: Escalated, now: datetime) -> None:
        left = duration((item.deadline - now).total_seconds())
        who = item.assignee or item.target
        text = f"🟠 {item.id}: half of its time is over, {left} left; it is with {who}"
        self._change(item, claims.warn(item, now), Occasion.AMBER, text)

    def _unanswered(self, item: Escalated, now: datetime) -> None:
        text = f"🟠 {item.id}: nobody has begun to look in time; it is for {item.target}"
        log.warning("sla_unanswered", escalation=item.id, rank=item.rank.value, target=item.target)
        self._change(item, claims.unanswered(item, now), Occasion.UNANSWERED, text)

    def _breach(self, item: Escalated, now: datetime) -> None:
        after = claims.breach(item, self._desk.queueing.rule_named(item.rule), now)
        had = f", {item.assignee} had it" if item.assignee else ""
        text = f"🔴 {item.id}: its SLA is breached{had}; it goes to {after.target}"
        log.warning("sla_breached", escalation=item.id, rank=item.rank.value, to=after.target)
        self._change(item, after, Occasion.BREACHED, text)

    def _change(self, item: Escalated, after: Escalated, occasion: Occasion, text: str) -> None:
        after, messages = told(self._desk.queueing, after, occasion)
        data = {
            "escalation": item.id,
            "deed": occasion.value,
            "deadline": item.deadline.isoformat(),
            "from": item.assignee or item.target,
            "to": after.target,
        }
        entry = Entry(f"sla-{occasion}-{item.level}", EventKind.QUEUE, text, data)
        entry = redacted_entry(self._desk, entry)
        shown: list[Message] = []
        if item.incident_id and Channel.CHAT in self._desk.queueing.channels:
            shown = [ChatLine(entry.text), ChatCard()]
        self._desk.store.queue_change(item, after, entry, [*shown, *messages])
