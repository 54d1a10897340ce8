"""Who is who, as rows: passwords (argon2 hashes), sessions and tokens (SHA-256 of what opens them).

Every change is told in the timeline, under the id of the session or token, or `person-NAME`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from agent.adapters.database import moment, moment_or_none, stamp
from agent.adapters.json_view import clean
from agent.adapters.prepared import Prepared
from agent.adapters.store_incidents import StoredIncidents
from agent.adapters.store_schema import known
from agent.adapters.store_schema_people import api_tokens, credentials, sessions
from agent.domain.incident import Entry
from agent.domain.people import Role
from agent.domain.sign_ins import ApiToken, Proof, Session

#: When somebody was last there is kept to this; each request would be a write otherwise.
SEEN_EVERY = timedelta(seconds=60)

_SEEN = "seen "

#: An ended session is forgotten after so long, and one that nobody ended once it cannot count any more
#: (`console.session_hours` is a month at most); the audit log keeps both.
_ENDED_KEPT = timedelta(days=7)
_LONGEST = timedelta(days=31)

_BY_DIGEST = Prepared(sa.select(sessions).where(sessions.c.digest == sa.bindparam("wanted", type_=sa.Text)))
_TOKEN = Prepared(sa.select(api_tokens).where(api_tokens.c.digest == sa.bindparam("wanted", type_=sa.Text)))


class StoredPeople(StoredIncidents):
    """What signs people in; of a password, a session or a token only its hash is here."""

    def password_of(self, person: str) -> str | None:
        """The argon2 hash of somebody's password; None if they have none."""
        query = sa.select(credentials.c.password).where(credentials.c.person == person)
        with self.database.reading() as connection:
            return connection.execute(query).scalar()

    def people_with_password(self) -> frozenset[str]:
        """The names of everybody who can sign in by password."""
        with self.database.reading() as connection:
            return frozenset(connection.execute(sa.select(credentials.c.person)).scalars())

    def keep_password(self, person: str, hashed: str, *, by: str, entry: Entry) -> int:
        """From now on only this one signs them in; every session of theirs is over. Gives how many were."""
        row = {"person": person, "password": hashed, "set_at": stamp(self.clock.now()), "set_by": by}
        with self.database.chaining() as connection:
            self.database.upsert(connection, credentials, row)
            ended = self._end_sessions(connection, person)
            self.append(connection, f"person-{person}", entry)
        return ended

    def forget_person(self, person: str, *, entry: Entry) -> bool:
        """Their password, sessions and tokens open nothing any more; False if there was nothing."""
        with self.database.chaining() as connection:
            gone = connection.execute(
                credentials.delete().where(credentials.c.person == person).returning(credentials.c.person)
            ).first()
            ended = self._end_sessions(connection, person)
            revoked = connection.execute(
                api_tokens.update()
                .where(api_tokens.c.person == person, api_tokens.c.revoked_at.is_(None))
                .values(revoked_at=stamp(self.clock.now()))
                .returning(api_tokens.c.id)
            ).all()
            if gone is None and not ended and not revoked:
                return False
            self.append(connection, f"person-{person}", entry)
        return True

    def shut_everybody_out(self, story: str, entry: Entry) -> None:
        """No session and no token opens anything: which of them were ended after a backup is not known."""
        now = stamp(self.clock.now())
        with self.database.chaining() as connection:
            connection.execute(sessions.update().where(sessions.c.ended_at.is_(None)).values(ended_at=now))
            connection.execute(
                api_tokens.update().where(api_tokens.c.revoked_at.is_(None)).values(revoked_at=now)
            )
            self.append(connection, story, entry)

    def rehashed(self, person: str, before: str, after: str) -> None:
        """The same password, hashed as is thought right by now."""
        same = sa.and_(credentials.c.person == person, credentials.c.password == before)
        with self.database.writing() as connection:
            connection.execute(credentials.update().where(same).values(password=after))

    def open_session(self, session: Session, digest: str, entry: Entry) -> None:
        """Somebody is signed in as soon as it returns."""
        now = session.created_at
        is_over = sa.or_(
            sessions.c.ended_at < stamp(now - _ENDED_KEPT), sessions.c.created_at < stamp(now - _LONGEST)
        )
        with self.database.chaining() as connection:
            connection.execute(sessions.delete().where(is_over))
            connection.execute(sessions.insert().values(digest=digest, **_session_row(session)))
            self._seen(connection, session.person, session.created_at)
            self.append(connection, session.id, entry)

    def session_by(self, digest: str) -> Session | None:
        """The session that this opens; it may be over."""
        with self.database.reading() as connection:
            row = _BY_DIGEST.first(connection, {"wanted": digest})
        return None if row is None else _session(row)

    def sessions_of(self, person: str) -> Sequence[Session]:
        """Somebody's sessions that were not ended, newest first."""
        query = sa.select(sessions).where(sessions.c.person == person, sessions.c.ended_at.is_(None))
        with self.database.reading() as connection:
            return [_session(row) for row in connection.execute(query.order_by(sessions.c.created_at.desc()))]

    def session_seen(self, session: Session, now: datetime) -> None:
        """It was used; written down once a minute."""
        if now - session.seen_at < SEEN_EVERY:
            return
        this = sa.and_(sessions.c.id == session.id, sessions.c.ended_at.is_(None))
        with self.database.writing() as connection:
            connection.execute(sessions.update().where(this).values(seen_at=stamp(now)))
            self._seen(connection, session.person, now)

    def end_session(self, session_id: str, person: str, entry: Entry) -> bool:
        """It opens nothing any more; False if this person has no such session."""
        with self.database.chaining() as connection:
            ended = connection.execute(
                sessions.update()
                .where(
                    sessions.c.id == clean(session_id),
                    sessions.c.person == person,
                    sessions.c.ended_at.is_(None),
                )
                .values(ended_at=stamp(self.clock.now()))
                .returning(sessions.c.id)
            ).first()
            if ended is None:
                return False
            self.append(connection, session_id, entry)
        return True

    def last_seen(self) -> dict[str, datetime]:
        """When each person was last there, by console or token."""
        query = sa.select(known.c.name, known.c.value).where(known.c.name.startswith(_SEEN, autoescape=True))
        with self.database.reading() as connection:
            return {row.name.removeprefix(_SEEN): moment(row.value) for row in connection.execute(query)}

    def keep_token(self, token: ApiToken, digest: str, entry: Entry) -> None:
        """It opens the API as soon as it returns."""
        with self.database.chaining() as connection:
            connection.execute(api_tokens.insert().values(digest=digest, **_token_row(token)))
            self.append(connection, token.id, entry)

    def token_by(self, digest: str) -> ApiToken | None:
        """The token that this is; it may be revoked or expired."""
        with self.database.reading() as connection:
            row = _TOKEN.first(connection, {"wanted": digest})
        return None if row is None else _token(row)

    def tokens(self, person: str | None = None) -> Sequence[ApiToken]:
        """Everybody's or one person's, newest first."""
        query = sa.select(api_tokens).order_by(api_tokens.c.created_at.desc(), api_tokens.c.id)
        if person is not None:
            query = query.where(api_tokens.c.person == person)
        with self.database.reading() as connection:
            return [_token(row) for row in connection.execute(query)]

    def token_used(self, token: ApiToken, now: datetime) -> None:
        """It opened the API; written down once a minute."""
        if token.used_at is not None and now - token.used_at < SEEN_EVERY:
            return
        with self.database.writing() as connection:
            this = api_tokens.c.id == token.id
            connection.execute(api_tokens.update().where(this).values(used_at=stamp(now)))
            self._seen(connection, token.person, now)

    def revoke_token(self, token_id: str, entry: Entry, *, person: str | None = None) -> bool:
        """It opens nothing any more; False if there is none (of this person) that still did."""
        these = [api_tokens.c.id == clean(token_id), api_tokens.c.revoked_at.is_(None)]
        if person is not None:
            these.append(api_tokens.c.person == person)
        with self.database.chaining() as connection:
            revoked = connection.execute(
                api_tokens.update()
                .where(*these)
                .values(revoked_at=stamp(self.clock.now()))
                .returning(api_tokens.c.id)
            ).first()
            if revoked is None:
                return False
            self.append(connection, token_id, entry)
        return True

    def _end_sessions(self, connection: sa.Connection, person: str) -> int:
        return len(
            connection.execute(
                sessions.update()
                .where(sessions.c.person == person, sessions.c.ended_at.is_(None))
                .values(ended_at=stamp(self.clock.now()))
                .returning(sessions.c.id)
            ).all()
        )

    def _seen(self, connection: sa.Connection, person: str, at: datetime) -> None:
        self.database.upsert(connection, known, {"name": f"{_SEEN}{person}", "value": stamp(at)})


def _session_row(session: Session) -> dict[str, Any]:
    return {
        "id": session.id,
        "person": session.person,
        "proof": session.proof.value,
        "email": session.email,
        "groups": json.dumps(session.groups),
        "address": clean(session.address),
        "browser": clean(session.browser),
        "created_at": stamp(session.created_at),
        "seen_at": stamp(session.seen_at),
    }


def _session(row: Any) -> Session:
    return Session(
        id=row.id,
        person=row.person,
        proof=Proof(row.proof),
        created_at=moment(row.created_at),
        seen_at=moment(row.seen_at),
        email=row.email,
        groups=tuple(json.loads(row.groups)),
        address=row.address,
        browser=row.browser,
        ended_at=moment_or_none(row.ended_at),
    )


def _token_row(token: ApiToken) -> dict[str, Any]:
    return {
        "id": token.id,
        "person": token.person,
        "name": clean(token.name),
        "role": token.role.value,
        "created_at": stamp(token.created_at),
        "created_by": clean(token.created_by),
        "expires_at": None if token.expires_at is None else stamp(token.expires_at),
    }


def _token(row: Any) -> ApiToken:
    return ApiToken(
        id=row.id,
        person=row.person,
        name=row.name,
        role=Role(row.role),
        created_at=moment(row.created_at),
        created_by=row.created_by,
        expires_at=moment_or_none(row.expires_at),
        used_at=moment_or_none(row.used_at),
        revoked_at=moment_or_none(row.revoked_at),
    )
