"""One incident with everything that belongs to it, as JSON and back: what an archive holds a line of.

An escalation that has no incident of ours is a line as well. Every table that has an `incident_id` belongs
to the incident or to such an escalation, so that a new one is never forgotten. JSON
that is kept as text stands in the archive as JSON; the timeline stands in it as the links of the audit chain.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from agent.adapters import codec
from agent.adapters import store_schema_tickets as store_schema_tickets  # its table goes with incidents too
from agent.adapters.packing import unpack
from agent.adapters.store_schema import (
    attempts,
    deliveries,
    incidents,
    metadata,
    outbox,
    own_writes,
    revisions,
    timeline,
)
from agent.adapters.store_schema_queue import escalations

FORMAT = 1

#: What is watched names the incident that it raised, and stays with its runbook.
_STAYS = frozenset({timeline.name, "watches"})

#: Tables whose rows go with their incident.
BELONGING = tuple(
    table for table in metadata.sorted_tables if "incident_id" in table.c and table.name not in _STAYS
)

#: Text that is JSON.
_NESTED = frozenset(
    {incidents.c.alert, incidents.c.plan, incidents.c.match_reasons, attempts.c.attempt, outbox.c.message,
     deliveries.c.event, escalations.c.facts}
)  # fmt: skip

Line = dict[str, Any]


def bundles(connection: sa.Connection, ids: Sequence[str]) -> Iterator[Line]:
    """A line for each incident, or escalation without one, in the order of the ids."""
    found = {row.id: row for row in connection.execute(sa.select(incidents).where(incidents.c.id.in_(ids)))}
    links = _grouped(connection, timeline, ids)
    belonging = {table: _grouped(connection, table, ids) for table in BELONGING}
    writes = _own_writes(connection, [row.source_id for row in found.values()])
    for story in ids:
        row = found.get(story)
        written = () if row is None else writes.get(row.source_id, ())
        yield {
            **_head(story, row),
            "timeline": [link_of(each) for each in links.get(story, ())],
            **{
                table.name: [as_json(table, each) for each in rows.get(story, ())]
                for table, rows in belonging.items()
            },
            "own_writes": [as_json(own_writes, each) for each in written],
        }


def _head(story: str, row: Any) -> Line:
    if row is None:
        return {"type": "escalation", "format": FORMAT, "id": story}
    return {"type": "incident", "format": FORMAT, "incident": as_json(incidents, row)}


def story_of(line: Mapping[str, Any]) -> str:
    """The id of the incident, or escalation without one, whose line it is; "" for a runbook's."""
    return str(line["incident"]["id"] if line["type"] == "incident" else line.get("id", ""))


def revision_of(line: Mapping[str, Any]) -> str:
    """The runbook that its incident ran by, if there is one."""
    return str(line["incident"]["runbook_revision"] if line["type"] == "incident" else "")


def revision_line(connection: sa.Connection, revision: str) -> Line | None:
    """The runbook that incidents of the same archive ran by."""
    row = connection.execute(sa.select(revisions).where(revisions.c.revision == revision)).first()
    return (
        None if row is None else {"type": "revision", "format": FORMAT, "revision": as_json(revisions, row)}
    )


def counts_of(line: Mapping[str, Any]) -> dict[str, int]:
    """How many rows each table has for what the line is of."""
    return {table.name: len(line.get(table.name, ())) for table in (timeline, *BELONGING)}


def restore(connection: sa.Connection, line: Mapping[str, Any]) -> None:
    """Put a line's rows into a database that has none of them: every view of it is as it was."""
    if line["type"] == "revision":
        connection.execute(revisions.insert(), [_as_row(revisions, line["revision"])])
        return
    if line["type"] == "incident":
        connection.execute(incidents.insert(), [_as_row(incidents, line["incident"])])
    rows = {table: [_as_row(table, each) for each in line.get(table.name, ())] for table in BELONGING}
    rows[timeline] = [_as_link_row(each) for each in line["timeline"]]
    rows[own_writes] = [_as_row(own_writes, each) for each in line["own_writes"]]
    for table, found in rows.items():
        if found:
            connection.execute(table.insert(), found)


def as_json(table: sa.Table, row: Any) -> dict[str, Any]:
    """A row as what json.dumps takes."""
    return {column.name: _nested(column, getattr(row, column.key)) for column in table.columns}


def link_of(row: Any) -> dict[str, Any]:
    """A row of the timeline as a link of the audit chain."""
    return {
        "seq": row.seq,
        "at": row.at,
        "incident": row.incident_id,
        "key": row.key,
        "kind": row.kind,
        "actor": row.actor,
        "text": row.text,
        "data": codec.loads(row.data),
        "prev": row.prev_hash,
        "hash": row.hash,
    }


def _as_link_row(link: Mapping[str, Any]) -> dict[str, Any]:
    same = ("seq", "at", "key", "kind", "actor", "text", "hash")
    moved = {"incident_id": link["incident"], "prev_hash": link["prev"]}
    return {name: link[name] for name in same} | moved | {"data": json.dumps(link["data"], sort_keys=True)}


def _as_row(table: sa.Table, values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        column.name: _flat(column, values[column.name]) for column in table.columns if column.name in values
    }


def _nested(column: sa.Column[Any], value: Any) -> Any:
    if not value:
        return value
    if column is deliveries.c.raw:
        return unpack(value)
    return codec.loads(value) if column in _NESTED else value


def _flat(column: sa.Column[Any], value: Any) -> Any:
    if column not in _NESTED or value is None or value == "":
        return value
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _grouped(connection: sa.Connection, table: sa.Table, ids: Sequence[str]) -> dict[str, list[Any]]:
    """The table's rows of each incident, in the order in which they were written."""
    grouped: dict[str, list[Any]] = {}
    query = sa.select(table).where(table.c.incident_id.in_(ids)).order_by(*table.primary_key.columns)
    for row in connection.execute(query):
        grouped.setdefault(row.incident_id, []).append(row)
    return grouped


def _own_writes(connection: sa.Connection, source_ids: Sequence[str]) -> dict[str, list[Any]]:
    grouped: dict[str, list[Any]] = {}
    query = sa.select(own_writes).where(own_writes.c.source_id.in_(source_ids))
    for row in connection.execute(query.order_by(own_writes.c.source_id, own_writes.c.action)):
        grouped.setdefault(row.source_id, []).append(row)
    return grouped
