"""Failed sign-ins as rows: guessing stays slow over restarts and replicas. And those begun elsewhere."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa

from agent.adapters.database import Database, moment, stamp
from agent.adapters.store_schema_people import sign_in_failures, sign_in_starts
from agent.domain.sign_ins import SignInLimits, TooMany

#: Tries of one moment are counted one after the other, over all processes (PostgreSQL).
_TRIES_LOCK = 4_017_003

#: Sign-ins that were begun at an identity provider and are waited for.
_MOST_STARTS = 2_000

_account, _address, _at = sign_in_failures.c.account, sign_in_failures.c.address, sign_in_failures.c.at


class StoredSignIns:
    """How often somebody failed to sign in lately."""

    database: Database

    def begin_sign_in(self, account: str, address: str, now: datetime, limits: SignInLimits) -> str | TooMany:
        """Count a try as failed before it is looked at; its id, or TooMany: then nothing is looked at."""
        with self.database.reading() as connection:
            too_many = _over(connection, account, address, now, limits)
        if too_many is not None:
            return too_many
        with self.database.writing() as connection:
            if not self.database.is_sqlite:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_TRIES_LOCK)))
            too_many = _over(connection, account, address, now, limits)
            if too_many is not None:
                return too_many
            connection.execute(sign_in_failures.delete().where(_at <= stamp(now - limits.window)))
            row = {"id": secrets.token_hex(8), "account": account, "address": address, "at": stamp(now)}
            connection.execute(sign_in_failures.insert().values(**row))
        return row["id"]

    def sign_in_worked(self, account: str, address: str) -> None:
        """They know it: what failed before from there is forgotten."""
        with self.database.writing() as connection:
            connection.execute(sign_in_failures.delete().where(_account == account, _address == address))

    def keep_sign_in_start(
        self, digest: str, browser: str, data: Mapping[str, str], *, now: datetime, until: datetime
    ) -> None:
        """A browser was sent to the identity provider; it may come back once, until then."""
        row = {"digest": digest, "browser": browser, "data": json.dumps(dict(data)), "until": stamp(until)}
        with self.database.writing() as connection:
            connection.execute(sign_in_starts.delete().where(_too_old(now)))
            connection.execute(sign_in_starts.insert().values(**row))

    def take_sign_in_start(self, digest: str, browser: str, now: datetime) -> Mapping[str, str] | None:
        """What was kept for this browser, once; None if there is nothing, or it took too long."""
        with self.database.writing() as connection:
            row = connection.execute(
                sign_in_starts.delete()
                .where(sign_in_starts.c.digest == digest, sign_in_starts.c.browser == browser)
                .returning(sign_in_starts.c.data, sign_in_starts.c.until)
            ).first()
        if row is None or moment(row.until) <= now:
            return None
        found: Mapping[str, str] = json.loads(row.data)
        return found


def _too_old(now: datetime) -> sa.ColumnElement[bool]:
    """Those whose time is over, and the oldest of too many: anybody may begin, and few come back."""
    kept = sa.select(sign_in_starts.c.until).order_by(sign_in_starts.c.until.desc())
    last = kept.offset(_MOST_STARTS - 1).limit(1).scalar_subquery()
    return sa.or_(sign_in_starts.c.until <= stamp(now), sign_in_starts.c.until < last)


def _over(
    connection: sa.Connection, account: str, address: str, now: datetime, limits: SignInLimits
) -> TooMany | None:
    """Whether any of the three limits is reached, and until when it is."""
    since = stamp(now - limits.window)
    rules = (
        (limits.pair, sa.and_(_account == account, _address == address)),
        (limits.address, _address == address),
        (limits.account, _account == account),
    )
    ends: list[datetime] = []
    for most, these in rules:
        # the try that has to be forgotten before there is room for another one
        query = sa.select(_at).where(these, _at > since).order_by(_at.desc()).offset(most - 1).limit(1)
        held = connection.execute(query).scalar()
        if held is not None:
            ends.append(moment(held) + limits.window)
    return TooMany(max(ends)) if ends else None
