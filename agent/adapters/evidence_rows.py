"""What is kept of a window or an incident, row by row in a fixed order, a page at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from agent.adapters import archive_rows
from agent.adapters.database import Database, stamp
from agent.adapters.store_schema import attempts, incidents, timeline
from agent.adapters.store_schema_events import decision_events, policy_evaluations
from agent.adapters.store_schema_queue import escalations
from agent.domain.evidence import EvidenceAsked

#: Rows that are in memory together.
_PAGE = 500

Row = dict[str, Any]

_LINK = ("seq", "at", "incident", "key", "kind", "actor", "text", "data", "prev", "hash")


@dataclass(frozen=True, slots=True)
class Dataset:
    """One kind of rows; every row has these columns, in this order."""

    name: str
    columns: tuple[str, ...]
    rows: Iterator[Row]


def datasets(database: Database, asked: EvidenceAsked, *, last_entry: int) -> Iterator[Dataset]:
    """Everything that is asked for, up to this entry of the audit log."""
    wanted = _Wanted(database, asked, last_entry)
    for name, table, rows in (
        ("incidents", incidents, wanted.incidents()),
        ("attempts", attempts, wanted.attempts()),
        ("escalations", escalations, wanted.escalations()),
    ):
        yield Dataset(name, tuple(column.name for column in table.columns), rows)
    yield Dataset("timeline", _LINK, wanted.timeline())
    columns = (*(column.name for column in decision_events.columns), "policies")
    yield Dataset("decision_events", columns, wanted.decisions())


class _Wanted:
    """The rows of each table that belong to what is asked for."""

    def __init__(self, database: Database, asked: EvidenceAsked, last_entry: int) -> None:
        self._database = database
        self._asked = asked
        self._since, self._until = stamp(asked.since), stamp(asked.until)
        self._last = last_entry
        folded = sa.select(incidents.c.id).where(incidents.c.folded_into == asked.incident)
        self._ids = sa.union_all(sa.select(sa.literal(asked.incident)), folded)

    def incidents(self) -> Iterator[Row]:
        """Those that were open at any time of the window."""
        is_open = sa.and_(
            incidents.c.received_at < self._until,
            sa.or_(incidents.c.ended_at.is_(None), incidents.c.ended_at >= self._since),
        )
        where = self._of(incidents.c.id, is_open)
        for row in self._pages(incidents, where, incidents.c.received_at, incidents.c.id):
            yield archive_rows.as_json(incidents, row)

    def attempts(self) -> Iterator[Row]:
        """Those that began in the window."""
        at = attempts.c.begun_at
        keys = list(attempts.primary_key.columns)
        where = self._of(attempts.c.incident_id, self._inside(at))
        for row in self._pages(attempts, where, at, *keys):
            yield archive_rows.as_json(attempts, row)

    def escalations(self) -> Iterator[Row]:
        """Those that were made in the window."""
        at, story = escalations.c.created_at, escalations.c.incident_id
        for row in self._pages(escalations, self._of(story, self._inside(at)), at, story):
            yield archive_rows.as_json(escalations, row)

    def timeline(self) -> Iterator[Row]:
        """Entries of the window as links of the chain; of a window they follow each other without a gap."""
        where = self._of(timeline.c.incident_id, self._inside(timeline.c.at))
        for row in self._pages(timeline, sa.and_(where, timeline.c.seq <= self._last), timeline.c.seq):
            yield archive_rows.link_of(row)

    def decisions(self) -> Iterator[Row]:
        """What a gateway decided in the window, with what each policy said."""
        where = self._inside(decision_events.c.at)
        page: list[Any] = []
        for row in self._pages(decision_events, where, decision_events.c.at, decision_events.c.id):
            page.append(row)
            if len(page) == _PAGE:
                yield from self._with_policies(page)
                page = []
        yield from self._with_policies(page)

    def _with_policies(self, page: Sequence[Any]) -> Iterator[Row]:
        query = (
            sa.select(policy_evaluations)
            .where(policy_evaluations.c.event_id.in_([row.id for row in page]))
            .order_by(policy_evaluations.c.event_id, policy_evaluations.c.place)
        )
        said: dict[str, list[Mapping[str, str]]] = {}
        if page:
            with self._database.reading() as connection:
                for row in connection.execute(query):
                    said.setdefault(row.event_id, []).append(
                        {"policy_name": row.policy_name, "result": row.result}
                    )
        for row in page:
            yield {**row._mapping, "policies": said.get(row.id, [])}

    def _of(self, story: sa.ColumnElement[str], inside: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
        return story.in_(self._ids) if self._asked.incident else inside

    def _inside(self, at: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
        return sa.and_(at >= self._since, at < self._until)

    def _pages(
        self, table: sa.Table, where: sa.ColumnElement[bool], *order: sa.ColumnElement[Any]
    ) -> Iterator[Any]:
        """Each page by a statement of its own: a walk of minutes holds no view of the database."""
        query = sa.select(table).where(where).order_by(*order).limit(_PAGE)
        behind: sa.ColumnElement[bool] = sa.true()
        while True:
            with self._database.reading() as connection:
                rows = connection.execute(query.where(behind)).all()
            yield from rows
            if len(rows) < _PAGE:
                return
            place = [sa.literal(getattr(rows[-1], str(column.key))) for column in order]
            behind = sa.tuple_(*order) > sa.tuple_(*place)
