"""Autonomy is earned run by run, and lost at once: by a failure, a recurrence, changed commands or limits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agent.domain.autonomy import Ran
from agent.domain.incident import EventKind, Incident, Status
from agent.domain.people import Actor, Person, Role, Via
from agent.domain.queue import Action, Escalated
from agent.domain.records import Decision
from agent.domain.runbook import Autonomy, Runbook
from agent.domain.source_event import ActorKind, EventType, SourceEvent
from agent.pipeline import earned, queueing
from agent.pipeline.queueing import Settling
from agent.pipeline.takeover import handle_event
from agent.pipeline.telling import Teller
from tests.unit.pipeline.conftest import ALERT, World, runbook, step

NAME = "redis-connection-timeout"
PING = "redis-cli PING"
STEPS = step(1, PING, keys='Expected output: "PONG"\nAttempts: 1\nFailure action: escalate')
ALL = ["failure", "recurrence", "change"]


@pytest.fixture
def world(world: World) -> World:
    autonomy = {"promote_after": 3, "demote_on": ALL, "demote_stated": True}
    world.configure(runbooks={"default_autonomy": "approve"}, autonomy=autonomy)
    return world


def written(world: World, autonomy: str = "", **more: str) -> None:
    head = f"---\nautonomy: {autonomy}\n---\n" if autonomy else ""
    world.runbook(head + runbook(**{"steps": STEPS, **more}))  # type: ignore[arg-type]
    world.context.library.reload()


def ran(
    world: World, output: str = "PONG", *, approved: bool | None = True, apart_s: float = 4_000
) -> Incident:
    """One more incident of another alert, hours later; whatever is asked is answered so."""
    number = len(world.store.incidents(limit=500))
    world.clock.sleep(apart_s)
    world.answers(PING, output)
    incident_id = world.receive(replace(ALERT, source_id=f"R{number}"))

    def answer(_: str) -> bool:
        if approved is None:
            return False
        decides = getattr(world.store.plan(incident_id), "plan_hash", "")
        return world.store.decide(incident_id, Decision(decides, approved, "bob", world.clock.now()))

    world.on_wait = answer
    return world.handle(incident_id)


def file(world: World) -> Runbook:
    return world.context.library.runbooks[NAME]


def level(world: World) -> Autonomy:
    return earned.level(world.config, world.store.autonomy_of(NAME), file(world))


def news(world: World, incident: Incident) -> list[str]:
    told = EventKind.AUTONOMY
    return [event.text for event in world.store.timeline(incident.id) if event.kind is told]


def promoted(world: World, to: Autonomy | None = None) -> Autonomy | str:
    teller = Teller(world.store, world.context.redactor, world.context.channels)
    return earned.promote(teller, world.config, file(world), to=to, by="alice", why="it works")


def test_so_many_approved_runs_in_a_row_propose_that_it_runs_alone(world: World) -> None:
    written(world)
    first, second, third = (ran(world) for _ in range(3))
    assert (news(world, first), news(world, second)) == ([], [])
    (told,) = news(world, third)
    assert told.startswith(
        f"⬆️ {NAME} resolved its last 3 incidents in a row: it is proposed that it runs alone."
    )
    assert told in world.chat.threads[-1].lines
    assert level(world) is Autonomy.APPROVE


def test_it_is_proposed_once(world: World) -> None:
    written(world)
    for _ in range(3):
        ran(world)
    assert news(world, ran(world)) == []


def test_an_approver_lets_it_run_alone_and_that_is_told_where_it_was_proposed(world: World) -> None:
    written(world)
    last = [ran(world) for _ in range(3)][-1]
    assert promoted(world) is Autonomy.AUTO
    assert f"🎚️ {NAME} may go as far as auto, by alice: it works" in news(world, last)
    assert ran(world, approved=None).status is Status.RESOLVED


def test_nobody_promotes_it_beyond_its_file(world: World) -> None:
    written(world, "approve")
    incidents = [ran(world) for _ in range(4)]
    assert [news(world, each) for each in incidents] == [[]] * 4
    assert "may go as far as approve by its file" in str(promoted(world))
    written(world, limits="- max_cache_operations: 1\n- requires_human_approval: true")
    assert "may go as far as approve by its file" in str(promoted(world))


def test_a_run_that_fails_takes_it_away_at_once(world: World) -> None:
    written(world, "auto")
    assert ran(world, approved=None).status is Status.RESOLVED
    failed = ran(world, "LOADING")
    (told,) = news(world, failed)
    assert told.startswith(
        f"⬇️ {NAME} runs alone no more, it needs an approval from now on: Runbook step failed"
    )
    assert told in world.chat.threads[-1].lines
    assert "nobody approved the plan in time" in ran(world, approved=None).result
    assert level(world) is Autonomy.APPROVE


def test_what_was_lost_is_earned_again(world: World) -> None:
    written(world, "auto")
    ran(world, "LOADING")
    assert [bool(news(world, ran(world))) for _ in range(3)] == [False, False, True]
    assert promoted(world) is Autonomy.AUTO
    assert ran(world, approved=None).status is Status.RESOLVED


def test_a_failure_ends_the_row_and_withdraws_what_was_proposed(world: World) -> None:
    written(world)
    for _ in range(3):
        ran(world)
    (told,) = news(world, ran(world, "LOADING"))
    assert told.startswith(f"⬇️ It is no longer proposed that {NAME} runs alone")
    standing = world.store.autonomy_of(NAME)
    assert standing is not None
    assert (standing.in_a_row, standing.proposed) == (0, None)
    assert [each.ran for each in standing.evidence] == [Ran.FAILED, *[Ran.SUCCEEDED] * 3]


def test_a_no_ends_the_row_too(world: World) -> None:
    written(world)
    ran(world)
    ran(world, approved=False)
    standing = world.store.autonomy_of(NAME)
    assert standing is not None
    assert standing.in_a_row == 0


def test_an_approval_that_nobody_gave_says_nothing_about_the_runbook(world: World) -> None:
    written(world)
    ran(world)
    ran(world, approved=None)
    standing = world.store.autonomy_of(NAME)
    assert standing is not None
    assert standing.in_a_row == 1


def test_an_alert_that_is_back_after_it_was_fixed_takes_it_away(world: World) -> None:
    written(world, "auto")
    ran(world, approved=None)
    again = ran(world, approved=None, apart_s=300)
    (told,) = news(world, again)
    assert "symptom, not cause" in told
    assert level(world) is Autonomy.APPROVE


def test_changed_commands_begin_again_at_the_default(world: World) -> None:
    written(world, "auto")
    ran(world, approved=None)
    written(world, "auto", steps=STEPS.replace("Attempts: 1", "Attempts: 2"))
    incident = ran(world, approved=None)
    assert incident.status is Status.ESCALATED
    (told,) = news(world, incident)
    assert (
        told
        == f"⬇️ {NAME} begins again at approve, it was at auto: its commands, effects or limits have changed"
    )
    written(world, "auto", steps=STEPS.replace("Attempts: 1", "Attempts: 2"), more="A new word.")
    assert level(world) is Autonomy.APPROVE


def test_changed_limits_begin_again_too(world: World) -> None:
    written(world, "auto")
    ran(world, approved=None)
    written(world, "auto", limits="- max_cache_operations: 5")
    assert level(world) is Autonomy.APPROVE


def test_a_word_of_prose_changes_nothing(world: World) -> None:
    written(world)
    for _ in range(3):
        ran(world)
    promoted(world)
    title = runbook(steps=STEPS.replace("Step 1: Step 1", "Step 1: Look again"), more="Some prose.")
    world.runbook(title)
    world.context.library.reload()
    assert ran(world, approved=None).status is Status.RESOLVED


def test_what_an_approver_promoted_is_lost_with_a_changed_file(world: World) -> None:
    written(world)
    for _ in range(3):
        ran(world)
    promoted(world)
    assert level(world) is Autonomy.AUTO
    written(world, steps=STEPS + step(2, PING))
    assert level(world) is Autonomy.APPROVE


def test_a_published_runbook_may_go_alone_from_its_first_run(world: World) -> None:
    written(world, limits="- requires_human_approval: false")
    assert ran(world, approved=None).status is Status.RESOLVED


def test_what_its_file_states_is_not_lost_by_a_failure_unless_asked(world: World) -> None:
    world.configure(runbooks={"default_autonomy": "approve"}, autonomy={"demote_on": ALL})
    written(world, "auto")
    ran(world, "LOADING", approved=None)
    assert ran(world, approved=None).status is Status.RESOLVED
    written(world, "auto", steps=STEPS.replace("Attempts: 1", "Attempts: 2"))
    assert ran(world, approved=None).status is Status.RESOLVED


def test_what_was_earned_is_lost_by_a_failure_in_any_case(world: World) -> None:
    world.configure(runbooks={"default_autonomy": "approve"}, autonomy={"promote_after": 3, "demote_on": ALL})
    written(world)
    for _ in range(3):
        ran(world)
    promoted(world)
    ran(world, "LOADING", approved=None)
    assert level(world) is Autonomy.APPROVE


def test_what_is_not_to_demote_does_not(world: World) -> None:
    world.configure(autonomy={"demote_on": []})
    written(world, "auto")
    ran(world, "LOADING")
    assert level(world) is Autonomy.AUTO


def test_a_human_demotes_it_and_a_reason_is_kept(world: World) -> None:
    written(world, "auto")
    teller = Teller(world.store, world.context.redactor, world.context.channels)
    demoted = earned.demote(
        teller, world.config, file(world), to=Autonomy.SHADOW, by="alice", why="new cluster"
    )
    assert demoted is Autonomy.SHADOW
    (told,) = [each.text for each in world.store.timeline(earned.story_of(NAME))]
    assert told == f"🎚️ {NAME} may go as far as shadow, by alice: new cluster"
    assert "not above" in str(
        earned.demote(teller, world.config, file(world), to=Autonomy.AUTO, by="alice", why="?")
    )


def shadowed(world: World) -> Incident:
    written(world, "shadow")
    return ran(world)


def test_a_shadow_says_what_it_would_have_run_and_leaves_it_to_the_source(world: World) -> None:
    incident = shadowed(world)
    assert f"👻 Shadow: {NAME} would have run:\n    $ redis-cli PING" in world.told(incident.id)
    assert (world.sandbox.commands(), len(world.pager.woken)) == ([], 1)
    assert EventKind.ACKNOWLEDGED.value not in world.kinds(incident.id)


def test_a_suggestion_shows_how_to_run_it_by_hand(world: World) -> None:
    written(world, "suggest")
    incident = ran(world)
    assert f"💡 {NAME} suggests, by hand it would be:\n    $ redis-cli PING" in world.told(incident.id)
    assert world.sandbox.commands() == []


def resolved_at_the_source(world: World, incident: Incident) -> None:
    source_id = incident.alert.source_id
    event = SourceEvent(
        "pagerduty", f"resolved-{source_id}", EventType.RESOLVED, "incident.resolved", source_id,
        actor_kind=ActorKind.HUMAN, actor_id="PX", actor_name="carol",
    )  # fmt: skip
    world.clock.sleep(720)
    world.store.accept(event, "{}")
    handle_event(world.context, incident.id, event)


def test_a_shadow_later_says_that_a_human_resolved_it_and_keeps_the_tally(world: World) -> None:
    incident = shadowed(world)
    resolved_at_the_source(world, incident)
    (told,) = [each for each in world.told(incident.id) if "The shadow of" in each]
    assert told.startswith("👻 carol resolved the incident after 12m")
    assert told.endswith("would have run:\n    $ redis-cli PING")
    standing = world.store.autonomy_of(NAME)
    assert standing is not None
    assert [each.ran for each in standing.evidence] == [Ran.BY_HAND]


@pytest.mark.parametrize(
    ("ran_instead", "words"),
    [(NAME, f"That is what the agent would have run ({NAME})."), ("other", f"would have run {NAME}.")],
)
def test_whoever_settles_it_by_a_runbook_is_compared_with_the_shadow(
    world: World, ran_instead: str, words: str
) -> None:
    incident = shadowed(world)
    desk = queueing.desk_of(world.config, world.store, world.context.redactor)
    someone = Actor(Person("carol", Role.RESPONDER), Via.CLI)
    settling = Settling(Action.RAN_RUNBOOK, "ran it", ran_instead)
    assert isinstance(
        queueing.resolve(desk, incident.id, someone, settling, now=world.clock.now()), Escalated
    )
    last = world.store.timeline(incident.id)[-1]
    assert last.text.endswith(words)
    assert last.data["as_shown"] is (ran_instead == NAME)


def test_what_was_no_shadow_is_not_followed(world: World) -> None:
    written(world, "suggest")
    incident = ran(world)
    resolved_at_the_source(world, incident)
    assert not any("The shadow of" in each for each in world.told(incident.id))


def test_the_list_says_level_bound_evidence_and_proposal(world: World) -> None:
    written(world)
    for _ in range(3):
        ran(world)
    (row,) = earned.listed(world.store, world.config, world.context.library.runbooks.values())
    assert (row["level"], row["bound"], row["proposed"], row["in_a_row"]) == ("approve", "auto", "auto", 3)
    assert [each["ran"] for each in row["evidence"]] == ["succeeded"] * 3


def test_runs_by_hand_on_the_command_line_earn_nothing(world: World, tmp_path: Path) -> None:
    written(world)
    incident = ran(world)
    manual = replace(incident, alert=replace(incident.alert, source="command line"))
    assert earned.by_resolving(world.context, manual) is None
