"""All that the API describes, asked in every way: no 500, nothing undescribed, no change without a token."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.domain.incident import Entry, EventKind
from agent.domain.people import Role
from agent.domain.sign_ins import ApiToken
from agent.web.identity import digest
from agent.web.openapi import OPENAPI
from tests.integration.web.conftest import API_TOKEN, Site

OPERATIONS = [
    (path, method, operation)
    for path, methods in OPENAPI["paths"].items()
    for method, operation in methods.items()
]

#: A token of somebody who may only look, whatever the token says.
VIEWERS = "oat_of_a_viewer"

texts = st.text(max_size=30) | st.sampled_from(
    ["", " ", "\x00", "inc-0", "a" * 2_000, "💥", "<!channel>", "0" * 64]
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def fitting(schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    """Values as a schema of ours wants them."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "pattern" in schema:
        return st.from_regex(schema["pattern"], fullmatch=True)
    if schema.get("type") == "boolean":
        return st.booleans()
    if schema.get("type") == "integer":
        return st.integers(schema.get("minimum"), schema.get("maximum"))
    return st.text(min_size=schema.get("minLength", 0), max_size=min(schema.get("maxLength", 30), 30))


@st.composite
def bodies(draw: st.DrawFn, operation: Mapping[str, Any]) -> bytes:
    """What it asks for, or that with something wrong in it, or anything at all."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    properties = content.get("schema", {}).get("properties", {})
    whole = {name: draw(fitting(schema)) for name, schema in properties.items()}
    kind = draw(st.sampled_from(["whole", "whole", "bent", "other", "bytes"]))
    if kind == "bytes":
        return draw(st.binary(max_size=40))
    if kind == "other":
        return json.dumps(draw(anything)).encode()
    if kind == "bent" and whole:
        name = draw(st.sampled_from([*whole, "unknown"]))
        if draw(st.booleans()) and name in whole:
            del whole[name]
        else:
            whole[name] = draw(anything)
    return json.dumps(whole).encode()


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    path, method, operation = draw(st.sampled_from(OPERATIONS))
    query = {
        each["name"]: draw(fitting(each["schema"]) | texts)
        for each in operation.get("parameters", [])
        if each["in"] == "query" and draw(st.booleans())
    }
    token = draw(st.sampled_from([API_TOKEN, API_TOKEN, VIEWERS, "", "another", "oat_x", "\x7f"]))
    kind = draw(st.sampled_from(["application/json", "application/json; charset=utf-8", "text/plain", ""]))
    return {
        "operation": operation,
        "token": token,
        "path": path.replace("{id}", quote(draw(texts | st.just("KNOWN")), safe="") or "x"),
        "method": method.upper(),
        "query_string": query,
        "headers": {"Content-Type": kind, **({"Authorization": f"Bearer {token}"} if token else {})},
        "data": draw(bodies(operation)),
    }


def state(site: Site) -> tuple[Any, ...]:
    """All that a change could change."""
    decisions = sorted(site.store.untold_decisions())
    stops = sorted(
        (each.id, each.ends_running, each.is_in_force) for each in site.store.all_stops(limit=1_000)
    )
    return decisions, stops, len(list(site.store.audit_entries()))


@pytest.fixture
def known(site: Site) -> Site:
    """With a token, a viewer's too, and an incident that can be asked about."""
    site.settings["server"] = {"api_token": site.secret("token", API_TOKEN)}
    site.settings["people"] = [{"name": "vera", "role": "viewer"}]
    vera = site.config.person("vera")
    assert vera is not None
    token = ApiToken("token-0", "vera", "", Role.ADMIN, site.world.clock.now(), "root")
    site.store.keep_token(token, digest(VIEWERS), Entry("made", EventKind.ACCESS, "made"))
    return site


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(asked=requests())
def test_whatever_is_asked_the_answer_is_described_and_only_the_token_changes_anything(
    known: Site, asked: dict[str, Any]
) -> None:
    incidents = known.store.incidents(limit=1)
    incident_id = incidents[0].id if incidents else known.world.receive()
    operation, token = asked.pop("operation"), asked.pop("token")
    before = state(known)
    answer = known.client.open(**asked | {"path": asked["path"].replace("KNOWN", incident_id)})
    described = operation["responses"]
    if answer.mimetype == "application/zip":
        assert "application/zip" in described["200"]["content"]
    elif str(answer.status_code) in described:
        assert answer.is_json
        content = described[str(answer.status_code)]["content"]["application/json"]
        jsonschema.validate(answer.get_json(), content["schema"])
    else:  # an id with a slash in it is another address
        assert answer.is_json
        assert (answer.status_code, "%2F" in asked["path"]) in {(404, True), (405, True)}
    if token != API_TOKEN or asked["method"] == "GET" or answer.status_code >= 400:
        assert state(known) == before
    if token == VIEWERS and asked["method"] != "GET":
        # no token opens what agents post to each other: it is signed
        signed = {401} if operation.get("security") == [{}] else set()
        assert answer.status_code in {400, 403, 404, 405, 413, 415} | signed
    elif token not in (API_TOKEN, VIEWERS):
        assert answer.status_code in (401, 404)
