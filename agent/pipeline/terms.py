"""What an incident runs under: settled once for each runbook that it is to run by, and its time."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from agent.domain.alert import Alert, Severity
from agent.domain.decisions import Plan, Terms
from agent.domain.handoffs import HANDOFF_SOURCE
from agent.domain.incident import is_asked
from agent.domain.runbook import Autonomy, Runbook
from agent.pipeline import earned, freezes, incomplete
from agent.pipeline.context import Context


def settled_terms(
    context: Context, incident_id: str, runbook: Runbook, plan: Plan, *, number: int = 1
) -> Terms:
    """As configured, and as the runbook's record and the calendar narrow it. `number` is the plan's."""
    terms = earned.settle(context, incident_id, runbook, terms_of(context, runbook), number=number)
    if is_asked(incident_id) and terms.autonomy == Autonomy.AUTO.value:
        terms = replace(terms, autonomy=Autonomy.APPROVE.value)  # no rule holds that would let it go alone
    terms = incomplete.held_back(context, incident_id, runbook, terms, number=number)
    return freezes.settle(context, incident_id, runbook, plan, terms=terms, number=number)


def terms_of(context: Context, runbook: Runbook) -> Terms:
    """What the incident will run under, as configured now."""
    config = context.config
    return Terms(
        autonomy=runbook.autonomy_or(config.runbooks.default_autonomy).value,
        max_attempts=config.execution.max_attempts,
        retry_delay_s=config.execution.retry_delay_s,
        approval_timeout_s=config.escalation.approval_timeout_s,
    )


def deadline_of(context: Context, alert: Alert, runbook: Runbook) -> datetime:
    """Until when steps may run: the shortest of the configured and the runbook's own time.

    Of what another agent handed over, no later than that agent waits: then its human has it.
    """
    config = context.config
    limits = [config.execution.incident_deadline_s]
    if runbook.blast_radius.max_duration_s is not None:
        limits.append(runbook.blast_radius.max_duration_s)
    if alert.severity is Severity.CRITICAL:
        limits.append(config.escalation.critical_downtime_s)
    deadline = context.clock.now() + timedelta(seconds=min(limits))
    handed = context.store.handed_in(alert.source_id) if alert.source == HANDOFF_SOURCE else None
    return deadline if handed is None else min(deadline, handed.deadline)
