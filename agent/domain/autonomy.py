"""How far a runbook has earned to go alone: what gives it that, and what takes it away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import assert_never

from agent.domain.runbook import Autonomy

#: So many of the last outcomes are kept as evidence.
KEPT = 20


class Ran(StrEnum):
    """What one incident says about its runbook."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    RECURRED = "recurred"
    REJECTED = "rejected"
    BY_HAND = "resolved by a human"

    @property
    def is_against_it(self) -> bool:
        """Whether it ends the row of successes."""
        return self in (Ran.FAILED, Ran.RECURRED, Ran.REJECTED)


@dataclass(frozen=True, slots=True)
class Evidence:
    """One outcome, with the incident that it was."""

    incident_id: str
    ran: Ran
    at: datetime
    why: str = ""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the file and the configuration say of a runbook now.

    `effects` is a hash over what the file lets happen; `start` is how far it goes without any record, `bound`
    how far it may be promoted at most, `default` where what has changed begins again.
    """

    effects: str
    start: Autonomy
    bound: Autonomy
    default: Autonomy


@dataclass(frozen=True, slots=True)
class Standing:
    """A runbook's record. `level` is what it earned or lost; None: it goes as far as its file says.

    `effects` is what the record is about: a changed file has none. `in_a_row` counts runs that resolved their
    incident since the last one that did not.
    """

    runbook_id: str
    effects: str
    since: datetime
    level: Autonomy | None = None
    by: str = ""
    why: str = ""
    in_a_row: int = 0
    proposed: Autonomy | None = None
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class RunEnded:
    """An incident ended in a way that says something about its runbook.

    `demotes`: as configured; `demotes_stated`: also what was never earned here, but stated by the file.
    """

    runbook_id: str
    bounds: Bounds
    incident_id: str
    ran: Ran
    why: str = ""
    promote_after: int = 5
    demotes: bool = True
    demotes_stated: bool = False
    in_chat: bool = False


@dataclass(frozen=True, slots=True)
class FileChanged:
    """Its commands, effects or limits are not those that the record is about."""

    runbook_id: str
    bounds: Bounds
    demotes: bool = True
    in_chat: bool = False


@dataclass(frozen=True, slots=True)
class LevelGiven:
    """A human promotes or demotes it."""

    runbook_id: str
    bounds: Bounds
    level: Autonomy
    by: str
    why: str


@dataclass(frozen=True, slots=True)
class News:
    """What is to be told of it."""

    text: str
    data: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class After:
    """The record as it is now, and what is told; no news where nothing changes for anybody."""

    standing: Standing
    news: News | None = None


AutonomyEvent = RunEnded | FileChanged | LevelGiven


def least(*levels: Autonomy) -> Autonomy:
    """The one that goes least far alone."""
    return min(levels, key=tuple(Autonomy).index)


def level_of(standing: Standing | None, bounds: Bounds) -> Autonomy:
    """How far it goes now: never beyond its file."""
    if standing is None or standing.level is None or standing.effects != bounds.effects:
        return bounds.start
    return least(standing.level, bounds.bound)


def after(standing: Standing | None, event: AutonomyEvent, now: datetime) -> After:
    """What becomes of the record."""
    known = standing or Standing(event.runbook_id, event.bounds.effects, now)
    match event:
        case RunEnded():
            return _after_run(known, event, now)
        case FileChanged():
            return _after_change(known, event, now)
        case LevelGiven():
            moved = replace(
                known, effects=event.bounds.effects, since=now, level=event.level, by=event.by, why=event.why,
                in_a_row=0, proposed=None,
            )  # fmt: skip
            verb = "may go as far as" if level_of(standing, event.bounds) is not event.level else "stays at"
            text = f"🎚️ {event.runbook_id} {verb} {event.level}, by {event.by}: {event.why}"
            return After(moved, _news(moved, text))
        case _ as never:
            assert_never(never)


def _after_run(known: Standing, event: RunEnded, now: datetime) -> After:
    """A run of a file that has changed meanwhile says nothing about the new one."""
    if known.effects != event.bounds.effects:
        return After(known)
    one = Evidence(event.incident_id, event.ran, now, event.why)
    kept = replace(known, evidence=(one, *known.evidence)[:KEPT])
    if event.ran.is_against_it:
        return _after_failure(kept, event, now)
    if event.ran is Ran.BY_HAND:
        return After(kept)
    counted = replace(kept, in_a_row=kept.in_a_row + 1)
    is_next = level_of(known, event.bounds) is Autonomy.APPROVE and event.bounds.bound is Autonomy.AUTO
    if not is_next or known.proposed is not None or counted.in_a_row < event.promote_after:
        return After(counted)
    proposed = replace(counted, proposed=Autonomy.AUTO)
    text = (
        f"⬆️ {event.runbook_id} resolved its last {counted.in_a_row} incidents in a row: it is proposed that "
        f"it runs alone. An approver says so: `oncall-agent autonomy promote {event.runbook_id} --reason …`"
    )
    return After(proposed, _news(proposed, text))


def _after_failure(kept: Standing, event: RunEnded, now: datetime) -> After:
    lost = replace(kept, in_a_row=0, proposed=None)
    has_it_to_lose = kept.level is not None or event.demotes_stated
    runs_alone = level_of(kept, event.bounds) is Autonomy.AUTO
    if runs_alone and has_it_to_lose and event.demotes and event.ran is not Ran.REJECTED:
        down = replace(lost, level=Autonomy.APPROVE, since=now, by="agent", why=event.why)
        text = f"⬇️ {event.runbook_id} runs alone no more, it needs an approval from now on: {event.why}"
        return After(down, _news(down, text))
    if kept.proposed is None:
        return After(lost)
    text = f"⬇️ It is no longer proposed that {event.runbook_id} runs alone: {event.why}"
    return After(lost, _news(lost, text))


def _after_change(known: Standing, event: FileChanged, now: datetime) -> After:
    """It begins again: where the default is, if its file and its record do not hold it lower."""
    bounds = event.bounds
    before = least(known.level or bounds.start, bounds.bound)
    then = least(before, bounds.default) if event.demotes else before
    why = "its commands, effects or limits have changed"
    fresh = Standing(
        event.runbook_id, bounds.effects, now, None if then is bounds.start else then, "agent", why
    )
    if then is before:
        return After(fresh)
    text = f"⬇️ {event.runbook_id} begins again at {then}, it was at {before}: {why}"
    return After(fresh, _news(fresh, text))


def _news(standing: Standing, text: str) -> News:
    level = standing.level.value if standing.level is not None else None
    proposed = standing.proposed.value if standing.proposed is not None else None
    data = {
        "runbook": standing.runbook_id,
        "level": level,
        "proposed": proposed,
        "in_a_row": standing.in_a_row,
    }
    return News(text, data)
