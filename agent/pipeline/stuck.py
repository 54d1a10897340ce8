"""Why an incident does not go on, in words, and what a human should do: the decisions of the watchdog."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

from agent.config import Config
from agent.domain.incident import Status
from agent.domain.stops import Stop
from agent.domain.stuck import Cutoffs, LateAttempt, Standing, Stuck, Why
from agent.pipeline.stops import Subject, covering
from agent.reports.summary import duration

#: Beyond its own time an incident gets this much to end by itself before a human is called.
GRACE = timedelta(minutes=2)

#: A run that was begun this long ago is surely in the engine's books.
_BOOKED = timedelta(seconds=30)

_LOOK = "look at the alert yourself"


@dataclass(frozen=True, slots=True)
class Around:
    """What else goes on: stops in force, and (incident, service) of those at work."""

    stops: Sequence[Stop]
    at_work: Sequence[tuple[str, str]]


def cutoffs(config: Config, now: datetime) -> Cutoffs:
    """How long an incident may stand where it stands, as configured now."""
    own = timedelta(seconds=config.execution.incident_deadline_s)
    answer = timedelta(seconds=config.escalation.approval_timeout_s)
    return Cutoffs(
        accepted=now - own,
        settling=now - own - GRACE,
        waits_until=now - GRACE,
        asked=now - own - answer - GRACE,
        running=now - own - GRACE,
        holds_until=now - own - GRACE,
        held=now - _BOOKED,
    )


def overdue(config: Config, standing: Standing, around: Around, now: datetime) -> Stuck | None:
    """Why it has taken too long, if it has."""
    if standing.started_at is None:
        return _never_started(config, standing, around, now)
    limits, since = cutoffs(config, now), standing.since
    match standing.status:
        case Status.RECEIVED | Status.MATCHED:
            return _too_long(standing, now) if since < limits.settling else None
        case Status.AWAITING_APPROVAL:
            return _unanswered(config, standing, around, now)
        case Status.RUNNING:
            return _too_long(standing, now) if since < limits.running else None
        case Status.VERIFYING:
            until = standing.waits_until
            late = since < limits.asked if until is None else until < limits.holds_until
            return _too_long(standing, now) if late else None
        case Status.RESOLVED | Status.ESCALATED | Status.STOOD_DOWN | Status.IGNORED:
            return None
        case _ as never:
            assert_never(never)


def _never_started(config: Config, standing: Standing, around: Around, now: datetime) -> Stuck | None:
    if standing.received_at >= cutoffs(config, now).accepted:
        return None
    waited = f"it was accepted {_ago(standing.received_at, now)} ago and never started"
    return _held_back(config, standing, around, waited) or Stuck(
        Why.NEVER_STARTED,
        f"{waited}, although nothing holds it back",
        f"{_LOOK}; the agent's log says what its dispatcher is at, and a restart of the agent loses nothing",
    )


def _unanswered(config: Config, standing: Standing, around: Around, now: datetime) -> Stuck | None:
    limits = cutoffs(config, now)
    if standing.waits_until is None:
        return _too_long(standing, now) if standing.since < limits.asked else None
    if standing.waits_until >= limits.waits_until:
        return None
    if standing.wants_turn:
        waited = f"a human has answered and it has waited {_ago(standing.since, now)} for its turn"
        return _held_back(config, standing, around, waited) or Stuck(Why.BACKLOG, waited, _LOOK)
    return Stuck(
        Why.OVERDUE,
        f"the time to answer it ended {_ago(standing.waits_until, now)} ago, and it has not gone on since",
        f"{_LOOK}; an answer given now is not used",
    )


def _held_back(config: Config, standing: Standing, around: Around, waited: str) -> Stuck | None:
    """Whether a human, or others that are at work, keep it from its turn."""
    stop = covering(around.stops, Subject(standing.service))
    if stop is not None:
        to_do = f"{_LOOK}; `oncall-agent resume` lets the agent start incidents again"
        return Stuck(Why.KILL_SWITCH, f"{waited}: the agent is {stop}", to_do)
    same = [incident_id for incident_id, service in around.at_work if service and service == standing.service]
    if same and config.limits.one_at_a_time_per_service:
        words = f"{waited}: {same[0]} of the same service {standing.service} is at work"
        return Stuck(Why.BACKLOG, words, f"{_LOOK}; `oncall-agent show {same[0]}` says what that one is at")
    most = config.limits.concurrent_incidents
    if len(around.at_work) >= most:
        words = f"{waited}: {most} incidents are at work, as many as limits.concurrent_incidents lets"
        return Stuck(Why.BACKLOG, words, f"{_LOOK}; `oncall-agent incidents` says what the others are at")
    return None


def _too_long(standing: Standing, now: datetime) -> Stuck:
    return Stuck(
        Why.OVERDUE,
        f"it has been {standing.status.value} for too long ({_ago(standing.since, now)}) "
        "and does not end by itself",
        f"{_LOOK}; whatever of it still runs is being stopped, and nothing more is started",
    )


def nobody_at_work(how: str) -> Stuck:
    """Its run is over, or was never found again, and it is not."""
    to_do = f"{_LOOK}; the agent's log says how its run ended"
    return Stuck(Why.NOBODY_AT_WORK, f"nobody works on it any more ({how}), and it has not ended", to_do)


def too_many_restarts(times: str) -> Stuck:
    """Whoever worked on it died with it, again and again: it may be what ends them."""
    return Stuck(
        Why.TOO_MANY_RESTARTS,
        f"the agent was interrupted in the middle of it {times} and does not try again",
        f"{_LOOK}; the agent's log, or the kernel's, says what ended it (memory?)",
    )


def other_version() -> Stuck:
    """Its run was begun by a version that is not here any more."""
    return Stuck(
        Why.OTHER_VERSION,
        "another version of the agent began it, which is gone, and this one does not know how to go on",
        f"{_LOOK}; an agent of that version, started on this database, goes on with what it began",
    )


def never_ended(attempt: LateAttempt, now: datetime) -> Stuck:
    """A try of a step of which nobody knows how it ended."""
    step = f"{attempt.section} step {attempt.step} ({attempt.title}), attempt {attempt.number}"
    return Stuck(
        Why.ATTEMPT_NEVER_ENDED,
        f"{step}, should have ended {_ago(attempt.should_have_ended_at, now)} ago, nobody knows how it did",
        f"{_LOOK}; see whether its command still runs: it is not run again",
    )


def _ago(moment: datetime, now: datetime) -> str:
    return duration((now - moment).total_seconds())
