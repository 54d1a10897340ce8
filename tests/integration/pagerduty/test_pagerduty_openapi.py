"""What the adapters send and what the simulator answers, held against PagerDuty's published OpenAPI files."""

import json
from pathlib import Path
from urllib.parse import parse_qs, quote

import httpx
import pytest
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from agent.domain.alert import Severity
from agent.ports import Page

SPECS = Path(__file__).resolve().parents[4] / "shared/contracts/pagerduty"
REST, EVENTS = SPECS / "rest-openapi-subset.json", SPECS / "events-v2-openapi.json"

pytestmark = pytest.mark.skipif(not REST.exists(), reason="the shared contracts are not at hand")


def nullable_as_json_schema(node):
    """OpenAPI 3.0 says `nullable` where JSON Schema says `"null"`."""
    if isinstance(node, list):
        return [nullable_as_json_schema(each) for each in node]
    if not isinstance(node, dict):
        return node
    changed = {key: nullable_as_json_schema(value) for key, value in node.items()}
    if changed.pop("nullable", False) is True and isinstance(changed.get("type"), str):
        changed["type"] = [changed["type"], "null"]
    return changed


def without_nulls(value):
    """The real API sends null for nearly everything, whatever its specification says."""
    if isinstance(value, dict):
        return {key: without_nulls(each) for key, each in value.items() if each is not None}
    return [without_nulls(each) for each in value] if isinstance(value, list) else value


class Spec:
    def __init__(self, path):
        self.document = json.loads(path.read_text())
        resource = DRAFT202012.create_resource(nullable_as_json_schema(self.document))
        self.registry = Registry().with_resource("urn:spec", resource)

    def template(self, path):
        known = self.document["paths"]
        if path in known:
            return known[path], path
        parts = path.split("/")
        for template in known:
            names = template.split("/")
            if len(names) == len(parts) and all(
                name == part or name.startswith("{") for name, part in zip(names, parts, strict=True)
            ):
                return known[template], template
        return None

    def check(self, value, *pointer):
        fragment = "".join("/" + quote(part.replace("~", "~0").replace("/", "~1")) for part in pointer)
        validator = Draft202012Validator({"$ref": f"urn:spec#{fragment}"}, registry=self.registry)
        assert [error.message for error in validator.iter_errors(value)] == [], pointer

    def parameters(self, operation):
        for parameter in operation.get("parameters", []):
            ref = parameter.get("$ref", "").rpartition("/")[2]
            yield self.document["components"]["parameters"][ref] if ref else parameter


BODY = ("requestBody", "content", "application/json", "schema")


def check_request(spec, recorded, path):
    operations, template = spec.template(path)
    operation = operations[recorded.method.lower()]
    known = {each["name"] for each in spec.parameters(operation) if each["in"] == "query"}
    assert set(parse_qs(recorded.query)) <= known, recorded
    for parameter in spec.parameters(operation):
        needed = parameter["in"] == "header" and parameter.get("required")
        # Content-Type is "required" even for GET by the specification; a request without body has none.
        if needed and (parameter["name"] != "Content-Type" or recorded.body):
            assert recorded.headers.get(parameter["name"]), (recorded, parameter["name"])
    if "requestBody" in operation:
        spec.check(json.loads(recorded.body), "paths", template, recorded.method.lower(), *BODY)


def exercise(pagerduty, desk, pager):
    incident = pagerduty.create_incident("Redis is down", labels={"pod": "redis-0"})
    desk.facts(incident.id)
    desk.acknowledge(incident.id)
    desk.note(incident.id, "Step 1 passed")
    desk.resolve(incident.id, "done")
    desk.own_user_id()
    pager.page(Page("k", "A human is needed", Severity.CRITICAL, "redis-0", details={"a": 1}))
    pager.clear("k")


def test_every_request_to_the_rest_api_is_as_specified(pagerduty, desk, pager):
    exercise(pagerduty, desk, pager)
    spec, checked = Spec(REST), set()
    for recorded in pagerduty.requests():
        # GET /users is not in the collected part of the specification
        if recorded.path not in {"/v2/enqueue", "/users"}:
            check_request(spec, recorded, recorded.path)
            checked.add((recorded.method, recorded.path.rpartition("/")[2].removeprefix("Q")[:5]))
    assert len(checked) >= 6


def test_every_request_to_the_events_api_is_as_specified(pagerduty, desk, pager):
    exercise(pagerduty, desk, pager)
    spec = Spec(EVENTS)
    events = pagerduty.requests("/v2/enqueue")
    for recorded in events:
        check_request(spec, recorded, "/enqueue")
        payload = json.loads(recorded.body).get("payload")
        if payload:
            spec.check(payload, "components", "schemas", "Payload")
    assert len(events) == 2


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/incidents/{}", "/incidents/{id}"),
        ("/incidents/{}/alerts", "/incidents/{id}/alerts"),
        ("/incidents/{}/notes", "/incidents/{id}/notes"),
        ("/webhook_subscriptions", "/webhook_subscriptions"),
    ],
)
def test_every_answer_of_the_simulator_is_as_specified(pagerduty, desk, path, template):
    pagerduty.subscribe("http://127.0.0.1:9/nowhere")
    incident = pagerduty.create_incident("Redis is down", labels={"a": "b"}, priority="P1", team="Platform")
    desk.acknowledge(incident.id)
    desk.note(incident.id, "looking")
    headers = {
        "Authorization": f"Token token={pagerduty.api_token}",
        "Accept": "application/vnd.pagerduty+json;version=2",
    }
    answer = httpx.get(pagerduty.url + path.format(incident.id), headers=headers, trust_env=False)
    assert answer.status_code == 200
    spec = Spec(REST)
    schema = ("get", "responses", "200", "content", "application/json", "schema")
    spec.check(without_nulls(answer.json()), "paths", template, *schema)


def test_the_events_answer_of_the_simulator_is_as_specified(pagerduty):
    event = {
        "routing_key": pagerduty.routing_key,
        "event_action": "trigger",
        "payload": {"summary": "s", "source": "x", "severity": "info"},
    }
    answer = httpx.post(f"{pagerduty.url}/v2/enqueue", json=event, trust_env=False)
    assert answer.status_code == 202
    content = ("content", "application/json", "schema")
    Spec(EVENTS).check(answer.json(), "components", "responses", "Success", *content)
    refused = httpx.post(f"{pagerduty.url}/v2/enqueue", json={}, trust_env=False)
    assert refused.status_code == 400
    Spec(EVENTS).check(refused.json(), "components", "responses", "Error", *content)
