"""The policies for AWS name actions that AWS has, and resources in the form that it uses."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path

import botocore.session
import pytest

from agent.safety import least_policy
from agent.safety.least_rights import LibraryRights
from tests.unit.deploy.conftest import DEPLOY

FILES = sorted((DEPLOY / "aws").glob("*.json"))


@functools.cache
def operations(service: str) -> frozenset[str]:
    """What the vendor's own client can call; these IAM actions bear the same names."""
    return frozenset(botocore.session.get_session().get_service_model(service).operation_names)


def is_known(action: str) -> bool:
    service, _, name = action.partition(":")
    try:
        return name == "*" or name in operations(service)
    except botocore.exceptions.UnknownServiceError:
        return False


def actions_of(document: object) -> list[str]:
    statements = document["Statement"]  # type: ignore[index]
    listed = [statement["Action"] for statement in statements]
    return [each for action in listed for each in ([action] if isinstance(action, str) else action)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_action_is_one_that_aws_has(path: Path) -> None:
    assert [each for each in actions_of(json.loads(path.read_text())) if not is_known(each)] == []


def test_the_denials_that_are_shown_are_actions_that_aws_has() -> None:
    shown = actions_of(least_policy.policy(LibraryRights(())))
    assert [each for each in shown if not is_known(each)] == []


@pytest.mark.parametrize("action", ["eks:DescribePod", "eks:GetPodLogs"])
def test_pods_are_nothing_that_aws_grants(action: str) -> None:
    assert not is_known(action)
    assert action in (DEPLOY.parent / "docs" / "kubernetes.md").read_text()


def test_resources_name_their_region_account_and_kind() -> None:
    document = json.loads((DEPLOY / "aws" / "agent-policy.json").read_text())
    allowed = [each["Resource"] for each in document["Statement"] if each["Effect"] == "Allow"]
    assert all(re.fullmatch(r"arn:aws:[a-z]+:[a-z0-9-]+:[0-9]{12}:[a-z]+[:/].+", each) for each in allowed)


def test_only_the_agents_own_service_account_may_take_the_role() -> None:
    (statement,) = json.loads((DEPLOY / "aws" / "trust-policy.json").read_text())["Statement"]
    conditions = {
        key.rpartition(":")[2]: value for key, value in statement["Condition"]["StringEquals"].items()
    }
    assert conditions == {
        "aud": "sts.amazonaws.com",
        "sub": "system:serviceaccount:oncall-agent:oncall-agent",
    }
