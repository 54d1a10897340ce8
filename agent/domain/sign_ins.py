"""How people show who they are: sessions of a browser, tokens of a program, and when these count no more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from agent.domain.people import Person, Role

#: What every personal token begins with, so that one is known when it turns up where it should not.
TOKEN_PREFIX = "oat_"  # noqa: S105  (no secret, only how one begins)


class Proof(StrEnum):
    """By what somebody showed who they are when they signed in."""

    PASSWORD = "password"  # noqa: S105  (a word, no password)
    OIDC = "oidc"


@dataclass(frozen=True, slots=True)
class Session:
    """A browser in which somebody signed in.

    `id` names it in the audit log and opens nothing; what opens it is kept by the browser alone, here is only
    its hash. `email` and `groups` are what the identity provider said, looked up anew at each request.
    """

    id: str
    person: str
    proof: Proof
    created_at: datetime
    seen_at: datetime
    email: str = ""
    groups: tuple[str, ...] = ()
    address: str = ""
    browser: str = ""
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SessionRules:
    """How long a session counts: since the sign-in, and since it was last used."""

    longest: timedelta
    idle: timedelta

    def counts(self, session: Session, now: datetime) -> bool:
        """Whether the session still opens the console."""
        if session.ended_at is not None:
            return False
        return now < session.created_at + self.longest and now < session.seen_at + self.idle


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A program's way in: somebody's, with at most their role. `id` names it and opens nothing."""

    id: str
    person: str
    name: str
    role: Role
    created_at: datetime
    created_by: str
    expires_at: datetime | None = None
    used_at: datetime | None = None
    revoked_at: datetime | None = None

    def counts(self, now: datetime) -> bool:
        """Whether it still opens the API."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def narrows(self, person: Person) -> Person:
        """The person with no more than the token's role."""
        role = self.role if person.role.covers(self.role) else person.role
        return Person(person.name, role, person.email, person.slack, person.teams)


@dataclass(frozen=True, slots=True)
class SignInLimits:
    """How many failed sign-ins within the window are taken before all are refused until it is over.

    `pair` is one account from one address, `address` one address over all accounts, `account` one account
    over all addresses: the last is loose, or anybody could keep its owner out.
    """

    window: timedelta = timedelta(minutes=15)
    pair: int = 5
    address: int = 20
    account: int = 50


@dataclass(frozen=True, slots=True)
class TooMany:
    """Refused without a look at the password, and until when."""

    until: datetime
