"""A run that somebody asks for: exactly that runbook, always with a yes, and nobody's page is touched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from agent.domain.alert import Severity
from agent.domain.incident import EventKind, Incident, Status, is_asked
from agent.domain.people import Actor, Person, Role, Via
from agent.domain.stops import StopAsked, StopScope
from agent.pipeline import answers, asked, stops
from agent.pipeline.answers import NotTaken
from agent.pipeline.asked import NotStarted, RunAsked, Started
from agent.pipeline.telling import Teller
from tests.unit.pipeline.conftest import World, runbook, step

NAME = "redis-memory"
PEOPLE = [{"name": name, "role": "approver"} for name in ("alice", "bob")]
WANTED = RunAsked(NAME, "key-1", "Memory is short", "cache", Severity.ERROR, {"db": "sessions"})


def somebody(name: str = "alice", role: Role = Role.APPROVER) -> Actor:
    return Actor(Person(name, role), Via.SLACK)


@pytest.fixture
def one(world: World) -> World:
    """A runbook that may run alone, whose conditions do not hold for what is asked."""
    text = runbook(
        title="Redis Memory",
        triggers='- Alert contains: "disk"',
        steps=step(1, "redis-cli DEL {{ db }}"),
        more='## Parameters\n- db: label "db"; pattern /[a-z]+/\n',
    )
    world.runbook(text, NAME)
    world.answers("redis-cli DEL sessions", "1")
    return world


def start(world: World, wanted: RunAsked = WANTED, actor: Actor | None = None) -> Started | NotStarted:
    teller = Teller(world.store, world.context.redactor, world.context.channels)
    return asked.start(teller, world.context.library.runbooks, wanted, actor or somebody())


def started(world: World) -> str:
    found = start(world)
    assert isinstance(found, Started)
    world.store.begin_run(found.incident_id, "main")
    return found.incident_id


def played(world: World, *moves: Callable[[str], object]) -> tuple[Incident, list[object]]:
    incident_id = started(world)
    left, results = list(moves), list[object]()

    def wait(_: str) -> bool:
        if not left:
            return False
        results.append(left.pop(0)(incident_id))
        return True

    world.on_wait = wait
    return world.handle(incident_id), results


def yes(world: World, name: str) -> Callable[[str], object]:
    def move(incident_id: str) -> object:
        return answers.decide(
            world.store, world.store.incident(incident_id), approved=True, by=str(somebody(name)),
            now=world.clock.now(), actor=somebody(name),
        )  # fmt: skip

    return move


def why(answer: object) -> str:
    assert isinstance(answer, NotStarted | NotTaken)
    return answer.why


def test_it_asks_for_a_yes_and_then_runs_with_what_was_said(one: World) -> None:
    incident, _ = played(one, yes(one, "bob"))
    assert is_asked(incident.id)
    assert (incident.status, incident.runbook_id) == (Status.RESOLVED, NAME)
    assert one.sandbox.commands() == ["redis-cli DEL sessions"]
    assert incident.match_reasons == ("asked for by alice (by Slack)",)
    assert EventKind.APPROVAL_REQUESTED.value in one.kinds(incident.id)
    assert "🙋 alice (by Slack) asks for a run of redis-memory; it waits for a yes" in one.told(incident.id)
    assert any("asks for a run" in line for line in one.chat.threads[0].lines)


def test_nothing_is_written_at_any_source(one: World) -> None:
    incident, _ = played(one, yes(one, "bob"))
    untouched = type(one.desk)().__dict__
    assert {name: value for name, value in one.desk.__dict__.items() if name != "_lock"} == {
        name: value for name, value in untouched.items() if name != "_lock"
    }
    assert "👋 Taking it" in one.told(incident.id)


def test_without_a_yes_nothing_runs_and_a_human_is_paged(one: World) -> None:
    incident, _ = played(one)
    assert incident.status is Status.ESCALATED
    assert one.sandbox.commands() == []
    assert len(one.pager.woken) == 1


def test_who_asked_does_not_count_under_four_eyes(one: World) -> None:
    one.configure(approval={"four_eyes": True})
    one.config = type(one.config).model_validate(one.config.model_dump() | {"people": PEOPLE})
    incident, (own, _) = played(one, yes(one, "alice"), yes(one, "bob"))
    assert "four eyes: alice asked for it" in why(own)
    assert incident.status is Status.RESOLVED


def test_what_the_guards_refuse_is_refused(one: World) -> None:
    found = start(one, replace(WANTED, labels={"db": "x; rm"}))
    assert isinstance(found, Started)
    one.store.begin_run(found.incident_id, "main")
    incident = one.handle(found.incident_id)
    assert "Refused" in incident.result
    assert one.sandbox.commands() == []


def test_asked_for_twice_with_one_key_it_is_one_run(one: World) -> None:
    first, again, others = start(one), start(one), start(one, actor=somebody("bob"))
    assert isinstance(first, Started)
    assert again == Started(first.incident_id, again=True)
    assert isinstance(others, Started)
    assert others.incident_id != first.incident_id


def test_one_key_is_not_for_two_runbooks(one: World) -> None:
    one.runbook(runbook(steps=step(1, "redis-cli PING")), "other")
    start(one)
    assert "a run of redis-memory was asked for" in why(start(one, replace(WANTED, runbook="other")))


@pytest.mark.parametrize(
    ("wanted", "actor", "words"),
    [
        (replace(WANTED, runbook="nothing"), somebody(), "there is no runbook nothing"),
        (replace(WANTED, labels={"oncall.runbook": "x"}), somebody(), "are the agent's own"),
        (WANTED, somebody("rita", Role.RESPONDER), "takes the role approver"),
    ],
)
def test_what_cannot_be_started_says_why(one: World, wanted: RunAsked, actor: Actor, words: str) -> None:
    assert words in why(start(one, wanted, actor))
    assert one.store.incidents() == []


def test_what_is_stopped_is_not_started(one: World) -> None:
    teller = Teller(one.store, one.context.redactor, one.context.channels)
    stops.put(teller, StopAsked(StopScope.RUNBOOK, NAME, "broken", "bob"), now=one.clock.now())
    assert "is stopped" in why(start(one))


def test_it_earns_its_runbook_nothing_and_teaches_nothing(one: World) -> None:
    played(one, yes(one, "bob"))
    assert one.store.autonomy_of(NAME) is None
    assert list(one.store.lately_resolved(10)) == []


def test_asked_for_again_it_is_neither_flapping_nor_back(one: World) -> None:
    played(one, yes(one, "bob"))
    one.answers("redis-cli DEL sessions", "1")
    found = start(one, replace(WANTED, key="key-2"))
    assert isinstance(found, Started)
    one.store.begin_run(found.incident_id, "main")
    one.on_wait = lambda _: not isinstance(yes(one, "bob")(found.incident_id), NotTaken)
    assert one.handle(found.incident_id).status is Status.RESOLVED
