"""How many people must say yes to a plan, who of them may, and what becomes of it when nobody does."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from agent.domain.people import Person

#: In an entry's data: who asked for what is to run, so that four eyes know whose yes is none.
ASKED_BY = "asked_by"

#: In a question's data: what it needs (`Needs.as_data`).
NEEDS = "needs"

#: In a question's data: the runbooks that may be chosen in the place of the one that is asked about.
OTHERS = "others"

#: Beside a yes, in `Decision.choice`: every step that changes something is to ask again.
STEP_BY_STEP = "step-by-step"

#: `alice (by Slack)`, `alice (root, command line)`: names have no spaces.
_SAID = re.compile(r"([^\s(]+)(?: \(([^\s,)]+), command line\))?")

_TEAM = "team:"


class Lapse(StrEnum):
    """What becomes of an incident whose plan is not approved."""

    ESCALATE = "escalate"
    STAND_DOWN = "stand_down"


@dataclass(frozen=True, slots=True)
class Demand:
    """What a runbook or an effect class asks of an approval; no `approvers` (names, `team:x`): anybody."""

    approvals: int = 1
    approvers: tuple[str, ...] = ()
    four_eyes: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether anybody's one yes is enough."""
        return self.approvals <= 1 and not self.approvers and not self.four_eyes


@dataclass(frozen=True, slots=True)
class Needs:
    """What one question needs: so many yeses of different people, none of them of who asked for it.

    `asked_by`: the names of who started the run, chose its runbook or edited its parameters.
    """

    approvals: int = 1
    approvers: tuple[str, ...] = ()
    four_eyes: bool = False
    asked_by: tuple[str, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether anybody's one yes is enough: then nobody need be known."""
        return self.approvals <= 1 and not self.approvers and not self.four_eyes

    def as_data(self) -> dict[str, object]:
        """As a question's data keeps it."""
        return {
            "approvals": self.approvals,
            "approvers": list(self.approvers),
            "four_eyes": self.four_eyes,
            ASKED_BY: list(self.asked_by),
        }

    def __str__(self) -> str:
        parts = [f"{self.approvals} people must say yes"] if self.approvals > 1 else []
        if self.approvers:
            parts.append(f"of {' or '.join(self.approvers)}")
        if self.four_eyes:
            parts.append(f"not {' or '.join(self.asked_by)}" if self.asked_by else "four eyes")
        return ", ".join(parts)


def needs_of(data: Mapping[str, object]) -> Needs:
    """What a question's data says that it needs; a question of an earlier version needs one yes."""
    found = data.get(NEEDS)
    if not isinstance(found, dict):
        return Needs()
    return Needs(
        approvals=int(str(found.get("approvals", 1))),
        approvers=_texts(found.get("approvers")),
        four_eyes=found.get("four_eyes") is True,
        asked_by=_texts(found.get(ASKED_BY)),
    )


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def strictest(demands: Iterable[Demand], *, asked_by: Iterable[str] = ()) -> Needs:
    """All of them at once: the most people, whoever all of them let approve, four eyes if any says so.

    Only one of them may name approvers: the runbook.
    """
    every = list(demands)
    named = next((each.approvers for each in every if each.approvers), ())
    return Needs(
        approvals=max((each.approvals for each in every), default=1),
        approvers=named,
        four_eyes=any(each.four_eyes for each in every),
        asked_by=tuple(dict.fromkeys(asked_by)),
    )


def objection(needs: Needs, person: Person) -> str:
    """Why this person's yes does not count here, for them to read; "" if it does."""
    if needs.four_eyes and any(is_same(person.name, each) for each in needs.asked_by):
        return f"four eyes: {person.name} asked for it, so somebody else must approve it"
    if needs.approvers and not any(_is_one_of(person, each) for each in needs.approvers):
        return f"{person.name} is not among its approvers: {', '.join(needs.approvers)}"
    return ""


def _is_one_of(person: Person, approver: str) -> bool:
    if approver.casefold().startswith(_TEAM):
        return approver[len(_TEAM) :].casefold() in {team.casefold() for team in person.teams}
    return is_same(person.name, approver)


def is_same(one: str, other: str) -> bool:
    """Whether two names are one person's."""
    return one.casefold() == other.casefold()


def names_in(said: str) -> tuple[str, ...]:
    """Whose word it is: the name, and the user of the command line under whom another name was said."""
    found = _SAID.match(said)
    return tuple(name for name in found.groups() if name) if found else ()


@dataclass(frozen=True, slots=True)
class Vote:
    """One person's yes to one question that needs more than one."""

    plan_hash: str
    person: str
    by: str
    at: datetime
    step_by_step: bool = False


@dataclass(frozen=True, slots=True)
class Counted:
    """What a yes made of it: how many there are now. `is_new`: it was not said before."""

    yeses: int
    is_new: bool


@dataclass(frozen=True, slots=True)
class TooLate:
    """It was decided before this yes came."""
