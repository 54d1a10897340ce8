"""Who may do what, and what the configuration refuses to believe of people."""

from __future__ import annotations

from typing import Any

import pytest

from agent.config import parse
from agent.domain.errors import ConfigError
from agent.domain.people import LEAST_ROLE, Actor, Deed, Person, Role, Via, refusal


def people(*entries: dict[str, Any]) -> tuple[Person, ...]:
    return tuple(each.person() for each in parse({"people": list(entries)}, path="config.yaml").people)


def test_a_person_is_known_by_name_address_and_slack_id() -> None:
    entry = {"name": "sam", "role": "approver", "email": "Sam@Example.com", "slack": "U012AB3CD"}
    assert people(entry | {"teams": ["payments"]}) == (
        Person("sam", Role.APPROVER, "sam@example.com", "U012AB3CD", frozenset({"payments"})),
    )


@pytest.mark.parametrize("field", ["name", "email", "slack"])
def test_nobody_can_be_two_people(field: str) -> None:
    same = {"name": "sam", "email": "sam@example.com", "slack": "U012AB3CD"}[field]
    first = {"name": "kim", "role": "viewer", field: same}
    second = {"name": "lee", "role": "admin", field: same}
    with pytest.raises(ConfigError, match=f"two people have the {field}"):
        people(first, second)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "sam\nx"}, {"name": ""}, {"role": "root"}, {"email": "sam"}, {"slack": "#general"},
        {"teams": [""]}, {"password": "x"},
    ],
)  # fmt: skip
def test_an_entry_that_is_not_understood_is_an_error(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="people"):
        people({"name": "sam", "role": "viewer"} | wrong)


def test_a_slack_group_is_named_by_its_id() -> None:
    assert parse({"slack": {"groups": {"S0614TZR7": "approver"}}}, path="c").slack is not None
    with pytest.raises(ConfigError, match="user group id"):
        parse({"slack": {"groups": {"@oncall": "approver"}}}, path="c")


def test_every_deed_asks_for_a_role_and_whoever_has_less_is_told_which() -> None:
    assert set(LEAST_ROLE) == set(Deed)
    sam = Person("sam", Role.RESPONDER)
    assert refusal(sam, Deed.STAND_DOWN) == ""
    assert refusal(sam, Deed.APPROVE) == (
        "sam is a responder; to approve takes the role approver (`people` in config.yaml)"
    )
    assert str(Actor(sam, Via.SLACK)) == "sam (by Slack)"


@pytest.mark.parametrize("role", Role)
def test_a_role_may_all_that_the_lesser_ones_may(role: Role) -> None:
    lesser = list(Role)[: list(Role).index(role) + 1]
    assert [each for each in Role if role.covers(each)] == lesser
