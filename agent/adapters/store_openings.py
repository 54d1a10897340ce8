"""New alerts that came together: looked for by one statement, stored by two, however many they are.

Each statement hands the interpreter to other threads and waits for it afterwards, with everybody in line for
the writer. Only where each is an alert of its own that the store knows nothing of; others go one by one.

On SQLite alone, where nobody else writes meanwhile: what is unknown stays so until it is stored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from agent.adapters.prepared import Prepared
from agent.adapters.store_folds import IS_OPEN, WAS_PAGED_SINCE
from agent.adapters.store_schema import deliveries, incidents
from agent.domain.alert import Alert
from agent.domain.source_event import EventType, SourceEvent


def _among(column: sa.ColumnElement[str], name: str) -> sa.ColumnElement[bool]:
    """Whether the column is one of a list's texts, however many there are."""
    texts = sa.func.json_each(sa.bindparam(name, type_=sa.Text)).table_valued("value")
    return column.in_(sa.select(texts.c.value))


_SAME = _among(incidents.c.fold_key, "keys")
_KNOWN = Prepared(
    sa.select(
        sa.or_(
            sa.exists().where(_among(deliveries.c.id, "delivery_ids")),
            sa.exists().where(_among(incidents.c.source_id, "source_ids")),
            sa.exists().where(_SAME, IS_OPEN),
            sa.exists().where(_SAME, WAS_PAGED_SINCE),
        ).label("is_known")
    )
)
_KEEP = Prepared(deliveries.insert())
_OPEN = Prepared(incidents.insert())


def alerts_of_their_own(events: Sequence[SourceEvent], keys: Sequence[str]) -> Sequence[Alert] | None:
    """The alerts, if each webhook says that one fires, and no two of them are about the same; else None."""
    alerts = [event.alert for event in events if event.alert is not None and _fires(event, event.alert)]
    told = [key for key in keys if key]
    for each in ([event.delivery_id for event in events], [event.source_id for event in events], told):
        if len(set(each)) < len(each):
            return None
    return alerts if len(alerts) == len(events) else None


def is_any_known(
    connection: sa.Connection, events: Sequence[SourceEvent], keys: Sequence[str], *, since: str
) -> bool:
    """Whether the store has anything that one of them could be about; `since` as for what folds."""
    asked = {
        "delivery_ids": json.dumps([event.delivery_id for event in events]),
        "source_ids": json.dumps([event.source_id for event in events]),
        "keys": json.dumps([key for key in keys if key]),
        "since": since,
    }
    return bool(_KNOWN.scalar(connection, asked))


def store_openings(
    connection: sa.Connection, kept: Sequence[Mapping[str, Any]], opened: Sequence[Mapping[str, Any]]
) -> None:
    """The webhooks, and the incidents that they open."""
    _KEEP.run_together(connection, kept)
    _OPEN.run_together(connection, opened)


def _fires(event: SourceEvent, alert: Alert) -> bool:
    """By itself: no look at other alerts is asked for."""
    is_new = event.type is EventType.TRIGGERED and not event.known_by_key
    return is_new and bool(event.source_id) and alert.source_id == event.source_id
