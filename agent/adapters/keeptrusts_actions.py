"""Carries out the typed actions on Keeptrusts.

What changes a configuration is read strictly before it is sent and read back after: an answer of 200 says
that it was taken, not that it is what was meant. A bypass is written down, with its end, before it is sent.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from agent.adapters.keeptrusts_gateways import KeeptrustsGateways
from agent.adapters.live_job import Handler, Job, OutcomeUnknownError
from agent.domain.bypasses import Bypass
from agent.domain.command import Refusal
from agent.domain.errors import Reason, ServiceError
from agent.pipeline.bypass_clock import BypassClock, begun_entry, not_as_put, not_taken_entry
from agent.ports import CommandResult
from agent.ports.bypasses import BypassBook
from agent.safety import keeptrusts_policy as policy

#: As published: over 20 that wait is a warning, over 50 is critical.
WARNING_OVER, CRITICAL_OVER = 20, 50
_MOST_NAMED = 10
#: Answers that say for sure that nothing was changed.
_NOT_TAKEN = frozenset({Reason.AUTH, Reason.NOT_FOUND, Reason.REJECTED, Reason.RATE_LIMITED})


@dataclass(frozen=True, slots=True)
class KeeptrustsActions:
    """Carries out the actions whose names begin with `keeptrusts.`."""

    gateways: KeeptrustsGateways
    book: BypassBook
    ending: BypassClock

    def handlers(self) -> Mapping[str, Handler]:
        """What carries out which action."""
        return {
            "keeptrusts.count_pending_escalations": self._count_pending,
            "keeptrusts.count_blocked_events": self._count_blocked,
            "keeptrusts.gateway_health": self._gateway_health,
            "keeptrusts.provider_status": self._provider_status,
            "keeptrusts.lint_configuration": self._lint,
            "keeptrusts.rollback_configuration": self._roll_back,
            "keeptrusts.apply_bypass": self._apply_bypass,
            "keeptrusts.end_bypass": self._end_bypass,
        }

    def _count_pending(self, job: Job) -> CommandResult:
        total, rows = self.gateways.pending()
        level = "critical" if total > CRITICAL_OVER else "warning" if total > WARNING_OVER else "ok"
        facts: dict[str, object] = {"pending": total, "level": level, "by_policy": _by_policy(rows)}
        if rows:
            # newest first: the last one is the oldest only where all of them came
            facts["oldest" if len(rows) == total else "oldest_shown"] = rows[-1].get("created_at")
        return job.done(**facts)

    def _count_blocked(self, job: Job) -> CommandResult:
        minutes = job.number("minutes")
        total, rows = self.gateways.blocked(job.clock.now() - timedelta(minutes=minutes))
        users = len({row.get("user_id") for row in rows if row.get("user_id")})
        return job.done(blocked=total, minutes=minutes, users=users, by_policy=_by_policy(rows))

    def _gateway_health(self, job: Job) -> CommandResult:
        gateway = job.text("gateway")
        told = self.gateways.health(gateway)
        return job.done(gateway=gateway, status=told.get("status"), uptime_seconds=told.get("uptime_seconds"))

    def _provider_status(self, job: Job) -> CommandResult:
        provider = job.text("provider")
        return job.done(provider=provider, **self.gateways.provider_status(provider))

    def _lint(self, job: Job) -> CommandResult:
        content = self.gateways.version(job.text("configuration"), job.text("version"))
        problems = policy.lint(content)
        if problems:
            return job.failed(f"it must not be applied: {'; '.join(problems[:_MOST_NAMED])}")
        return job.done(valid=True, sha256=_digest(content))

    def _roll_back(self, job: Job) -> CommandResult:
        configuration, version = job.text("configuration"), job.text("version")
        if self.book.bypass_of(configuration) is not None:
            return job.refused(
                f"an emergency bypass of {configuration} is open; end it first: keeptrusts.end_bypass"
            )
        content = self.gateways.version(configuration, version)
        problems = policy.lint(content)
        if problems:
            return job.refused(f"version {version} is not understood: {'; '.join(problems[:_MOST_NAMED])}")
        before = self.gateways.current(configuration)
        if policy.same(before, content):
            return job.done(already=True, version=version, sha256=_digest(content))
        if (ended := job.ended()) is not None:
            return ended
        self._put(job, configuration, content, told={"version": version, "was_sha256": _digest(before)})
        return job.done(version=version, read_back=True)

    def _apply_bypass(self, job: Job) -> CommandResult:
        configuration, named = job.text("configuration"), job.text("policy", "")
        now = job.clock.now()
        ends_at = now + timedelta(minutes=job.number("minutes"))
        incident_id = job.marker.partition("/")[0]
        before = self.gateways.current(configuration)
        during = policy.flagged(before, policy=named, until=ends_at, why=f"incident {incident_id}")
        if isinstance(during, Refusal):
            return job.refused(str(during))
        if (ended := job.ended()) is not None:
            return ended
        bypass = Bypass(configuration, incident_id, before, during, now, ends_at, next_at=ends_at)
        if not self.book.open_bypass(bypass, begun_entry(bypass)):
            return job.refused(f"{configuration} has an emergency bypass already; it ends by itself")
        try:
            self._put(job, configuration, during, told={"bypass_of": named or "every policy"})
        except ServiceError as error:
            if not isinstance(error, OutcomeUnknownError) and error.reason in _NOT_TAKEN:
                self.book.bypass_ended(bypass, not_taken_entry(bypass, str(error)))
            raise
        return job.done(read_back=True, ends_at=ends_at.isoformat())

    def _end_bypass(self, job: Job) -> CommandResult:
        configuration = job.text("configuration")
        bypass = self.book.bypass_of(configuration)
        if bypass is None:
            return job.done(already=True, configuration=configuration)
        words = _changing(job, lambda: self.ending.end(bypass, "ended by a runbook"))
        job.changed.append({"configuration": configuration, "outcome": words})
        return job.done()

    def _put(self, job: Job, configuration: str, content: str, *, told: Mapping[str, object]) -> None:
        """Send it, and see that it is in force; anything else leaves open what is."""
        job.changing(lambda: self.gateways.put(configuration, content))
        job.changed.append(
            {
                "request": f"PUT /v1/configurations/{configuration}",
                "configuration": configuration,
                "sha256": _digest(content),
                **told,
            }
        )
        after = _changing(job, lambda: self.gateways.current(configuration))
        if not policy.same(after, content):
            raise OutcomeUnknownError(not_as_put(configuration))


def _changing(job: Job, call: Callable[[], str]) -> str:
    """A part of a change: when it fails, nobody can say what is in force."""
    job.has_sent = True
    try:
        return call()
    except ServiceError as error:
        raise OutcomeUnknownError(error) from error


def _by_policy(rows: Sequence[Mapping[str, object]]) -> dict[str, int]:
    """The busiest first."""
    counts = Counter(str(row.get("policy_name") or "(no policy named)") for row in rows)
    return dict(counts.most_common(_MOST_NAMED))


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()
