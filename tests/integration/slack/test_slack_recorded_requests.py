"""Our requests and the simulated answers, held against Slack's own published description."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs

import httpx
import jsonschema
import pytest

DESCRIPTION = Path(__file__).parents[4] / "shared" / "contracts" / "slack" / "web-api-openapi-subset.json"
# Left to the SDK's newer face: the description is of 2021.
NEWER = {"metadata"}  # documentation page "Message metadata"
PYTHON_TYPES = {"string": str, "boolean": bool, "number": int | float, "integer": int}


@pytest.fixture(scope="module")
def described() -> dict:
    if not DESCRIPTION.exists():
        pytest.skip("Slack's description is not beside this checkout")
    return json.loads(DESCRIPTION.read_text())


@pytest.fixture
def recorded(slack, bot, card):
    ref = bot.post_root(card, key="inc-1")
    bot.update_root(ref, replace(card, status="resolved"))
    bot.post_lines(ref, ["said:\n    OK"], keys=["17"], broadcast=True)
    bot.post_lines("", ["in the channel"])
    return slack.requests("/api/chat.")


def test_every_argument_we_send_is_described(described, recorded):
    assert len(recorded) == 4
    for request in recorded:
        method = described["paths"][request.path.removeprefix("/api")]["post"]
        known = {each["name"]: each for each in method["parameters"] if each["in"] == "formData"}
        body = json.loads(request.body)
        assert set(body) - NEWER <= set(known)
        assert {name for name, each in known.items() if each.get("required")} <= set(body)
        for name, value in body.items():
            if name in NEWER:
                continue
            # In a JSON body blocks are a list, in a form the list's JSON text: the description is of forms.
            wanted = list if name == "blocks" else PYTHON_TYPES[known[name]["type"]]
            assert isinstance(value, wanted), name


def test_what_marks_a_message_holds_texts_alone(recorded):
    marks = [json.loads(each.body)["metadata"] for each in recorded if '"metadata"' in each.body]
    assert [mark["event_payload"] for mark in marks] == [{"incident": "inc-1"}, {"letters": "17"}]


def test_every_argument_that_we_ask_with_is_described(described, slack, bot, card):
    ref = bot.post_root(card, key="inc-1")
    bot.find_root("inc-1", since=datetime.now(UTC))
    bot.find_lines(ref, since=datetime.now(UTC))
    asked = slack.requests("/api/conversations.")
    assert [each.path for each in asked] == ["/api/conversations.history", "/api/conversations.replies"]
    for request in asked:
        method = described["paths"][request.path.removeprefix("/api")]["get"]
        known = {each["name"] for each in method["parameters"]} | {"include_all_metadata"}
        assert set(parse_qs(request.query)) <= known
        assert len(request.body) == 0


def test_a_thread_is_named_by_a_string(recorded):
    replies = [json.loads(each.body) for each in recorded if "thread_ts" in each.body]
    assert replies
    assert all(isinstance(each["thread_ts"], str) for each in replies)


def shape_of(described: dict, method: str, verb: str, answer: str) -> jsonschema.Draft4Validator:
    schema = described["paths"][f"/{method}"][verb]["responses"][answer]["schema"]
    return jsonschema.Draft4Validator({**schema, "definitions": described["definitions"]})


@pytest.mark.parametrize(
    ("method", "verb"),
    [
        ("auth.test", "get"),
        ("chat.postMessage", "post"),
        ("conversations.history", "get"),
        ("conversations.replies", "get"),
    ],
)
def test_a_simulated_refusal_has_the_described_shape(described, slack, method, verb):
    answer = httpx.post(f"{slack.api_url}{method}", trust_env=False).json()
    shape_of(described, method, verb, "default").validate(answer)


def test_a_simulated_success_has_the_described_shape(described, slack):
    headers = {"Authorization": f"Bearer {slack.bot_token}"}
    body = {"channel": "#incidents", "text": "hello"}
    with httpx.Client(base_url=slack.api_url, headers=headers, trust_env=False) as web:
        made = web.post("chat.postMessage", json=body).json()
        changed = web.post("chat.update", json={**body, "channel": made["channel"], "ts": made["ts"]}).json()
    shape_of(described, "chat.postMessage", "post", "200").validate(made)
    shape_of(described, "chat.update", "post", "200").validate(changed)
