"""`/oncall …` in Slack: what it does, who may, and words for whatever it does not understand."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agent.adapters.inline_run import InlineRun
from agent.domain.incident import Status
from agent.pipeline import answers
from agent.pipeline.handle import handle
from agent.simulators.slack import SlackSimulator
from tests.integration.web.conftest import Site
from tests.integration.web.slack_workplace import ALICE, BOB, Workplace, populate, workplace
from tests.unit.pipeline.conftest import runbook, step


@pytest.fixture
def slack() -> Iterator[SlackSimulator]:
    with SlackSimulator() as simulator:
        populate(simulator)
        yield simulator


@pytest.fixture
def place(site: Site, slack: SlackSimulator) -> Workplace:
    return workplace(site, slack)


VERA = "U0VERA"


@pytest.mark.parametrize("text", ["", "help", "  HELP  "])
def test_help_names_every_command(place: Workplace, text: str) -> None:
    told = place.type(ALICE, text)
    for name in (
        *("status", "runbooks", "run", "approve", "reject", "choose", "take", "stop", "resume"),
        *("who", "claim", "settle", "postmortem"),
    ):
        assert f"/oncall {name}" in told


@pytest.mark.parametrize("text", ["aprove inc-1", "<!channel>", "💥", "--help", "'; DROP TABLE", "\x00"])
def test_what_is_not_understood_is_told_and_does_nothing(place: Workplace, text: str) -> None:
    told = place.type(ALICE, text)
    assert "There is no" in told
    assert "<!channel>" not in told


def test_status_shows_what_waits_and_what_is_stopped(place: Workplace) -> None:
    assert place.type(VERA, "status").startswith("Nothing runs")
    said: list[str] = []

    def look(_: str) -> None:
        place.type(BOB, "stop service payments bad deploy")
        said.append(place.type(VERA, "status"))

    incident_id = place.waiting(look)
    assert f"{incident_id} waits for an approval" in said[0]
    assert "stopped for service payments by bob (by Slack): bad deploy" in said[0]


def test_runbooks_are_listed_with_how_far_they_may_go(place: Workplace) -> None:
    place.waiting(lambda _: None)
    assert "redis-connection-timeout" in place.type(VERA, "runbooks")


def test_approve_and_reject_by_typing(place: Workplace) -> None:
    said: list[str] = []
    incident_id = place.waiting(lambda each: said.append(place.type(ALICE, f"approve {each}")))
    assert said[0].startswith(f"You approved {incident_id}, plan ")
    assert place.site.store.incident(incident_id).status is Status.RESOLVED
    assert "👍 Approved by alice (by Slack)" in place.site.world.told(incident_id)


def test_an_incident_is_also_known_by_its_id_at_the_source(place: Workplace) -> None:
    incident_id = place.waiting(
        lambda each: place.type(BOB, f"reject {place.site.store.incident(each).alert.source_id}")
    )
    assert place.site.store.incident(incident_id).status is Status.ESCALATED


def test_take_is_a_stand_down(place: Workplace) -> None:
    incident_id = place.waiting(lambda each: place.type(BOB, f"take {each}"))
    assert place.site.store.incident(incident_id).status is Status.STOOD_DOWN


@pytest.mark.parametrize(
    ("text", "what", "ends"),
    [
        ("stop bad deploy", "everything", False),
        ("stop all bad deploy", "everything", False),
        ("stop now bad deploy", "everything", True),
        ("stop now service payments bad deploy", "service payments", True),
        ("stop RUNBOOK redis-timeout bad deploy", "runbook redis-timeout", False),
    ],
)
def test_stop_is_in_force_at_once_and_resume_lifts_it(
    place: Workplace, text: str, what: str, ends: bool
) -> None:
    told = place.type(BOB, text)
    (stop,) = place.site.store.stops()
    assert (stop.what, stop.ends_running, stop.reason) == (what, ends, "bad deploy")
    assert stop.by == "bob (by Slack)"
    assert f"/oncall resume {stop.id}" in told
    assert "bob is a responder; to resume takes the role approver" in place.type(BOB, f"resume {stop.id}")
    assert place.type(ALICE, "resume") == f"▶️ Resumed: {what}"
    assert place.site.store.stops() == []


@pytest.mark.parametrize("text", ["stop", "stop now", "stop all", "stop service", "stop service payments"])
def test_a_stop_without_its_reason_or_name_is_none(place: Workplace, text: str) -> None:
    assert place.type(BOB, text).startswith("Nothing was done: say ")
    assert place.site.store.stops() == []


def test_a_stop_that_is_sent_again_after_it_was_lifted_stops_nothing(place: Workplace) -> None:
    wire = place.hands.typing(BOB, "stop bad deploy")
    first = place.send(wire)
    place.type(ALICE, "resume")
    assert place.send(wire).words == first.words
    assert place.site.store.stops() == []


@pytest.mark.parametrize(
    "text",
    [
        *("approve inc-1", "choose inc-1 redis", "resume", "run redis", "stop it", "take inc-1"),
        *("reject inc-1", "claim esc-1", "settle esc-1 allow harmless"),
    ],
)
def test_a_viewer_changes_nothing(place: Workplace, text: str) -> None:
    assert "vera is a viewer" in place.type(VERA, text)
    assert place.site.store.all_stops() == []
    assert not place.site.notified


@pytest.mark.parametrize("text", ["status", "runbooks", "who", "postmortem inc-1"])
def test_nobody_reads_without_being_somebody(place: Workplace, text: str) -> None:
    place.site.settings["slack"]["groups"] = {}
    place.site.settings["people"] = [{"name": "alice", "role": "approver", "slack": ALICE}]
    assert "are nobody to this agent yet" in place.type("U0NOBODY", text)


@pytest.mark.parametrize(
    "text",
    [
        *("approve", "approve inc-404", "postmortem x", "resume stop-1", "claim nothing"),
        *("settle", "settle esc-1 allow", "settle esc-1 shrug it off", "settle esc-1 allow it is fine"),
    ],
)
def test_what_there_is_not_is_told(place: Workplace, text: str) -> None:
    assert place.type(ALICE, text).startswith("Nothing was done: ")


def test_run_starts_it_once_however_often_it_is_sent(place: Workplace) -> None:
    place.site.world.runbook(runbook(steps=step(1, "redis-cli PING")), "redis-timeout")
    place.site.world.context.library.reload()
    wire = place.hands.typing(ALICE, "run redis-timeout Redis is slow")
    told = [place.send(wire).words for _ in range(2)]
    (incident,) = place.site.store.incidents()
    assert told[0] == told[1]
    assert told[0] == f"{incident.id} is started: redis-timeout; its plan waits for a yes in its thread"
    assert (incident.alert.source, incident.alert.title) == ("asked", "Redis is slow")
    assert place.site.notified == 1


def test_run_of_what_there_is_not_starts_nothing(place: Workplace) -> None:
    assert "say which" in place.type(ALICE, "run")
    assert "there is no runbook nothing" in place.type(ALICE, "run nothing")
    assert "takes the role approver" in place.type(BOB, "run nothing")
    assert place.site.store.incidents() == []


def test_a_postmortem_says_what_it_was_and_what_is_to_be_done(place: Workplace) -> None:
    incident_id = place.waiting(lambda each: place.type(ALICE, f"approve {each}"))
    told = place.type(VERA, f"postmortem {incident_id}")
    assert f"Post-mortem of {incident_id}: Redis" in told
    assert "alice approved the plan" in told
    assert "☐ Give " in told
    assert f"/console/incidents/{incident_id}/postmortem" in told


def test_an_escalation_is_claimed(place: Workplace) -> None:
    incident_id = place.waiting(lambda each: place.type(BOB, f"reject {each}"))
    told = place.type(BOB, f"claim {incident_id}")
    assert "is yours" in told
    assert "bob has claimed it" in place.type(ALICE, f"claim {incident_id}")


def test_an_escalation_is_settled_with_a_note(place: Workplace) -> None:
    incident_id = place.waiting(lambda each: place.type(BOB, f"reject {each}"))
    assert "does not settle it" in place.type(BOB, f"settle {incident_id} allow harmless")
    assert "is settled: false alarm" in place.type(BOB, f"settle {incident_id} FALSE_ALARM it was a drill")
    item = place.site.store.queue_item(incident_id)
    assert item is not None
    assert item.resolution is not None
    assert (item.resolution.by, item.resolution.note) == ("bob", "it was a drill")


def test_who_says_who_one_is_and_what_one_may(place: Workplace) -> None:
    told = place.type(BOB, "who")
    assert told.startswith("You are bob, responder: you may view, claim, ")
    assert "approve" not in told.splitlines()[0]
    assert "alice  approver" in told


def test_a_yes_that_was_typed_for_the_plan_before_an_edit_is_none_to_the_one_after(place: Workplace) -> None:
    world, store = place.site.world, place.site.store
    more = "## Parameters\n- key: one of carts, sessions; default sessions\n"
    limits = "- max_cache_operations: 1\n- requires_human_approval: true"
    world.runbook(runbook(limits=limits, steps=step(1, "redis-cli DEL {{ key }}"), more=more))
    world.context.library.reload()
    world.answers("redis-cli DEL carts", "1")
    incident_id, said = world.receive(), list[str]()

    def edited() -> None:
        found = store.incident(incident_id)
        answers.edit(store, found, {"key": "carts"}, by="bob (by console)", now=world.clock.now())

    def typed() -> None:
        plan = store.plan(incident_id)
        assert plan is not None
        said.append(place.type(ALICE, f"approve {incident_id}"))
        said.append(place.type(ALICE, f"approve {incident_id} {plan.plan_hash[:12]}"))

    moves = [edited, typed]

    def wait(_: str) -> bool:
        if moves:
            moves.pop(0)()
            return True
        return False

    handle(InlineRun(world.clock, woken=wait), world.context, incident_id)
    assert "Nothing was done" in said[0]
    assert "has asked about 2 plans by now" in said[0]
    assert said[1].startswith("You approved")
    assert world.sandbox.commands() == ["redis-cli DEL carts"]


def test_an_id_at_the_source_that_is_one_of_ours_leads_nobody_astray(place: Workplace) -> None:
    first = place.site.world.page()
    place.site.world.page(title="Another one", source_id=first.id)
    told = place.type(ALICE, f"postmortem {first.id}")
    assert first.alert.title in told
    assert "Another one" not in told
