"""The runs of incidents: who carries out which leg, what its steps returned, what it waits for.

A row of `runs` stands for an incident that was started and has not ended. Every change of hands raises the
number of its leg, so a process that lost a run writes nothing more for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from agent.adapters.database import Database, stamp
from agent.adapters.prepared import Prepared, insert_once
from agent.adapters.store_schema import incidents, run_steps, run_wakes, runs
from agent.domain.runs import Leg, Lost, Memory, Whereabouts
from agent.ports import Clock

#: What is due beyond these is begun in the next round.
_AT_ONCE = 32

#: A run that has lost so many processes may be what ended them: a human looks at it instead.
MOST_TAKEOVERS = 20


class StoredRuns:
    """What a run asks of the store, and who carries it out."""

    database: Database
    clock: Clock

    def begin_run(self, incident_id: str, executor_id: str) -> Leg | None:
        """Start an incident out of turn; None if it was started before."""
        with self.database.writing() as connection:
            if not put_first_leg(connection, incident_id, executor_id):
                return None
            _STARTED.run(connection, {"id_": incident_id, "now_": stamp(self.clock.now())})
        return Leg(incident_id)

    def memory_of(self, leg: Leg, executor_id: str) -> Memory | None:
        """What the leg goes on with; None if it is over: parked, ended, or somebody else's."""
        with self.database.reading() as connection:
            rows = _MEMORY.all(connection, {"id_": leg.incident_id})
        if not rows or (rows[0].leg, rows[0].executor_id, rows[0].topic) != (leg.number, executor_id, ""):
            return None
        return Memory({row.name: row.value for row in rows if row.name is not None})

    def remember(
        self, connection: sa.Connection, leg: Leg, executor_id: str, steps: Mapping[str, str]
    ) -> None:
        """Write down what steps returned, within the caller's transaction; of what has ended, nothing."""
        run = _ROW.first(connection, {"id_": leg.incident_id})
        if run is None:
            return
        if (run.leg, run.executor_id, run.topic) != (leg.number, executor_id, ""):
            raise Lost(leg.id)
        _write(connection, leg, steps)

    def park(self, leg: Leg, topic: str, *, until: datetime, woken: Mapping[str, str]) -> bool | None:
        """None: parked, until it is woken or its time is over. True: it was woken before. False: too late.

        A wake-up is taken, and `woken` remembered in its place, in one transaction: none is lost.
        """
        with self.database.writing() as connection:
            if take_wake(connection, leg, topic, woken):
                return True
            if until <= self.clock.now():
                return False
            put_to_rest(connection, leg, topic, until=stamp(until))
            return None

    def wake(self, incident_id: str, topic: str) -> None:
        """Let what waits on the topic, now or later, look again; nothing if it is not under way."""
        with self.database.writing() as connection:
            _WAKE.run(connection, {"id_": incident_id, "topic_": topic})

    def begin_due(self, executor_id: str) -> Sequence[Leg]:
        """The next legs of runs that were woken or whose time is over: ours, once it returns."""
        values = {"now_": stamp(self.clock.now()), "most_": _AT_ONCE}
        with self.database.reading() as connection:
            due = [Leg(row.incident_id, row.leg) for row in _DUE.all(connection, values)]
        if not due:
            return []
        with self.database.writing() as connection:
            return [leg.next for leg in due if put_next_leg(connection, leg, executor_id, has_turn=False)]

    def whereabouts(self, incident_id: str) -> Whereabouts | None:
        """Where the incident's run is; None if it is not under way."""
        with self.database.reading() as connection:
            row = _ROW.first(connection, {"id_": incident_id})
        return None if row is None else Whereabouts(Leg(incident_id, row.leg), row.topic != "")

    def legs_under_way(self, *executor_ids: str) -> Sequence[Leg]:
        """The legs that are being carried out, by these executors or by any."""
        with self.database.reading() as connection:
            rows = _UNDER_WAY.all(connection, {})
        return [
            Leg(row.incident_id, row.leg)
            for row in rows
            if not executor_ids or row.executor_id in executor_ids
        ]

    def take_over(self, legs: Sequence[Leg], executor_id: str) -> Sequence[Leg]:
        """Carry on here what lost its process; what somebody else took before is left out."""
        if not legs:
            return []
        with self.database.writing() as connection:
            return [
                leg.next
                for leg in legs
                if _TAKE_OVER.first(connection, _of(leg) | {"executor_": executor_id}) is not None
            ]

    def sweep_runs(self) -> None:
        """Forget the steps of incidents that have ended."""
        with self.database.writing() as connection:
            for sweep in _SWEEPS:
                sweep.run(connection, {})


def put_first_leg(connection: sa.Connection, incident_id: str, executor_id: str) -> bool:
    """A run begins, at its incident's turn; False if it was begun before."""
    row = {"incident_id": incident_id, "leg": 1, "executor_id": executor_id, "active": True}
    return _FIRST.first(connection, row) is not None


def put_next_leg(connection: sa.Connection, leg: Leg, executor_id: str, *, has_turn: bool) -> bool:
    """Whether the leg that follows a parked one is ours now."""
    values = _of(leg) | {"executor_": executor_id, "active_": has_turn}
    return _NEXT.first(connection, values) is not None


def put_to_rest(
    connection: sa.Connection, leg: Leg, topic: str, *, until: str | None, wants_turn: bool = False
) -> None:
    """Nobody carries the run out until it is woken, its time is over, or it is its turn."""
    values = {"topic_": topic, "until_": until, "wants_turn_": wants_turn}
    if _PARK.first(connection, _of(leg) | values) is None:
        raise Lost(leg.id)


def take_wake(connection: sa.Connection, leg: Leg, topic: str, woken: Mapping[str, str]) -> bool:
    """Whether it was woken on the topic; remembered if so."""
    taken = _TAKE_WAKE.first(connection, {"id_": leg.incident_id, "topic_": topic}) is not None
    if taken:
        _write(connection, leg, woken)
    return taken


def end_run(connection: sa.Connection, incident_id: str) -> None:
    """The incident has ended, within the caller's transaction: nobody carries it out any more."""
    _END.run(connection, {"id_": incident_id})


def _write(connection: sa.Connection, leg: Leg, steps: Mapping[str, str]) -> None:
    _REMEMBER.run_many(
        connection,
        [{"incident_id": leg.incident_id, "name": name, "value": value} for name, value in steps.items()],
    )


def _of(leg: Leg) -> dict[str, Any]:
    return {"id_": leg.incident_id, "leg_": leg.number}


def _text(name: str) -> sa.BindParameter[str]:
    return sa.bindparam(name, type_=sa.Text)


_IS_IT = runs.c.incident_id == _text("id_")
_IS_LEG = sa.and_(_IS_IT, runs.c.leg == sa.bindparam("leg_"))
_IS_PARKED = runs.c.topic != ""
_GIVEN = runs.c.incident_id

_FIRST = insert_once(runs)

_ROW = Prepared(sa.select(runs.c.leg, runs.c.executor_id, runs.c.topic).where(_IS_IT))

_UNDER_WAY = Prepared(sa.select(runs.c.incident_id, runs.c.leg, runs.c.executor_id).where(runs.c.topic == ""))

_STARTED = Prepared(incidents.update().where(incidents.c.id == _text("id_")).values(started_at=_text("now_")))

_MEMORY = Prepared(
    sa.select(runs.c.leg, runs.c.executor_id, runs.c.topic, run_steps.c.name, run_steps.c.value)
    .select_from(runs.outerjoin(run_steps, run_steps.c.incident_id == runs.c.incident_id))
    .where(_IS_IT)
)

#: Written again after a doubtful commit, the first word counts.
_REMEMBER = Prepared(
    sqlite.insert(run_steps).on_conflict_do_nothing(),
    on_postgresql=postgresql.insert(run_steps).on_conflict_do_nothing(),
)

_PARK = Prepared(
    runs.update()
    .where(_IS_LEG, runs.c.topic == "")
    .values(
        topic=_text("topic_"),
        until=_text("until_"),
        wants_turn=sa.bindparam("wants_turn_", type_=sa.Boolean),
        active=False,
        executor_id="",
    )
    .returning(_GIVEN)
)

_NEXT = Prepared(
    runs.update()
    .where(_IS_LEG, _IS_PARKED)
    .values(
        leg=runs.c.leg + 1,
        executor_id=_text("executor_"),
        active=sa.bindparam("active_", type_=sa.Boolean),
        topic="",
        until=None,
        wants_turn=False,
    )
    .returning(_GIVEN)
)

_TAKE_OVER = Prepared(
    runs.update()
    .where(_IS_LEG, runs.c.topic == "", runs.c.takeovers < MOST_TAKEOVERS)
    .values(leg=runs.c.leg + 1, executor_id=_text("executor_"), takeovers=runs.c.takeovers + 1)
    .returning(_GIVEN)
)

_TAKE_WAKE = Prepared(
    run_wakes.delete()
    .where(run_wakes.c.incident_id == _text("id_"), run_wakes.c.topic == _text("topic_"))
    .returning(run_wakes.c.incident_id)
)

_WAKING = ("incident_id", "topic"), sa.select(_GIVEN, sa.cast(_text("topic_"), sa.Text)).where(_IS_IT)
_WAKE = Prepared(
    sqlite.insert(run_wakes).from_select(*_WAKING).on_conflict_do_nothing(),
    on_postgresql=postgresql.insert(run_wakes).from_select(*_WAKING).on_conflict_do_nothing(),
)

_OVERDUE = sa.select(_GIVEN, runs.c.leg).where(_IS_PARKED, runs.c.until <= _text("now_"))
_WOKEN = (
    sa.select(_GIVEN, runs.c.leg)
    .join(run_wakes, run_wakes.c.incident_id == runs.c.incident_id)
    .where(runs.c.topic == run_wakes.c.topic)
)
_DUE = Prepared(sa.union(_OVERDUE, _WOKEN).limit(sa.bindparam("most_", type_=sa.Integer)))

#: Whether anything is due at all.
IS_DUE = sa.or_(_OVERDUE.exists(), _WOKEN.exists())

_END = Prepared(runs.delete().where(_IS_IT))

_SWEEPS = [
    Prepared(table.delete().where(table.c.incident_id.not_in(sa.select(_GIVEN))))
    for table in (run_steps, run_wakes)
]
