"""Several people's yes to one question: counted and made a decision in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from agent.adapters.database import moment, stamp
from agent.adapters.store_incidents import StoredIncidents
from agent.adapters.store_schema import decisions, votes
from agent.domain.approvals import STEP_BY_STEP, Counted, TooLate, Vote, is_same
from agent.domain.incident import Entry
from agent.domain.outbox import Message
from agent.domain.people import Deed, refusal


class StoredVotes(StoredIncidents):
    """Implements the votes of ports.IncidentStore; writes its entries and letters as incidents do."""

    def vote(
        self, incident_id: str, vote: Vote, *, needed: int, entry: Entry, messages: Sequence[Message] = ()
    ) -> Counted | TooLate:
        """Each person counts once; the last yes that is needed is the decision, which wakes the run."""
        with self.database.chaining() as connection:
            about = sa.and_(decisions.c.incident_id == incident_id, decisions.c.plan_hash == vote.plan_hash)
            if connection.execute(sa.select(decisions.c.by).where(about)).first() is not None:
                return TooLate()
            is_new = self.database.insert_once(connection, votes, _row(incident_id, vote))
            if is_new:
                self.append(connection, incident_id, entry)
                self.post(connection, incident_id, messages)
            elif vote.step_by_step:
                mine = sa.and_(_about(incident_id, vote.plan_hash), votes.c.person == vote.person)
                connection.execute(votes.update().where(mine).values(step_by_step=True))
            given = self._given(connection, incident_id, vote.plan_hash)
            if len(given) >= needed:
                self.database.insert_once(connection, decisions, _decision(incident_id, given))
            return Counted(len(given), is_new)

    def votes(self, incident_id: str, plan_hash: str) -> Sequence[Vote]:
        """The yeses to this question so far that count, oldest first."""
        with self.database.reading() as connection:
            return self._given(connection, incident_id, plan_hash)

    def _given(self, connection: sa.Connection, incident_id: str, plan_hash: str) -> list[Vote]:
        found = [_vote(row) for row in connection.execute(_votes(incident_id, plan_hash))]
        return [each for each in found if self._counts(each)]

    def _counts(self, vote: Vote) -> bool:
        """Not of somebody who was taken out of `people`, or may not approve any more, since they said it."""
        people = self.queueing.people
        person = next((each for each in people if is_same(each.name, vote.person)), None)
        if person is not None:
            return not refusal(person, Deed.APPROVE)
        return not people or "@" in vote.person  # who comes in by a group is named by their address


def _about(incident_id: str, plan_hash: str) -> sa.ColumnElement[bool]:
    return sa.and_(votes.c.incident_id == incident_id, votes.c.plan_hash == plan_hash)


def _votes(incident_id: str, plan_hash: str) -> sa.Select[Any]:
    return sa.select(votes).where(_about(incident_id, plan_hash)).order_by(votes.c.at, votes.c.person)


def _decision(incident_id: str, given: Sequence[Vote]) -> dict[str, Any]:
    return {
        "incident_id": incident_id,
        "plan_hash": given[-1].plan_hash,
        "approved": True,
        "by": " and ".join(each.by for each in given),
        "at": stamp(max(each.at for each in given)),
        "choice": STEP_BY_STEP if any(each.step_by_step for each in given) else "",
    }


def _row(incident_id: str, vote: Vote) -> dict[str, Any]:
    return {
        "incident_id": incident_id,
        "plan_hash": vote.plan_hash,
        "person": vote.person,
        "by": vote.by,
        "at": stamp(vote.at),
        "step_by_step": vote.step_by_step,
    }


def _vote(row: Any) -> Vote:
    return Vote(row.plan_hash, row.person, row.by, moment(row.at), bool(row.step_by_step))
