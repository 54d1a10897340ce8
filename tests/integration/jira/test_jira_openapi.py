"""What the adapter sends and what the simulator answers, held against Atlassian's published OpenAPI file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from agent.adapters.jira_webhook import read, verify
from agent.domain.tickets import TicketChange
from agent.simulators.jira import EMAIL, TOKEN, WEBHOOK_SECRET, JiraSimulator
from agent.simulators.server import Recorded
from tests.integration.jira.conftest import TICKET, tracker_at

CONTRACTS = Path(__file__).resolve().parents[4] / "shared/contracts/jira"
SPEC = CONTRACTS / "cloud-v3-openapi-subset.json"

pytestmark = pytest.mark.skipif(not SPEC.exists(), reason="the shared contracts are not at hand")

BODY = ("requestBody", "content", "application/json", "schema")


class Spec:
    """The published file."""

    def __init__(self) -> None:
        self.document: Any = json.loads(SPEC.read_text())
        resource = DRAFT202012.create_resource(self.document)
        self.registry: Registry[Any] = Registry().with_resource("urn:spec", resource)

    def operation(self, method: str, path: str) -> Any:
        """What is published for a request; None if it is not in the part that was collected."""
        parts = path.split("/")
        for template, operations in self.document["paths"].items():
            names = template.split("/")
            if len(names) == len(parts) and all(
                name == part or name.startswith("{") for name, part in zip(names, parts, strict=True)
            ):
                return operations.get(method.lower())
        return None

    def problems(self, value: object, schema: object) -> list[str]:
        """What does not fit."""
        whole = json.loads(json.dumps(schema).replace('"#/', '"urn:spec#/'))
        return [
            error.message for error in Draft202012Validator(whole, registry=self.registry).iter_errors(value)
        ]


def sent_as_published(spec: Spec, recorded: Recorded) -> None:
    operation = spec.operation(recorded.method, recorded.path)
    assert operation is not None, recorded
    known = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"}
    assert set(parse_qs(recorded.query)) <= known, recorded
    if "requestBody" in operation:
        body = json.loads(recorded.body)
        if "transition" in body:  # the client sends the id as a number, which Jira takes as well
            body["transition"]["id"] = str(body["transition"]["id"])
        schema: Any = operation
        for part in BODY:
            schema = schema[part]
        assert spec.problems(body, schema) == [], recorded


def exercise(sim: JiraSimulator) -> None:
    tracker = tracker_at(sim)
    ref = tracker.open(TICKET, mark="oncall-1").ref
    tracker.find("oncall-1", project="AIGOV")
    tracker.comment(ref, "half of its time is over")
    tracker.comment(ref, "half of its time is over", again=True)
    tracker.close(ref, "block", "settled")
    tracker.field_kinds()
    tracker.who()
    tracker.issue_types("AIGOV")


def test_every_request_is_as_published(cloud: JiraSimulator) -> None:
    exercise(cloud)
    spec, requests = Spec(), cloud.requests()
    for recorded in requests:
        sent_as_published(spec, recorded)
        assert recorded.status in (200, 201, 204), recorded
    assert len({(each.method, each.path) for each in requests}) == 10


@pytest.mark.parametrize(
    "path",
    [
        "/issue/10001",
        "/issue/10001/comment",
        "/issue/10001/transitions",
        "/field",
        "/myself",
        "/issue/createmeta/AIGOV/issuetypes",
    ],
)
def test_every_answer_of_the_simulator_is_as_published(cloud: JiraSimulator, path: str) -> None:
    tracker = tracker_at(cloud)
    ref = tracker.open(TICKET, mark="oncall-1").ref
    tracker.comment(ref, "something")
    query = "?expand=transitions.fields" if "transitions" in path else ""
    answer = httpx.get(f"{cloud.url}/rest/api/3{path}{query}", auth=(EMAIL, TOKEN), trust_env=False)
    spec = Spec()
    schema = spec.operation("GET", f"/rest/api/3{path}")["responses"]["200"]["content"]["application/json"]
    assert spec.problems(answer.json(), schema["schema"]) == []


def test_the_published_signature_is_ours() -> None:
    vector = json.loads((CONTRACTS / "webhook-rules.json").read_text())["signature"]["vector"]
    raw = vector["raw_body"].encode()
    assert verify(raw, vector["value"], [vector["secret"]])
    assert not verify(raw + b"!", vector["value"], [vector["secret"]])


def test_a_webhook_that_a_real_jira_sent_is_read() -> None:
    change = read((CONTRACTS / "real.issue_updated.status.cloud.json").read_bytes(), "wh-1")
    assert isinstance(change, TicketChange)
    assert (change.ref.id, change.ref.name) == ("10000", "TEST-1")
    assert (change.status, change.category, change.resolution) == ("In Progress", "indeterminate", "")
    assert (change.by, change.email, change.is_moved) == ("Example Admin", "user@example.com", True)


def test_the_simulators_webhook_has_what_a_real_one_has(cloud: JiraSimulator) -> None:
    tracker_at(cloud).open(TICKET, mark="oncall-1")
    told = json.loads(cloud.move_as_human("AIGOV-1", "Resolved", "Done").raw)
    real = json.loads((CONTRACTS / "real.issue_updated.status.cloud.json").read_text())
    assert set(told) == set(real)
    assert set(told["changelog"]["items"][0]) <= set(real["changelog"]["items"][0])
    assert set(told["user"]) <= set(real["user"])
    assert WEBHOOK_SECRET not in json.dumps(told)
