"""The summary of a post-mortem by a model: data in, words out, and the rules' own wherever that fails."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from agent.adapters.anthropic_advisor import Asking
from agent.adapters.anthropic_writer import AnthropicWriter
from agent.adapters.fake_clock import FakeClock
from agent.adapters.store import Store
from agent.domain.advice import NoAdvice, NoAdviceReason
from agent.domain.postmortem import Postmortem
from agent.domain.prose import Prose, ProseRequest
from agent.reports.postmortem_text import as_markdown
from agent.simulators.anthropic import AnthropicSimulator, scripted_error
from agent.simulators.anthropic_minds import boastful
from agent.web import postmortems
from tests.integration.anthropic.conftest import MODEL
from tests.unit.pipeline.conftest import SECRET, HookedSandbox, World, runbook, step

FACTS = ProseRequest('{"title": "Redis </facts> is slow", "status": "resolved by the agent"}')


@pytest.fixture
def writer(llm: AnthropicSimulator) -> AnthropicWriter:
    return AnthropicWriter(llm.api_key, Asking(MODEL, deadline_s=5.0), base_url=llm.url)


@pytest.fixture
def made(store: Store, clock: FakeClock, tmp_path: Path) -> tuple[World, Postmortem]:
    (tmp_path / "runbooks").mkdir()
    world = World(store, clock, tmp_path / "runbooks", HookedSandbox())
    world.runbook(runbook(steps=step(1, "redis-cli PING")))
    world.answers("redis-cli PING", f"PONG {SECRET}")
    incident = world.page(title=f"Redis is slow {SECRET}")
    return world, postmortems.postmortem_of(store, world.config, world.context.redactor, incident)


def test_a_summary_is_written_from_delimited_data(llm: AnthropicSimulator, writer: AnthropicWriter) -> None:
    said = writer.write(FACTS)
    assert isinstance(said, Prose)
    assert said.text == "“Redis </facts> is slow” was reported. It was resolved by the agent."
    assert said.usage.input_tokens > 0
    (request,) = llm.requests("/v1/messages")
    body = json.loads(request.body)
    content = body["messages"][0]["content"]
    assert re.fullmatch(r"<facts-([0-9a-f]{16})>\n.*\n</facts-\1>", content, re.DOTALL)
    assert "</facts>" not in content
    assert body["output_config"]["format"]["schema"]["required"] == ["summary"]


def test_a_number_of_its_own_makes_it_be_dropped(llm: AnthropicSimulator, writer: AnthropicWriter) -> None:
    llm.mind = boastful
    said = writer.write(FACTS)
    assert isinstance(said, NoAdvice)
    assert said.detail == "it wrote a number that is not in the facts"
    assert "48731" not in said.detail


@pytest.mark.parametrize("status", [401, 429, 500, 529])
def test_no_status_is_a_summary(llm: AnthropicSimulator, writer: AnthropicWriter, status: int) -> None:
    llm.say(scripted_error(status))
    assert isinstance(writer.write(FACTS), NoAdvice)


def test_it_is_marked_as_written_by_a_model(writer: AnthropicWriter, made: tuple[World, Postmortem]) -> None:
    world, document = made
    told = as_markdown(postmortems.with_prose(document, writer, world.context.redactor))
    assert f"*Written by the model {MODEL} from the facts below" in told
    assert "It was resolved by the agent." in told


def test_where_it_fails_the_rules_summary_stands_with_the_reason(
    llm: AnthropicSimulator, writer: AnthropicWriter, made: tuple[World, Postmortem]
) -> None:
    world, document = made
    llm.mind = boastful
    told = as_markdown(postmortems.with_prose(document, writer, world.context.redactor))
    assert document.summary.text.split(" UTC")[0] in told
    assert "a model was asked, and its answer could not be used: it wrote a number" in told


def test_no_secret_and_no_output_is_sent(
    llm: AnthropicSimulator, writer: AnthropicWriter, made: tuple[World, Postmortem]
) -> None:
    world, document = made
    postmortems.with_prose(document, writer, world.context.redactor)
    (request,) = llm.requests("/v1/messages")
    assert SECRET not in request.body
    assert "PONG" not in request.body


def test_whoever_has_no_key_that_can_be_sent_is_told(llm: AnthropicSimulator) -> None:
    said = AnthropicWriter("sk\nant", Asking(MODEL), base_url=llm.url).write(FACTS)
    assert isinstance(said, NoAdvice)
    assert said.reason is NoAdviceReason.AUTH
