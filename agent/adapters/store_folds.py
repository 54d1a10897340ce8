"""The same alert once more, while an incident of it is worked on: counted there, where it is stored.

The incident of an alert takes more of it as long as it is open, or was lately paged for and waits for the
human. What is folded is an incident of its own, `ignored`, with its own id at the source, which is closed
together with the other.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from agent.adapters import codec
from agent.adapters.database import stamp
from agent.adapters.prepared import Prepared, insert_once
from agent.adapters.store_incidents import StoredIncidents
from agent.adapters.store_schema import TERMINAL, deliveries, incidents, is_one_of, says
from agent.adapters.store_schema_queue import OPEN, escalations
from agent.domain.alert import Alert
from agent.domain.errors import StoreError
from agent.domain.folding import Folding, is_worth_telling
from agent.domain.incident import Entry, EventKind, Status
from agent.domain.outbox import ChatCard, ChatLine
from agent.domain.source_event import Acceptance, Accepted

_KEY = sa.bindparam("same", type_=sa.Text)
_ID = sa.bindparam("incident", type_=sa.Text)

#: Of the same alert these take more of it: what is open, and what was lately paged for.
IS_OPEN = ~is_one_of(incidents.c.status, TERMINAL)
WAS_PAGED_SINCE = sa.and_(
    says(incidents.c.status, Status.ESCALATED.value),
    incidents.c.ended_at > sa.bindparam("since", type_=sa.Text),
)
_WAITS_FOR_A_HUMAN = (
    sa.select(escalations.c.incident_id)
    .where(escalations.c.incident_id == incidents.c.id, is_one_of(escalations.c.status, OPEN))
    .exists()
)
_FIRST = sa.select(incidents.c.id, incidents.c.status, incidents.c.alert_count)
_OPEN_ONE = (
    _FIRST.where(incidents.c.fold_key == _KEY, IS_OPEN)
    .order_by(incidents.c.received_at, incidents.c.id)
    .limit(1)
)
_PAGED_ONE = (
    _FIRST.where(
        incidents.c.fold_key == _KEY,
        WAS_PAGED_SINCE,
        incidents.c.ended_at <= sa.bindparam("now", type_=sa.Text),
        _WAITS_FOR_A_HUMAN,
    )
    .order_by(incidents.c.ended_at.desc(), incidents.c.id)
    .limit(1)
)
_LOOK = Prepared(sa.select(sa.literal_column("1")).where(sa.or_(_OPEN_ONE.exists(), _PAGED_ONE.exists())))
_TAKE_OPEN, _TAKE_PAGED = (Prepared(each.with_for_update(of=incidents)) for each in (_OPEN_ONE, _PAGED_ONE))
_KEEP = insert_once(deliveries, "id")
_OPEN = insert_once(incidents, "source", "source_id")
_COUNT = Prepared(
    incidents.update()
    .where(incidents.c.id == _ID)
    .values(
        alert_count=sa.bindparam("count_", type_=sa.Integer), last_alert_at=sa.bindparam("now", type_=sa.Text)
    )
)
_FOLDED = Prepared(
    sa.select(incidents.c.source_id)
    .where(incidents.c.folded_into == _ID, ~says(incidents.c.folded_into, ""))
    .order_by(incidents.c.received_at, incidents.c.id)
    .limit(sa.bindparam("most", type_=sa.Integer))
)
_INTO = Prepared(sa.select(incidents.c.folded_into).where(incidents.c.id == _ID))


class StoredFolds(StoredIncidents):
    """The part of accepting a webhook that is about more of the same."""

    #: The wiring says what the configuration wants; by itself a store folds nothing.
    folding: Folding = Folding(same_alert=False)

    def folded(self, incident_id: str, *, limit: int) -> Sequence[str]:
        """The ids at the source of what was folded into it, oldest first."""
        with self.database.reading() as connection:
            return [
                row.source_id for row in _FOLDED.all(connection, {"incident": incident_id, "most": limit})
            ]

    def folded_into(self, incident_id: str) -> str:
        """The incident that this one goes with; "" if it stands for itself."""
        with self.database.reading() as connection:
            return _INTO.scalar(connection, {"incident": incident_id}) or ""

    def fold_key_of(self, alert: Alert) -> str:
        """What a new incident is found by when the same alert comes again."""
        return alert.fold_key if self.folding.same_alert else ""

    def folds_since(self, now: datetime) -> str:
        """One that was paged for counts from then on; for no time: the bounds let nothing through."""
        return stamp(now - timedelta(seconds=self.folding.storm_s))

    def hold_folds(self, connection: sa.Connection, alerts: Sequence[Alert]) -> None:
        """On PostgreSQL two processes may take in the same new alert at once: one after the other."""
        if self.database.is_sqlite:
            return
        keys = sorted({key for alert in alerts if (key := self.fold_key_of(alert))})
        if keys:
            connection.execute(_HOLD, {"keys": keys})

    def fold(
        self, connection: sa.Connection, alert: Alert, key: str, delivery: Mapping[str, str], now: datetime
    ) -> Accepted | None:
        """Count it where the same alert, by its `fold_key_of`, is worked on; None if it is nowhere."""
        if not key:
            return None
        asked = {"same": key, "since": self.folds_since(now), "now": stamp(now)}
        if _LOOK.first(connection, asked) is None:
            return None
        self.database.hold_chain(connection)
        # the one that is open, else the one just paged
        first = _TAKE_OPEN.first(connection, {"same": key}) or _TAKE_PAGED.first(connection, asked)
        return None if first is None else self._fold_into(connection, first, alert, delivery, now)

    def _fold_into(
        self, connection: sa.Connection, first: Any, alert: Alert, delivery: Mapping[str, str], now: datetime
    ) -> Accepted:
        at = stamp(now)
        incident_id = f"inc-{now:%Y%m%d}-{secrets.token_hex(4)}"
        kept = {
            "incident_id": incident_id,
            "received_at": at,
            "handled_at": at,
            "outcome": f"the same as {first.id}",
        }
        if _KEEP.first(connection, {**delivery, **kept}) is None:
            return Accepted(Acceptance.DUPLICATE, "")
        if _OPEN.first(connection, _row(incident_id, alert, first, at)) is None:
            raise StoreError("another webhook about the same incident came in just now; send it again")
        count = first.alert_count + 1
        _COUNT.run(connection, {"incident": first.id, "count_": count, "now": at})
        self.append(connection, incident_id, _told_there(first.id))
        if is_worth_telling(count):
            self._tell(connection, first.id, count, now)
        return Accepted(Acceptance.FOLDED, incident_id)

    def _tell(self, connection: sa.Connection, incident_id: str, count: int, now: datetime) -> None:
        text = f"🔁 Same alert again (×{count}), last at {now:%H:%M:%S}"
        self.append(
            connection, incident_id, Entry(f"same-alert-{count}", EventKind.FOLDED, text, {"count": count})
        )
        if self.folding.is_told:
            self.post(connection, incident_id, (ChatLine(text), ChatCard()))


_HOLD = sa.text(
    "SELECT pg_advisory_xact_lock(hashtextextended(one, 4017004)) "
    "FROM (SELECT unnest(CAST(:keys AS text[])) AS one ORDER BY 1) AS in_order"
)


def _row(incident_id: str, alert: Alert, first: Any, at: str) -> dict[str, Any]:
    return {
        "id": incident_id,
        "source": alert.source,
        "source_id": alert.source_id,
        "title": alert.title,
        "service": alert.service,
        "alert": codec.packed(alert),
        "status": Status.IGNORED.value,
        "status_at": at,
        "received_at": at,
        "ended_at": at,
        "identity": alert.identity,
        "folded_into": first.id,
        # one that was paged for has ended already: nothing will be said later
        "result": f"The same alert as {first.id}, which a human was paged for"
        if first.status == Status.ESCALATED.value
        else "",
    }


def _told_there(first_id: str) -> Entry:
    text = f"🔁 The same alert as {first_id}: it is worked on there, and goes with that one"
    return Entry("folded", EventKind.FOLDED, text, {"into": first_id})
