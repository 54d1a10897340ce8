"""A post-mortem's action items as tickets: one for each, however often it is posted."""

from __future__ import annotations

from collections.abc import Sequence

from agent.config import Config
from agent.domain.outbox import OpenTicket
from agent.domain.tickets import action_item_ticket


def action_item_tickets(
    incident_id: str, title: str, items: Sequence[str], *, config: Config, link: str = ""
) -> list[OpenTicket]:
    """The letters that open them, in order; none where no tracker is configured.

    The n-th item keeps its ticket if its words change: items are numbered from 1, empty ones are left out.
    """
    jira = config.jira
    if jira is None:
        return []
    return [
        OpenTicket(
            key=action_item_ticket(incident_id, number),
            project=jira.project,
            issue_type=jira.issue_types.action_item,
            summary=text,
            heading="Action item of a post-mortem",
            labels=("oncall-agent", "post-mortem", *jira.labels),
            facts=(("Incident", incident_id), ("Title", title), ("Action item", str(number))),
            text=text,
            links=((link, "The post-mortem"),) if link else (),
        )
        for number, text in enumerate(items, start=1)
        if text.strip()
    ]
