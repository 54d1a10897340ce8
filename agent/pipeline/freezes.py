"""The calendar: windows in which a plan waits for a yes, or nothing is changed and a human is paged."""

from __future__ import annotations

from dataclasses import replace

from agent.domain.decisions import EscalationTrigger, Plan, Stopped, Terms
from agent.domain.freeze import Freeze, FreezeMode, FreezeWindow, strictest
from agent.domain.incident import Entry, EventKind
from agent.domain.runbook import Autonomy, Runbook
from agent.pipeline.context import Context
from agent.pipeline.stops import Subject, is_runbook, is_service, subject_of
from agent.pipeline.telling import nth, tell
from agent.pipeline.typed import as_typed


def open_now(context: Context, subject: Subject) -> Freeze | None:
    """The strictest window that is open now and about this service or runbook."""
    about = [window for window in context.config.freezes() if _covers(window, subject)]
    return strictest(about, context.clock.now())


def open_for(context: Context, incident_id: str, runbook: Runbook) -> Freeze | None:
    """The same of an incident that is to run by this runbook; without a calendar nothing has to be read."""
    if not context.config.freeze:
        return None
    return open_now(context, subject_of(context.store.incident(incident_id), runbook))


def _covers(window: FreezeWindow, subject: Subject) -> bool:
    """Either list is enough; with neither the window is about everything."""
    if not window.services and not window.runbooks:
        return True
    return any(is_service(name, subject) for name in window.services) or any(
        is_runbook(name, subject) for name in window.runbooks
    )


def settle(
    context: Context, incident_id: str, runbook: Runbook, plan: Plan, *, terms: Terms, number: int = 1
) -> Terms:
    """The terms as an open window changes them, told in the thread with the plan that does not run now."""
    if terms.autonomy == Autonomy.APPROVE.value:
        terms = replace(terms, passes=FreezeMode.APPROVE.value)
    freeze = open_for(context, incident_id, runbook)
    if freeze is None:
        return terms
    _tell(context, incident_id, freeze, plan, number)
    if freeze.mode is FreezeMode.NOTIFY:
        return replace(terms, frozen=f"{freeze}: the plan is in the thread and nothing is run")
    if terms.autonomy == Autonomy.AUTO.value:
        return replace(terms, autonomy=Autonomy.APPROVE.value, passes=FreezeMode.APPROVE.value)
    return terms


def ended_by(terms: Terms) -> Stopped | None:
    """Why nothing is run at all, if a window says so."""
    return Stopped(terms.frozen, EscalationTrigger.FREEZE) if terms.frozen else None


def _tell(context: Context, incident_id: str, freeze: Freeze, plan: Plan, number: int) -> None:
    if freeze.mode is FreezeMode.APPROVE:
        text = f"🧊 {_upper(freeze)}: nothing runs without a yes"
    else:
        by_hand = "".join(as_typed(step) for step in plan.steps)
        text = f"🧊 {_upper(freeze)}: nothing is run. By hand it would be:{by_hand}"
    data = {"freeze": freeze.name, "mode": freeze.mode.value, "until": freeze.until.isoformat()}
    tell(context, incident_id, Entry(nth("frozen", number), EventKind.FROZEN, text, data))


def _upper(freeze: Freeze) -> str:
    text = str(freeze)
    return text[:1].upper() + text[1:]
