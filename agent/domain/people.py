"""Who a human is to the agent, and what they may do: one table of deeds and roles, asked at every face."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What somebody may do; each one may do all that those before it may."""

    VIEWER = "viewer"
    RESPONDER = "responder"
    APPROVER = "approver"
    ADMIN = "admin"

    def covers(self, other: Role) -> bool:
        """Whether this one may do all that the other may."""
        return _ORDER.index(self) >= _ORDER.index(other)


_ORDER = tuple(Role)


class Deed(StrEnum):
    """What can be done to the agent, by whichever face it is asked."""

    VIEW = "view"
    CLAIM = "claim"
    SETTLE = "settle"
    REASSIGN = "reassign"
    CHOOSE = "choose"
    STAND_DOWN = "stand_down"
    STOP = "stop"
    RESUME = "resume"
    APPROVE = "approve"
    RUN = "run"
    PROMOTE = "promote"
    MANAGE = "manage"


#: The least role for each deed. Whatever makes the agent do less is a responder's; more, an approver's.
LEAST_ROLE: Mapping[Deed, Role] = {
    Deed.VIEW: Role.VIEWER,
    Deed.CLAIM: Role.RESPONDER,
    Deed.SETTLE: Role.RESPONDER,
    Deed.REASSIGN: Role.APPROVER,
    Deed.CHOOSE: Role.RESPONDER,
    Deed.STAND_DOWN: Role.RESPONDER,
    Deed.STOP: Role.RESPONDER,
    Deed.RESUME: Role.APPROVER,
    Deed.APPROVE: Role.APPROVER,
    Deed.RUN: Role.APPROVER,
    Deed.PROMOTE: Role.APPROVER,
    Deed.MANAGE: Role.ADMIN,
}


class Via(StrEnum):
    """The face by which somebody speaks; shown with their name."""

    SLACK = "Slack"
    CONSOLE = "console"
    API = "API"
    CLI = "CLI"
    JIRA = "Jira"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody whom the configuration knows (`people`).

    `name` names them in everything that is told and kept. `slack` is their user id in the workspace, `teams`
    whose escalations are theirs, as `team:x` in a routing rule.
    """

    name: str
    role: Role
    email: str = ""
    slack: str = ""
    teams: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Actor:
    """A person and the face by which they speak; `str` is how they are told and kept.

    `is_shown`: they showed who they are, and are nobody else by another face; a name that was only said, or
    that may be one more of the same human, stands for no second person.
    """

    person: Person
    via: Via
    is_shown: bool = True

    def __str__(self) -> str:
        return f"{self.person.name} (by {self.via})"


def refusal(person: Person, deed: Deed) -> str:
    """Why this person may not do it, for them to read; "" if they may."""
    least = LEAST_ROLE[deed]
    if person.role.covers(least):
        return ""
    what = deed.replace("_", " ")
    return f"{person.name} is a {person.role}; to {what} takes the role {least} (`people` in config.yaml)"
