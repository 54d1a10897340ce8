"""A post-mortem's action items as tickets: one for each, however often they are posted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.domain.incident import Entry, EventKind
from agent.domain.outbox import OpenTicket
from agent.domain.postmortem import ActionItem, Postmortem

if TYPE_CHECKING:
    from agent.config import Config
    from agent.ports import IncidentStore

#: Of a ticket's summary; Jira takes no more than 255 characters.
_SUMMARY_CHARS = 250

#: Under which the timeline's entry says which items have a ticket.
_TICKETS = "tickets"


@dataclass(frozen=True, slots=True)
class Posted:
    """The keys of the tickets that are asked for now, and of those that were before."""

    new: tuple[str, ...]
    before: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NotPosted:
    """Nothing was asked for; why, in words."""

    why: str


def post(store: IncidentStore, config: Config, made: Postmortem, *, by: str) -> Posted | NotPosted:
    """Have a ticket opened for each item that has none; told in the timeline in the same transaction."""
    jira = config.jira
    if jira is None:
        return NotPosted("there is no tracker: add `jira` to config.yaml, or copy the action items by hand")
    known = _known(store, made.incident_id)
    items = [each for each in made.actions if each.text not in known.values()]
    numbered = {
        f"postmortem-{made.incident_id}-{number}": each for number, each in enumerate(items, len(known) + 1)
    }
    if not numbered:
        return Posted((), tuple(known))
    messages = [_ticket(config, made, key, each) for key, each in numbered.items()]
    what = "1 action item" if len(items) == 1 else f"{len(items)} action items"
    entry = Entry(
        f"{_TICKETS}-{len(known) + 1}",
        EventKind.NOTE,
        f"🎫 {by} has tickets opened for {what} of the post-mortem",
        {_TICKETS: {key: each.text for key, each in numbered.items()}},
        by,
    )
    if not store.record(made.incident_id, [entry], messages=messages):
        return NotPosted("somebody else posts them at this very moment; look at it again")
    return Posted(tuple(numbered), tuple(known))


def _known(store: IncidentStore, incident_id: str) -> dict[str, str]:
    """The items that have a ticket, under its key."""
    found: dict[str, str] = {}
    for event in store.timeline(incident_id):
        told = event.data.get(_TICKETS)
        if event.key.startswith(f"{_TICKETS}-") and isinstance(told, dict):
            found |= {str(key): str(text) for key, text in told.items()}
    return found


def _ticket(config: Config, made: Postmortem, key: str, item: ActionItem) -> OpenTicket:
    jira = config.jira
    assert jira is not None
    return OpenTicket(
        key=key,
        project=jira.project,
        issue_type=jira.issue_types.action_item,
        summary=item.text[:_SUMMARY_CHARS],
        heading="Action item of a post-mortem",
        priority=jira.priorities.medium,
        labels=("oncall-agent", "post-mortem", *jira.labels),
        facts=(("Incident", f"{made.incident_id}: {made.title}"), ("Why", item.why)),
        links=_links(config, made),
    )


def _links(config: Config, made: Postmortem) -> tuple[tuple[str, str], ...]:
    return ((f"{config.pages_url}/incidents/{made.incident_id}/postmortem", "The post-mortem"),)
