"""The journal of attempts and the charges: what makes "never run twice" and "never over the limit" true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from agent.adapters import codec
from agent.adapters.database import Database, stamp
from agent.adapters.store_schema import attempts, charges, incidents
from agent.domain.command import Refusal
from agent.domain.decisions import Attempt, AttemptEnd, Section
from agent.domain.effects import BlastRadius, Effect, EffectClass
from agent.domain.incident import MANUAL_SOURCE
from agent.domain.records import AlreadyEnded, AttemptKey, BeginAttempt, Begun, Unfinished
from agent.ports import Clock


class StoredJournal:
    """Implements the journal half of ports.IncidentStore."""

    database: Database
    clock: Clock

    def look_up_attempt(self, key: AttemptKey, *, read_only: bool) -> AlreadyEnded | Unfinished | None:
        """What the journal knows of an attempt; None if it may begin (again, if it only reads)."""
        with self.database.reading() as connection:
            row = connection.execute(sa.select(attempts).where(*_is(key))).first()
        return None if row is None else _known(row, read_only=read_only)

    def begin_attempt(
        self,
        key: AttemptKey,
        *,
        title: str,
        effects: Sequence[Effect],
        limits: BlastRadius,
        hourly_limits: Mapping[EffectClass, int],
        read_only: bool,
    ) -> BeginAttempt:
        """Charge the budget and write the intent in one transaction, before anything is spawned."""
        with self.database.chaining() as connection:
            row = connection.execute(sa.select(attempts).where(*_is(key))).first()
            if row is not None:
                return _known(row, read_only=read_only) or Begun()
            refusal = self._over_a_limit(connection, key, effects, limits, hourly_limits)
            intent = self._intent(key, title=title, read_only=read_only)
            if refusal is not None:
                connection.execute(attempts.insert().values(**intent | self._refused(key, refusal)))
                return refusal
            self._charge(connection, key, effects)
            connection.execute(attempts.insert().values(**intent))
            return Begun()

    def _intent(self, key: AttemptKey, *, title: str, read_only: bool) -> dict[str, Any]:
        return {
            "incident_id": key.incident_id,
            "section": key.section.value,
            "step": key.step,
            "number": key.number,
            "title": title,
            "read_only": read_only,
            "marker": key.marker,
            "begun_at": stamp(self.clock.now()),
        }

    def _refused(self, key: AttemptKey, refusal: Refusal) -> dict[str, Any]:
        attempt = Attempt(key.section, key.step, key.number, AttemptEnd.REFUSED, str(refusal))
        return {"ended_at": stamp(self.clock.now()), "attempt": codec.dump(attempt)}

    def _over_a_limit(
        self,
        connection: sa.Connection,
        key: AttemptKey,
        effects: Sequence[Effect],
        limits: BlastRadius,
        hourly_limits: Mapping[EffectClass, int],
    ) -> Refusal | None:
        an_hour_ago = stamp(self.clock.now() - timedelta(hours=1))
        for effect_class, asked in _asked(effects).items():
            used = self._used(connection, effect_class, charges.c.incident_id == key.incident_id)
            limit = limits.limit(effect_class)
            if used + asked > limit:
                return _over(effect_class.limit_key, limit, used, asked, "this incident")
            if effect_class not in hourly_limits:
                continue
            hourly = hourly_limits[effect_class]
            used = self._used(connection, effect_class, charges.c.at > an_hour_ago)
            if used + asked > hourly:
                name = f"limits.per_hour.{effect_class.value}s"
                return _over(name, hourly, used, asked, "all incidents of the last hour")
        return None

    def _used(
        self, connection: sa.Connection, effect_class: EffectClass, where: sa.ColumnElement[bool]
    ) -> int:
        query = sa.select(sa.func.coalesce(sa.func.sum(charges.c.count), 0)).where(
            charges.c.effect_class == effect_class.value, where
        )
        return int(connection.execute(query).scalar_one())

    def _charge(self, connection: sa.Connection, key: AttemptKey, effects: Sequence[Effect]) -> None:
        rows = [
            {
                "incident_id": key.incident_id,
                "marker": key.marker,
                "effect_class": effect.effect_class.value,
                "target": effect.target,
                "count": effect.count,
                "at": stamp(self.clock.now()),
            }
            for effect in effects
            if effect.effect_class is not EffectClass.READ
        ]
        if rows:
            connection.execute(charges.insert(), rows)

    def end_attempt(self, key: AttemptKey, attempt: Attempt) -> None:
        """Write down how an attempt ended; the first word counts."""
        with self.database.writing() as connection:
            connection.execute(
                attempts.update()
                .where(*_is(key), attempts.c.ended_at.is_(None))
                .values(ended_at=stamp(self.clock.now()), attempt=codec.dump(attempt))
            )

    def attempts(self, incident_id: str) -> Sequence[Attempt]:
        """The journal of an incident, oldest first; unfinished ones have end OUTCOME_UNKNOWN."""
        query = sa.select(attempts).where(attempts.c.incident_id == incident_id).order_by(attempts.c.begun_at)
        with self.database.reading() as connection:
            return [_attempt(row) for row in connection.execute(query)]

    def unfinished_markers(self) -> Sequence[str]:
        """Markers of the daemon's unfinished attempts; a run by hand looks after its own."""
        query = (
            sa.select(attempts.c.marker)
            .join(incidents, incidents.c.id == attempts.c.incident_id)
            .where(attempts.c.ended_at.is_(None), incidents.c.source != MANUAL_SOURCE)
        )
        with self.database.reading() as connection:
            return [row.marker for row in connection.execute(query)]

    def charged(self, incident_id: str) -> Mapping[str, int]:
        """What the incident has used of each effect class."""
        query = (
            sa.select(charges.c.effect_class, sa.func.sum(charges.c.count).label("used"))
            .where(charges.c.incident_id == incident_id)
            .group_by(charges.c.effect_class)
        )
        with self.database.reading() as connection:
            return {row.effect_class: int(row.used) for row in connection.execute(query)}


def _known(row: Any, *, read_only: bool) -> AlreadyEnded | Unfinished | None:
    """What a journal row says; None if the attempt may begin again, because it only reads."""
    if row.ended_at is not None:
        return AlreadyEnded(codec.load(row.attempt, Attempt))
    return None if row.read_only and read_only else Unfinished()


def _asked(effects: Sequence[Effect]) -> dict[EffectClass, int]:
    asked: dict[EffectClass, int] = {}
    for effect in effects:
        if effect.effect_class is not EffectClass.READ:
            asked[effect.effect_class] = asked.get(effect.effect_class, 0) + effect.count
    return asked


def _over(name: str, limit: int, used: int, asked: int, by: str) -> Refusal:
    return Refusal(
        f"{name} is {limit}: {used} used by {by}, this attempt asks for {asked} more",
        "raise the limit in this runbook if the action is safe" if name.startswith("max_") else "",
    )


def _is(key: AttemptKey) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        attempts.c.incident_id == key.incident_id,
        attempts.c.section == key.section.value,
        attempts.c.step == key.step,
        attempts.c.number == key.number,
    )


def _attempt(row: Any) -> Attempt:
    if row.attempt:
        loaded: Attempt = codec.load(row.attempt, Attempt)
        return loaded
    return Attempt(Section(row.section), row.step, row.number, AttemptEnd.OUTCOME_UNKNOWN, "not ended yet")
