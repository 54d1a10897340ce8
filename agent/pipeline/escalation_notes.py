"""The runbook's `## Escalation`: whose it is, how grave, and what is said first. It goes before the rules."""

from __future__ import annotations

from dataclasses import replace

from agent.domain.alert import Severity
from agent.domain.errors import StoreError
from agent.domain.incident import Incident
from agent.domain.outbox import PageHuman
from agent.domain.runbook import EscalationNotes
from agent.pipeline.context import Context
from agent.pipeline.kept import kept_runbook

#: PagerDuty Events API v2 cuts a longer summary.
_MAX_SUMMARY = 1_024


def escalation_notes(context: Context, incident: Incident) -> EscalationNotes:
    """What the revision that the incident runs by says; nothing if none is settled or its text is lost."""
    if not incident.runbook_revision:
        return EscalationNotes()
    try:
        return kept_runbook(context, incident.runbook_id, incident.runbook_revision).escalation
    except (StoreError, TypeError):  # a human has to be called all the same
        return EscalationNotes()


def with_runbooks_word(page: PageHuman, notes: EscalationNotes) -> PageHuman:
    """The page with the runbook's severity, and its message first."""
    if notes.message:
        page = replace(page, summary=f"{notes.message} | {page.summary}"[:_MAX_SUMMARY])
    return replace(page, severity=Severity(notes.severity)) if notes.severity else page
