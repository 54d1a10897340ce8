"""Passwords, sessions and tokens made and taken away; each time told in the audit log. No secret is kept."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime

from agent.adapters import passwords
from agent.adapters.store import Store
from agent.domain.incident import Entry, EventKind
from agent.domain.people import Person, Role
from agent.domain.sign_ins import TOKEN_PREFIX, ApiToken, Proof, Session
from agent.web.identity import digest

#: Random bytes in a session's or a token's secret (OWASP asks for 8 at least).
_SECRET_BYTES = 32

#: Under this id stands what is about nobody's session in particular.
SIGN_INS = "sign-ins"


@dataclass(frozen=True, slots=True)
class Newcomer:
    """Whom a sign-in is for, by what, and from where."""

    person: Person
    proof: Proof
    address: str
    browser: str
    groups: tuple[str, ...] = ()


def set_password(store: Store, person: Person, password: str, *, by: str) -> int:
    """Only this password signs them in from now on; gives how many of their sessions ended with it."""
    text = f"🔑 {by} set a password for {person.name}; whoever was signed in under this name is not any more"
    now = store.clock.now()
    entry = Entry(f"password-{now:%Y%m%dT%H%M%S.%f}", EventKind.ACCESS, text, _about("password", person), by)
    return store.keep_password(person.name, passwords.hashed(password), by=by, entry=entry)


def forget(store: Store, name: str, *, by: str) -> bool:
    """Nothing opens anything for this name any more; False if nothing did."""
    text = f"🔒 {by} took the password, the sessions and the tokens of {name} away"
    now = store.clock.now()
    key = f"forgotten-{now:%Y%m%dT%H%M%S.%f}"
    return store.forget_person(name, entry=Entry(key, EventKind.ACCESS, text, {"what": "forgotten"}, by))


def open_session(store: Store, newcomer: Newcomer) -> str:
    """Somebody is signed in; gives what their browser must bring, which is nowhere else."""
    now, secret, person = store.clock.now(), secrets.token_urlsafe(_SECRET_BYTES), newcomer.person
    session = Session(
        id=f"session-{now:%Y%m%d}-{secrets.token_hex(4)}",
        person=person.name,
        proof=newcomer.proof,
        created_at=now,
        seen_at=now,
        email=person.email,
        groups=newcomer.groups,
        address=newcomer.address[:100],
        browser=newcomer.browser[:200],
    )
    how = "password" if newcomer.proof is Proof.PASSWORD else "single sign-on"
    text = f"🔓 {person.name} signed in by {how} from {session.address}"
    data = {**_about("signed_in", person), "proof": session.proof.value, "address": session.address}
    entry = Entry("signed-in", EventKind.ACCESS, text, data, f"{person.name} (by console)")
    store.open_session(session, digest(secret), entry)
    return secret


def end_session(store: Store, session_id: str, person: Person, *, why: str) -> bool:
    """It opens nothing any more; False if this person has no such session."""
    text = f"🔒 {person.name} {why}"
    entry = Entry("ended", EventKind.ACCESS, text, _about("ended", person), f"{person.name} (by console)")
    return store.end_session(session_id, person.name, entry)


def create_token(
    store: Store, person: Person, role: Role, *, name: str, expires_at: datetime | None, by: str
) -> tuple[ApiToken, str]:
    """A program's way in, and its secret: to be shown once, for it is nowhere kept."""
    now, secret = store.clock.now(), TOKEN_PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
    token = ApiToken(
        id=f"token-{now:%Y%m%d}-{secrets.token_hex(4)}",
        person=person.name,
        name=name,
        role=role if person.role.covers(role) else person.role,
        created_at=now,
        created_by=by,
        expires_at=expires_at,
    )
    until = f"until {expires_at:%Y-%m-%d %H:%M} UTC" if expires_at is not None else "until it is revoked"
    text = f"🔑 {by} made a token for {person.name}, role {token.role}, {until}"
    data = {**_about("token_made", person), "role": token.role.value, "name": name}
    store.keep_token(token, digest(secret), Entry("made", EventKind.ACCESS, text, data, by))
    return token, secret


def revoke_token(store: Store, token_id: str, *, by: str, person: Person | None = None) -> bool:
    """It opens nothing any more; False if there is none (of this person) that still did."""
    entry = Entry(
        "revoked", EventKind.ACCESS, f"🔒 {by} revoked the token {token_id}", {"what": "revoked"}, by
    )
    return store.revoke_token(token_id, entry, person=person.name if person is not None else None)


def shut_everybody_out(store: Store, *, by: str) -> None:
    """After a restore: what was ended after the backup must not open anything once more."""
    now = store.clock.now()
    text = f"🔒 {by} restored a backup: every session is over, every token is revoked"
    key = f"restored-{now:%Y%m%dT%H%M%S.%f}"
    store.shut_everybody_out(SIGN_INS, Entry(key, EventKind.ACCESS, text, {"what": "restored"}, by))


def tell_burst(store: Store, account: str, address: str, *, name: str, until: datetime) -> bool:
    """Somebody guesses passwords: told once for each account and address until the limit ends."""
    now = store.clock.now()
    whom = f"as {name}" if name else "under a name that nobody has"
    text = f"🚫 Too many failed sign-ins {whom} from {address}; all are refused until {until:%H:%M} UTC"
    key = f"burst-{now:%Y%m%d}-{int(now.timestamp()) // 900}-{account[:12]}-{address}"
    data = {"what": "too_many_failures", "name": name, "address": address}
    return store.record(SIGN_INS, [Entry(key, EventKind.ACCESS, text, data, "agent")])


def _about(what: str, person: Person) -> dict[str, object]:
    return {"what": what, "person": person.name}
