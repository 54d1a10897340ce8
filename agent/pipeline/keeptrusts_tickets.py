"""The tickets of Keeptrusts' escalations: what is opened with one, and what is closed with it."""

from __future__ import annotations

from collections.abc import Sequence

from agent.config import Config
from agent.domain.keeptrusts import KeeptrustsEscalation, item_id, page_url
from agent.domain.outbox import CloseTicket, Message, OpenTicket
from agent.domain.queue import Rank
from agent.domain.tickets import escalation_ticket

#: The guide's own; where `keeptrusts` is not configured its tickets lead there.
_CONSOLE = "https://console.keeptrusts.com"

#: The guide's list, word by word.
STEPS = (
    "Open the console link above",
    "Review the event context and conversation history",
    "Determine if the violation is genuine or a false positive",
    "Update this ticket with findings",
    "Resolve the escalation in Keeptrusts",
)

_RANK_OF = {"block": Rank.CRITICAL, "escalate": Rank.HIGH, "redact": Rank.MEDIUM}


def ticket_for(escalation: KeeptrustsEscalation, *, config: Config) -> Sequence[Message]:
    """The letters that open its ticket, posted in the transaction that takes it into the queue."""
    jira = config.jira
    if jira is None or not jira.keeptrusts:
        return ()
    console = config.keeptrusts.console_url if config.keeptrusts is not None else _CONSOLE
    url = page_url(console, escalation.escalation_id)
    action = escalation.action.strip().casefold()
    types = jira.issue_types
    return (
        OpenTicket(
            key=_key(escalation.escalation_id),
            project=jira.project,
            issue_type=types.block if action == "block" else types.other,
            summary=_summary(escalation),
            heading="AI Governance Escalation",
            priority=jira.priorities.of(_RANK_OF.get(action, Rank.LOW)),
            labels=("ai-governance", "keeptrusts", escalation.policy_name, *jira.labels),
            fields={
                "Escalation ID": escalation.escalation_id,
                "Policy Name": escalation.policy_name,
                "Model": escalation.model,
                "Gateway ID": escalation.gateway_id,
                "Console URL": url,
            },
            facts=_facts(escalation),
            steps=STEPS,
            links=((url, "View in Keeptrusts Console"),),
        ),
    )


def ticket_closed(escalation_id: str, resolution: str, note: str, *, config: Config) -> Sequence[Message]:
    """The letters that close its ticket, posted in the transaction that settles it."""
    if config.jira is None:
        return ()
    return (CloseTicket(_key(escalation_id), resolution, note),)


def _key(escalation_id: str) -> str:
    return escalation_ticket(item_id(escalation_id))


def _summary(escalation: KeeptrustsEscalation) -> str:
    """The published listing joins policy and action, which nobody could read."""
    model = f" ({escalation.model})" if escalation.model else ""
    return f"AI Escalation: {escalation.policy_name} — {escalation.action}{model}"


def _facts(escalation: KeeptrustsEscalation) -> tuple[tuple[str, str], ...]:
    return (
        ("Policy", escalation.policy_name),
        ("Action", escalation.action),
        ("Model", escalation.model),
        ("Gateway", escalation.gateway_id),
        ("User", escalation.user_id),
        ("Time", escalation.timestamp),
        ("Escalation ID", escalation.escalation_id),
    )
