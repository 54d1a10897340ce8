"""Slack's presses over a real store: who may, once each, and the right words for everything else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from agent.domain.incident import Status
from agent.simulators.server import Fault
from agent.simulators.slack import SlackMessage, SlackSimulator, SlackUser
from agent.simulators.slack_presses import Wire, buttons, tampered
from tests.acceptance.conftest import wait_until
from tests.integration.web.conftest import Site
from tests.integration.web.slack_workplace import ALICE, BOB, GRACE, Workplace, populate, workplace


@pytest.fixture
def slack() -> Iterator[SlackSimulator]:
    with SlackSimulator() as simulator:
        populate(simulator)
        yield simulator


@pytest.fixture
def place(site: Site, slack: SlackSimulator) -> Workplace:
    return workplace(site, slack)


def status(place: Workplace, incident_id: str) -> Status:
    return place.site.store.incident(incident_id).status


def test_a_press_lets_exactly_the_shown_plan_run_and_says_by_whom(place: Workplace) -> None:
    said: list[str] = []
    incident_id = place.waiting(lambda _: said.append(place.press(ALICE, "approve")))
    assert status(place, incident_id) is Status.RESOLVED
    assert said[0].startswith("You approved the plan ")
    assert "👍 Approved by alice (by Slack)" in place.site.world.told(incident_id)
    assert place.site.notified == 1
    shown = place.card()
    assert "Approved by alice (by Slack)" in shown.shown
    assert buttons(shown) == []


def test_reject_ends_with_a_human_and_take_over_with_whoever_pressed(place: Workplace) -> None:
    incident_id = place.waiting(lambda _: place.press(BOB, "reject"))
    assert status(place, incident_id) is Status.ESCALATED
    assert "👎 Rejected by bob (by Slack)" in place.site.world.told(incident_id)
    assert place.site.world.sandbox.commands() == []


def test_take_over_stands_the_agent_down(place: Workplace) -> None:
    incident_id = place.waiting(lambda _: place.press(BOB, "take_over"))
    assert status(place, incident_id) is Status.STOOD_DOWN


def test_the_same_press_sent_again_gives_the_same_answer_and_decides_once(place: Workplace) -> None:
    def twice(_: str) -> None:
        wire = place.hands.pressing(ALICE, place.card(), "oncall:approve")
        assert [place.send(wire).status for _ in range(3)] == [200, 200, 200]

    incident_id = place.waiting(twice)
    assert status(place, incident_id) is Status.RESOLVED
    first, *again = wait_until(lambda: len(place.hands.whispers()) == 3 and place.hands.whispers(), "told")
    assert set(again) == {first}
    assert place.site.notified == 1


def test_of_ten_people_who_press_at_once_one_decides_and_the_others_hear_who(place: Workplace) -> None:
    users = [f"U0P{number}" for number in range(10)]
    place.site.settings["people"] += [
        {"name": f"person-{number}", "role": "approver", "slack": user} for number, user in enumerate(users)
    ]

    def race(_: str) -> None:
        card, start = place.card(), Barrier(len(users))
        wires = [
            place.hands.pressing(user, card, f"oncall:{'approve' if number % 2 else 'reject'}")
            for number, user in enumerate(users)
        ]
        client = place.site.client
        assert client is not None

        def go(wire: Wire) -> int:
            start.wait()
            app = client.application.test_client()
            return app.post(wire.path, data=wire.body, headers=dict(wire.headers)).status_code

        with ThreadPoolExecutor(len(users)) as pool:
            assert list(pool.map(go, wires)) == [200] * len(users)
        wait_until(lambda: len(place.hands.whispers()) == len(users), "all of them are told")

    incident_id = place.waiting(race)
    won = [each for each in place.hands.whispers() if not each.startswith("Nothing was done")]
    lost = [each for each in place.hands.whispers() if each.startswith("Nothing was done")]
    assert (len(won), len(lost)) == (1, 9)
    decided = [
        each for each in place.site.world.told(incident_id) if each.startswith(("👍 Approved", "👎 Rejected"))
    ]
    assert len(decided) == 1
    assert all("it at" in each and "(by Slack)" in each for each in lost), lost


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ("U0NOBODY", "Slack did not tell who you are"),
        ("U0VERA", "vera is a viewer; to approve takes the role approver"),
        (BOB, "bob is a responder; to approve takes the role approver"),
        ("U0GUEST", "guests may not do that"),
        ("U0BOT", "bots decide nothing here"),
        ("U0GONE", "this account is deactivated"),
        ("U0ELSEWHERE", "of another workspace"),
        ("U0UNCONFIRMED", "are nobody to this agent yet"),
        ("U0STRANGER", "are nobody to this agent yet"),
    ],
)
def test_whoever_may_not_approve_is_refused_with_the_reason(place: Workplace, user: str, words: str) -> None:
    add = place.slack.people.add
    add(SlackUser("U0GUEST", "guest", is_restricted=True))
    add(SlackUser("U0BOT", "bot", is_bot=True))
    add(SlackUser("U0GONE", "gone", deleted=True))
    add(SlackUser("U0ELSEWHERE", "elsewhere", is_stranger=True))
    add(SlackUser("U0UNCONFIRMED", "bobby", "bob@example.com", is_email_confirmed=False))
    add(SlackUser("U0STRANGER", "alice", "somebody@example.com"))
    said: list[str] = []
    incident_id = place.waiting(lambda _: said.append(place.press(user, "approve")))
    assert words in said[0]
    assert said[0].startswith("Nothing was done: ")
    assert status(place, incident_id) is Status.ESCALATED
    assert place.site.world.sandbox.commands() == []


def test_a_member_of_a_group_has_its_role_for_as_long_as_they_are_in_it(place: Workplace) -> None:
    assert "grace@example.com, approver" in place.type(GRACE, "who")
    place.slack.people.group("S0APPROVERS", [])
    assert "grace@example.com, approver" in place.type(GRACE, "who")  # believed for a while
    said: list[str] = []
    place.waiting(lambda _: said.append(place.press(GRACE, "approve")))
    assert "are nobody to this agent yet" in said[0]  # for a yes it is asked anew


def test_while_slack_cannot_say_who_it_is_nobody_is_guessed(place: Workplace) -> None:
    place.type(ALICE, "who")  # the workspace is known by now
    place.slack.misbehave(Fault(503, path="/api/users.info", times=-1))
    said: list[str] = []
    incident_id = place.waiting(lambda _: said.append(place.press(GRACE, "approve")))
    assert "Slack did not tell who you are" in said[0]
    assert "press again" in said[0]
    assert status(place, incident_id) is Status.ESCALATED
    assert "alice, approver" in place.type(ALICE, "who")  # she stands in the configuration with her id


@pytest.mark.parametrize(
    "change",
    [
        lambda hands, wire: hands.signed(wire.path, wire.body, at=hands.now() - 301),
        lambda hands, wire: hands.signed(wire.path, wire.body, at=hands.now() + 301),
        lambda hands, wire: hands.signed(wire.path, wire.body, secret="another app's"),
        lambda hands, wire: tampered(wire, b"U0BOB", b"U0ALICE"),
        lambda hands, wire: Wire(wire.path, wire.body, {**wire.headers, "X-Slack-Signature": ""}),
        lambda hands, wire: Wire(wire.path, wire.body, {**wire.headers, "X-Slack-Signature": "v0=é"}),
        lambda hands, wire: Wire(wire.path, wire.body, {**wire.headers, "X-Slack-Request-Timestamp": "now"}),
        lambda hands, wire: Wire(wire.path, wire.body, {}),
    ],
    ids=["old", "from the future", "wrong secret", "tampered", "unsigned", "no ascii", "no time", "bare"],
)
def test_what_is_not_slacks_or_not_fresh_is_401_and_does_nothing(
    place: Workplace, change: Callable[[Any, Wire], Wire]
) -> None:
    def try_it(_: str) -> None:
        wire = change(place.hands, place.hands.pressing(BOB, place.card(), "oncall:approve"))
        assert place.send(wire).status == 401

    incident_id = place.waiting(try_it)
    assert status(place, incident_id) is Status.ESCALATED
    assert place.hands.whispers() == []
    assert not place.site.notified


def test_another_workspace_is_refused_although_it_is_signed(place: Workplace) -> None:
    def try_it(_: str) -> None:
        wire = place.hands.pressing(ALICE, place.card(), "oncall:approve", team_id="T0OTHER")
        assert place.send(wire).status == 200

    incident_id = place.waiting(try_it)
    assert status(place, incident_id) is Status.ESCALATED
    (said,) = wait_until(place.hands.whispers, "told")
    assert "only people of this agent's own workspace" in said


def test_somebody_of_another_workspace_in_a_shared_channel_is_refused(place: Workplace) -> None:
    place.slack.people.add(SlackUser(ALICE, "alice", team_id="T0OTHER"))
    said: list[str] = []
    incident_id = place.waiting(lambda _: said.append(place.press(ALICE, "approve")))
    assert "only people of this agent's own workspace" in said[0]
    assert status(place, incident_id) is Status.ESCALATED


def test_which_workspace_is_ours_is_remembered_while_slack_is_away(place: Workplace) -> None:
    place.type(ALICE, "who")
    place.slack.misbehave(Fault(503, path="/api/auth.test", times=-1))
    place.site._client = None  # as after a restart
    assert "alice, approver" in place.type(ALICE, "who")


def test_before_it_is_known_which_workspace_is_ours_nothing_is_done(place: Workplace) -> None:
    place.slack.misbehave(Fault(503, path="/api/auth.test", times=-1))
    assert "could not find out which workspace" in place.type(ALICE, "stop all fire")
    assert place.site.store.stops() == []


def test_a_stale_button_tells_what_became_of_it(place: Workplace) -> None:
    cards: list[SlackMessage] = []
    place.waiting(lambda _: (cards.append(place.card()), place.press(ALICE, "approve")))
    said = place.press("U0ROOT", "approve", cards[0])
    assert "alice (by Slack) approved it at" in said


def test_after_the_expiry_a_yes_does_not_count_and_is_no_rejection(place: Workplace) -> None:
    said: list[str] = []

    def too_late(_: str) -> None:
        card = place.card()
        place.site.world.clock.sleep(901)
        said.append(place.press(ALICE, "approve", card))

    incident_id = place.waiting(too_late)
    assert "the time to decide" in said[0]
    assert status(place, incident_id) is Status.ESCALATED
    assert "⌛ Nobody approved the plan in time" in place.site.world.told(incident_id)
    assert "no rejection" in place.card().shown


@pytest.mark.parametrize("kind", ["view_submission", "shortcut", "message_action", "", "of tomorrow"])
def test_what_is_no_press_is_answered_politely(place: Workplace, kind: str) -> None:
    def other(_: str) -> None:
        payload = place.hands.payload(ALICE, place.card(), "oncall:approve") | {"type": kind}
        assert place.send(place.hands.interaction(payload)).status == 200

    incident_id = place.waiting(other)
    assert "does nothing with that" in wait_until(place.hands.whispers, "told")[0]
    assert status(place, incident_id) is Status.ESCALATED


@pytest.mark.parametrize(
    "body",
    [b"", b"payload=", b"payload=%5B%5D", b"payload=no", b"payload=%7B%7D&payload=%7B%7D", b"\xff\x00"],
)
def test_what_is_signed_and_not_to_be_read_is_400(place: Workplace, body: bytes) -> None:
    assert place.send(place.hands.signed("/slack/interactions", body)).status == 400


@pytest.mark.parametrize(
    "payload", [{}, {"type": "block_actions"}, {"type": "block_actions", "actions": [7]}]
)
def test_whatever_is_missing_does_no_harm(place: Workplace, payload: dict[str, object]) -> None:
    assert place.send(place.hands.interaction(payload)).status == 200


def test_a_body_without_end_is_413(place: Workplace) -> None:
    assert place.send(place.hands.signed("/slack/interactions", b"x" * 600_000)).status == 413


def test_without_a_signing_secret_nothing_is_taken(place: Workplace) -> None:
    del place.site.settings["slack"]["signing_secret"]
    answer = place.send(place.hands.typing(ALICE, "status"))
    assert answer.status == 404
    assert "slack.signing_secret" in answer.words


def test_a_signing_secret_that_was_replaced_counts_at_once(place: Workplace) -> None:
    assert "alice" in place.type(ALICE, "who")
    place.hands.signing_secret = "the new one"
    place.site.secret("signing", "the new one")
    assert "alice" in place.type(ALICE, "who")


def test_while_it_starts_or_stops_the_person_is_told_by_slack(place: Workplace) -> None:
    place.site.ready.clear()
    assert place.send(place.hands.typing(ALICE, "status")).status == 503


def test_slack_asks_whether_anybody_is_there(place: Workplace) -> None:
    assert place.send(place.hands.signed("/slack/commands", b"ssl_check=1&token=x")).status == 200


def test_run_step_by_step_asks_again_before_each_step_that_changes_something(place: Workplace) -> None:
    incident_id = place.waiting(lambda _: place.press(ALICE, "step_by_step"))
    assert "👍 Approved by alice (by Slack), step by step" in place.site.world.told(incident_id)
    assert "step by step" in place.card().shown


def test_a_plan_that_takes_two_people_shows_who_said_yes_until_both_have(place: Workplace) -> None:
    place.configure(approval={"by_effect": {"cache_operations": {"approvals": 2}}})
    seen: list[str] = []

    def both(_: str) -> None:
        seen.append(place.press(ALICE, "approve"))
        seen.append(place.card().shown)
        seen.append(place.press(ALICE, "approve"))
        seen.append(place.press("U0ROOT", "approve"))

    incident_id = place.waiting(both, command="redis-cli FLUSHDB")
    assert seen[0].endswith("; it waits for 1 more")
    assert "2 people must say yes" in seen[1]
    assert "alice (by Slack)" in seen[1]
    assert "you had said so before" in seen[2]
    assert status(place, incident_id) is Status.RESOLVED
    assert "alice (by Slack) and root (by Slack)" in place.card().shown


def test_by_two_faces_somebody_of_a_group_is_one_person(place: Workplace) -> None:
    assert "You are grace@example.com, approver" in place.type(GRACE, "who")  # as single sign-on names them


@pytest.mark.parametrize(
    ("email", "people", "is_one"),
    [
        pytest.param(
            "grace@example.com", [{"slack": "U0ALICE"}, {"email": "bob@example.com"}], True, id="an address"
        ),
        pytest.param("grace@example.com", [{"slack": "U0ALICE"}, {}], False, id="somebody has none"),
        pytest.param("", [{"slack": "U0ALICE"}, {"slack": "U0BOB"}], True, id="everybody comes by Slack"),
        pytest.param("", [{"slack": "U0ALICE"}, {"email": "grace@example.com"}], False, id="hers is unknown"),
        pytest.param(
            "odd one@example.com",
            [{"slack": ALICE}, {"email": "bob@example.com"}],
            False,
            id="no plain address",
        ),
    ],
)
def test_who_may_be_somebody_else_by_another_face_gives_no_second_yes(
    place: Workplace, email: str, people: list[dict[str, str]], is_one: bool
) -> None:
    place.slack.people.add(SlackUser(GRACE, "grace", email))
    place.site.settings["people"] = [
        {"name": f"p{number}", "role": "approver", **each} for number, each in enumerate(people)
    ]
    place.configure(approval={"by_effect": {"cache_operations": {"approvals": 2}}})
    said: list[str] = []
    place.waiting(lambda _: said.append(place.press(GRACE, "approve")), command="redis-cli FLUSHDB")
    assert ("waits for 1 more" in said[0]) is is_one, said
    assert ("have not shown who you are" in said[0]) is not is_one, said
