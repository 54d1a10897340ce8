"""The root message of a thread: where the incident stands, at one look."""

from __future__ import annotations

from agent.domain.incident import Incident
from agent.ports import ThreadCard


def card(incident: Incident, public_url: str) -> ThreadCard:
    """What the root message says now."""
    alert = incident.alert
    return ThreadCard(
        title=alert.title,
        status=incident.status.value,
        severity=(alert.severity or alert.urgency or "").strip(),
        service=alert.service,
        runbook=incident.runbook_id,
        progress=f"{incident.steps_done}/{incident.steps_total} steps" if incident.steps_total else "",
        reason=incident.result,
        url=f"{public_url.rstrip('/')}/api/v1/incidents/{incident.id}",
        source_url=alert.url,
    )
