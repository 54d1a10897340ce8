"""Pages on whatever is stuck: accepted and not finished, without anybody at work on it or past its time."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog

from agent.adapters.store import Store
from agent.domain.decisions import EscalationTrigger, Stopped
from agent.domain.errors import AgentError
from agent.domain.incident import EventKind, Incident, Status
from agent.durable import Durable, RunState
from agent.library import Parsed, parse
from agent.pipeline import closing
from agent.pipeline.context import Context

log = structlog.get_logger()

#: Beyond its own time an incident gets this much to close itself before a human is called.
_GRACE = timedelta(minutes=2)


class Watchdog:
    """One look over everything unfinished."""

    def __init__(self, context: Context, store: Store, durable: Durable) -> None:
        self._context = context
        self._store = store
        self._durable = durable

    def tick(self) -> float:
        """Look; gives the seconds before it is worth looking again."""
        for incident in self._store.unfinished():
            try:
                self._look_at(incident)
            except AgentError as error:  # one that cannot be looked at hides none of the others
                log.error("watchdog_failed", incident_id=incident.id, error=str(error))  # noqa: TRY400
        return 5.0

    def _look_at(self, incident: Incident) -> None:
        reason = self._what_is_wrong(incident)
        if reason and not self._store.incident(incident.id).status.is_terminal:
            log.error("incident_stuck", incident_id=incident.id, reason=reason)
            closing.escalate(self._context, incident.id, Stopped(reason, EscalationTrigger.STUCK))

    def _what_is_wrong(self, incident: Incident) -> str:
        now = self._context.clock.now()
        if incident.started_at is None:
            return self._waits_too_long(incident, now)
        state = self._durable.state(incident.id)
        if state is RunState.UNKNOWN:
            self._durable.start(incident.id)
            return ""
        if state in (RunState.DEAD, RunState.DONE):
            return f"nobody works on it any more ({state}), and it has not ended"
        return self._runs_too_long(incident, now)

    def _was_asked_to_choose(self, incident: Incident) -> bool:
        """Whether it waited for a human to choose a runbook, before anything else."""
        return any(event.kind is EventKind.AMBIGUOUS for event in self._store.timeline(incident.id))

    def _hold_s(self, incident: Incident) -> float:
        """How long the runbook's Verify section must hold."""
        path, text = self._store.revision_text(incident.runbook_revision)
        parsed = parse(text, path=path)
        if not isinstance(parsed, Parsed) or parsed.runbook.verification is None:
            return 0.0
        return parsed.runbook.verification.hold_for_s

    def _waits_too_long(self, incident: Incident, now: datetime) -> str:
        limit = timedelta(seconds=self._context.config.execution.incident_deadline_s)
        if now - incident.received_at > limit:
            return f"it has waited for its turn for more than {limit.total_seconds():g} s"
        return ""

    def _runs_too_long(self, incident: Incident, now: datetime) -> str:
        config = self._context.config
        seconds = config.execution.incident_deadline_s
        if incident.autonomy == "approve":
            seconds += config.escalation.approval_timeout_s
        if incident.status is Status.VERIFYING:
            seconds += self._hold_s(incident)
        if incident.started_at is None:
            return ""
        over = now - incident.started_at - timedelta(seconds=seconds) - _GRACE
        if over > timedelta(0) and self._was_asked_to_choose(incident):
            over -= timedelta(seconds=config.escalation.approval_timeout_s)
        if over > timedelta(0):
            return f"it has been {incident.status} for too long and does not end by itself"
        return ""
