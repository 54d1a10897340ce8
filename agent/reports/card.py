"""The root message of a thread: where the incident stands, at one look."""

from __future__ import annotations

from agent.domain.incident import Incident
from agent.domain.stops import Stop, StopScope
from agent.ports import ThreadCard
from agent.reports.summary import titled


def card(incident: Incident, pages_url: str) -> ThreadCard:
    """What the root message says now."""
    alert = incident.alert
    return ThreadCard(
        title=titled(incident),
        status=incident.status.value,
        severity=(alert.severity or alert.urgency or "").strip(),
        service=alert.service,
        runbook=incident.runbook_id,
        progress=f"{incident.steps_done}/{incident.steps_total} steps" if incident.steps_total else "",
        reason=incident.result,
        url=f"{pages_url}/incidents/{incident.id}",
        source_url=alert.url,
    )


def stop_card(stop: Stop, pages_url: str) -> ThreadCard:
    """What the root message of a stop says now: it stands in the channel for as long as it is in force."""
    about = "The agent" if stop.scope is StopScope.ALL else f"The agent, for {stop.what},"
    running = "; what ran was ended" if stop.ends_running else ""
    lifted = "" if stop.is_in_force else f"; resumed by {stop.lifted_by}"
    return ThreadCard(
        title=f"{about} is stopped" if stop.is_in_force else f"{about} was stopped and goes on",
        status="stopped" if stop.is_in_force else "resumed",
        service=stop.name if stop.scope is StopScope.SERVICE else "",
        runbook=stop.name if stop.scope is StopScope.RUNBOOK else "",
        reason=f"By {stop.by}: {stop.reason}{running}{lifted}",
        url=f"{pages_url}/stops",
    )
