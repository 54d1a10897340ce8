"""When things happened to an incident, and what became of its steps: what all of a post-mortem asks."""

from __future__ import annotations

import hashlib
import json
import shlex
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from agent.domain.decisions import Attempt, AttemptEnd, PlannedStep, Section
from agent.domain.incident import EventKind, Status, TimelineEvent
from agent.domain.postmortem import Case, Tried
from agent.reports.summary import duration

#: A source that says that it fired longer ago than this has a wrong clock, or speaks of another time.
_BELIEVED = timedelta(days=7)

_PLACES = {Section.STEPS: "Step", Section.VERIFY: "Verify step", Section.ROLLBACK: "Rollback step"}

#: How an attempt ended, for people.
_ENDS = {
    AttemptEnd.SUCCEEDED: "succeeded",
    AttemptEnd.FAILED: "failed",
    AttemptEnd.TIMED_OUT: "timed out",
    AttemptEnd.REFUSED: "was refused by a guard",
    AttemptEnd.INTERRUPTED: "was interrupted",
    AttemptEnd.OUT_OF_TIME: "ran out of time",
    AttemptEnd.OUTCOME_UNKNOWN: "ended nobody knows how",
    AttemptEnd.STOPPED: "was stopped",
    AttemptEnd.FROZEN: "was not started: a freeze",
}

#: Lines of output of one attempt; the whole of it is in the evidence export.
_OUTPUT_LINES = 40
_OUTPUT_COLUMNS = 400


class Facts:
    """A case, and what follows from its entries alone."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.incident = case.incident
        self.alert = case.incident.alert
        self.item = case.item
        self._titles = {(each.section, each.index): each for each in self._planned()}

    def _planned(self) -> Iterator[PlannedStep]:
        plan = self.case.plan
        if plan is not None:
            yield from (*plan.steps, *plan.verify, *plan.rollback)

    @property
    def started_at(self) -> datetime:
        """When it began: when the source saw it, else when it came in."""
        fired, received = self.alert.fired_at, self.incident.received_at
        is_believed = fired is not None and timedelta(0) <= received - fired <= _BELIEVED
        return fired if fired is not None and is_believed else received

    @property
    def ended_at(self) -> datetime | None:
        """When it was over for whoever had it last; None while it goes on."""
        if self.item is None:
            return self.incident.ended_at
        if self.item.resolution is not None:
            return self.item.resolution.at
        closed = self.last(EventKind.QUEUE, deed="closed at its source")
        return closed.at if closed is not None else None

    @property
    def took(self) -> str:
        """How long all of it was."""
        if self.ended_at is None:
            return "not over yet"
        return duration((self.ended_at - self.started_at).total_seconds())

    @property
    def worked_at(self) -> datetime | None:
        """When the first step began."""
        first = self.first(EventKind.STEP_STARTED)
        return first.at if first is not None else None

    @property
    def is_resolved(self) -> bool:
        """Whether the agent ended it alone."""
        return self.incident.status is Status.RESOLVED

    @property
    def service(self) -> str:
        """Where it was."""
        return self.alert.service or "a service that the alert does not name"

    @property
    def severity(self) -> str:
        """How bad the alert said it was."""
        if self.alert.priority:
            return self.alert.priority
        if self.alert.severity is not None:
            return self.alert.severity.value
        return f"urgency {self.alert.urgency.value}" if self.alert.urgency is not None else "not said"

    @property
    def runbook(self) -> str:
        """The runbook by the name that people know it by."""
        return self.incident.runbook_id

    def all(self, *kinds: EventKind) -> list[TimelineEvent]:
        """The entries of these kinds, in order."""
        return [event for event in self.case.timeline if event.kind in kinds]

    def first(self, *kinds: EventKind) -> TimelineEvent | None:
        """The first of them."""
        return next(iter(self.all(*kinds)), None)

    def last(self, *kinds: EventKind, deed: str = "") -> TimelineEvent | None:
        """The last of them; of the queue, the last with this deed."""
        found = [event for event in self.all(*kinds) if not deed or event.data.get("deed") == deed]
        return found[-1] if found else None

    def title_of(self, section: Section, step: int) -> str:
        """What the plan calls a step."""
        planned = self._titles.get((section, step))
        return planned.title if planned is not None else ""

    def named(self, attempt: Attempt) -> str:
        """A step by its place and title."""
        title = self.title_of(attempt.section, attempt.step)
        place = f"{_PLACES[attempt.section]} {attempt.step}"
        return f"{place} “{title}”" if title and title != place else place

    @property
    def not_good(self) -> Sequence[Attempt]:
        """The attempts that did not succeed."""
        return [each for each in self.case.attempts if each.end is not AttemptEnd.SUCCEEDED]

    def tried(self) -> Iterator[Tried]:
        """Every attempt with its output."""
        for attempt in self.case.attempts:
            planned = self._titles.get((attempt.section, attempt.step))
            is_good = attempt.end is AttemptEnd.SUCCEEDED
            yield Tried(
                place=f"{_PLACES[attempt.section]} {attempt.step}",
                title=self.title_of(attempt.section, attempt.step),
                number=attempt.number,
                ended=_ENDS[attempt.end],
                is_good=is_good,
                why="" if is_good else attempt.reason,
                command=command_of(planned) if planned is not None else "",
                exit_code=attempt.exit_code,
                duration_s=attempt.duration_s,
                output=_shortened(_both(attempt)),
                sha256=fingerprint(attempt),
            )


def gap(since: datetime, until: datetime) -> str:
    """How long it was from one to the other, as a sentence says it."""
    seconds = (until - since).total_seconds()
    return "less than a second" if seconds < 1 else duration(seconds)


def fingerprint(attempt: Attempt) -> str:
    """The SHA-256 of an attempt's output as it is kept; of both streams, each behind its length."""
    kept = json.dumps([attempt.output, attempt.error_output], ensure_ascii=True)
    return hashlib.sha256(kept.encode()).hexdigest()


def command_of(planned: PlannedStep) -> str:
    """What the step ran, a command a line."""
    is_action = planned.action is not None
    return "\n".join(" ".join(each.argv) if is_action else shlex.join(each.argv) for each in planned.commands)


def without_sign(text: str) -> str:
    """A line of the thread without the sign in front of it: what is signed has none."""
    for place, char in enumerate(text):
        if not char.isspace() and unicodedata.category(char) not in ("So", "Sk", "Mn", "Cf"):
            return text[place:]
    return ""


def _both(attempt: Attempt) -> str:
    return "\n".join(part for part in (attempt.output.rstrip(), attempt.error_output.rstrip()) if part)


def _shortened(text: str) -> str:
    lines = [line[:_OUTPUT_COLUMNS] for line in text.splitlines()]
    if len(lines) > _OUTPUT_LINES:
        half = _OUTPUT_LINES // 2
        lines = [*lines[:half], f"… {len(lines) - 2 * half} lines left out …", *lines[-half:]]
    return "\n".join(lines)
