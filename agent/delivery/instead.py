"""A page where a way that a rule chose takes nothing: nobody else might know of the escalation."""

from __future__ import annotations

from dataclasses import replace

from agent.domain.incident import Entry
from agent.domain.outbox import Letter
from agent.escalations.notices import paged_instead
from agent.escalations.settings import queueing_of
from agent.pipeline.context import Context
from agent.pipeline.telling import redacted, tell

#: Somebody may be changing the escalation at the same moment.
_TRIES = 5


def tell_or_page(context: Context, letter: Letter, entry: Entry, why: str) -> None:
    """Tell that the letter will not arrive, and page a human if none was paged for its escalation."""
    queueing = replace(queueing_of(context.config), channels=context.channels)
    for _ in range(_TRIES):
        item = context.store.queue_item(letter.incident_id)
        instead = None if item is None else paged_instead(queueing, item, why)
        if item is None or instead is None:
            break
        after, page = instead
        if context.store.queue_change(item, after, redacted(context, entry), [page]):
            return
    tell(context, letter.incident_id, entry)
