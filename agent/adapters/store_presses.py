"""What was pressed and typed in Slack, once each; and where the cards with the buttons stand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import sqlalchemy as sa

from agent.adapters.database import Database, stamp
from agent.adapters.prepared import Prepared, insert_once
from agent.adapters.store_schema import cards, presses
from agent.domain.presses import Press, Shown
from agent.ports import Clock

#: A request of this age is refused by its timestamp long before; kept for whoever asks who pressed what.
_KEPT = timedelta(days=30)

_BEGIN = insert_once(presses, "key")
_ANSWER = Prepared(sa.select(presses.c.answer).where(presses.c.key == sa.bindparam("press")))
_SHOWN = Prepared(
    sa.select(cards)
    .where(cards.c.incident_id == sa.bindparam("incident"), sa.not_(cards.c.is_over))
    .order_by(cards.c.key)
)


class StoredPresses:
    """What the Slack face needs, and the card half of ports.OutboxStore."""

    database: Database
    clock: Clock

    def begin_press(self, press: Press) -> str | None:
        """Write down that it was pressed; what was answered if it was before, "" while nothing was yet."""
        row = {
            "key": press.key,
            "at": stamp(press.at),
            "user": press.user,
            "action": press.action,
            "about": press.about,
        }
        with self.database.writing() as connection:
            if _BEGIN.first(connection, row) is not None:
                before = stamp(self.clock.now() - _KEPT)
                connection.execute(presses.delete().where(presses.c.at < before))
                return None
            answer: str | None = _ANSWER.scalar(connection, {"press": press.key})
        return answer or ""

    def end_press(self, key: str, *, by: str, answer: str) -> None:
        """Keep what was answered: pressed again, the same is said and nothing is done."""
        with self.database.writing() as connection:
            connection.execute(presses.update().where(presses.c.key == key).values(by=by, answer=answer))

    def keep_card(self, incident_id: str, key: str, ref: str) -> None:
        """Remember where a question stands."""
        row = {"incident_id": incident_id, "key": key, "ref": ref, "shown": "", "is_over": False}
        with self.database.writing() as connection:
            self.database.upsert(connection, cards, row)

    def open_cards(self, incident_id: str) -> Sequence[Shown]:
        """The questions of an incident that still show buttons, as far as anybody told them otherwise."""
        with self.database.reading() as connection:
            found = _SHOWN.all(connection, {"incident": incident_id})
        return [Shown(row.key, row.ref, row.shown) for row in found]

    def card_shows(self, incident_id: str, key: str, shown: str, *, is_over: bool) -> None:
        """Remember what a question shows by now; once it is over it is not looked at any more."""
        with self.database.writing() as connection:
            connection.execute(
                cards.update()
                .where(cards.c.incident_id == incident_id, cards.c.key == key)
                .values(shown=shown, is_over=is_over)
            )
