"""The section `people`: who may do what. Reviewed like code; no secret and no password is in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field

from agent.config.base import Section
from agent.domain.people import Person, Role

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}", re.ASCII)
_EMAIL = re.compile(r"[^@\s,<>]{1,64}@[^@\s,<>]{1,255}", re.ASCII)
_SLACK_USER = re.compile(r"[UW][A-Z0-9]{2,20}", re.ASCII)
_SLACK_GROUP = re.compile(r"S[A-Z0-9]{2,20}", re.ASCII)


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError("must be a plain name: letters, digits and . _ - @ +, up to 100")
    return value


def _email(value: str) -> str:
    if value and not _EMAIL.fullmatch(value):
        raise ValueError("must be one e-mail address")
    return value.casefold()


def _slack_user(value: str) -> str:
    if value and not _SLACK_USER.fullmatch(value):
        raise ValueError("must be a Slack user id such as U012AB3CD (profile, “Copy member ID”)")
    return value


def _slack_groups(value: Mapping[str, Role]) -> Mapping[str, Role]:
    for group in value:
        if not _SLACK_GROUP.fullmatch(group):
            raise ValueError(f"{group} is no Slack user group id such as S0614TZR7")
    return value


PersonName = Annotated[str, AfterValidator(_name)]
SlackGroups = Annotated[Mapping[str, Role], AfterValidator(_slack_groups)]


class PersonSection(Section):
    """One person."""

    name: PersonName
    role: Role
    email: Annotated[str, AfterValidator(_email)] = ""
    slack: Annotated[str, AfterValidator(_slack_user)] = ""
    teams: tuple[Annotated[str, Field(min_length=1, max_length=100)], ...] = ()

    def person(self) -> Person:
        """As the rest of the agent knows them."""
        return Person(self.name, self.role, self.email, self.slack, frozenset(self.teams))


def problem_with(people: tuple[PersonSection, ...]) -> str:
    """What two entries both claim, in words; "" if each person is one."""
    for field in ("name", "email", "slack"):
        seen: set[str] = set()
        for each in people:
            value = getattr(each, field).casefold()
            if value and value in seen:
                return f"two people have the {field} {getattr(each, field)}; one would act as the other"
            seen.add(value)
    return ""
