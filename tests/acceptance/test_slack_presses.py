"""Buttons in Slack and the real process: one decision each, whatever is sent and whatever dies."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from agent.simulators.slack import SlackMessage, SlackUser
from agent.simulators.slack_presses import SlackHands, Wire, buttons, tampered
from agent.simulators.slack_socket import APP_TOKEN
from tests.acceptance.conftest import Agent, RedisServer, wait_until
from tests.acceptance.runbooks import redis_runbook

ALICE, BOB, ROOT = "U0ALICE", "U0BOB", "U0ROOT"
PEOPLE = [
    {"name": "alice", "role": "approver", "slack": ALICE},
    {"name": "bob", "role": "responder", "slack": BOB},
    {"name": "root", "role": "admin", "slack": ROOT},
    *({"name": f"person-{n}", "role": "approver", "slack": f"U0P{n}"} for n in range(10)),
]


class Office:
    """An agent whose runbook waits for a yes, and people in Slack."""

    def __init__(self, agent: Agent, redis: RedisServer) -> None:
        self.agent = agent
        self.redis = redis
        self.hands: SlackHands = agent.slack.hands
        agent.runbook("redis-connection-timeout", "---\nautonomy: approve\n---\n" + redis_runbook(redis.port))
        agent.variables["SLACK_SIGNING_SECRET"] = self.hands.signing_secret
        agent.overrides["slack"] = {"signing_secret": {"env": "SLACK_SIGNING_SECRET"}}
        self.hands.agent_url = agent.url
        self.page_id = ""

    def config(self) -> dict[str, Any]:
        return {**Agent.config(self.agent), "people": PEOPLE}

    def open(self) -> SlackMessage:
        """Start, let a page come in, and wait for the question."""
        self.agent.config = self.config  # type: ignore[method-assign]
        self.agent.start()
        self.page_id = self.agent.pagerduty.create_incident(
            "Redis connection timeout", service="api-gateway"
        ).id
        return self.question()

    def question(self) -> SlackMessage:
        return wait_until(lambda: [each for each in self.agent.slack.messages() if buttons(each)], "it asks")[
            -1
        ]

    def decisions(self) -> list[str]:
        told = self.agent.incident(self.page_id)["timeline"]  # type: ignore[index]
        return [each["text"] for each in told if each["kind"] in ("approved", "approval_rejected")]

    def still_waits(self) -> bool:
        found = self.agent.incident(self.page_id)
        return found is not None and found["status"] == "awaiting_approval"

    def buttons_are_gone(self) -> None:
        wait_until(lambda: not [each for each in self.agent.slack.messages() if buttons(each)], "no buttons")

    def whispered(self, count: int = 1) -> list[str]:
        found: list[str] = wait_until(
            lambda: len(self.hands.whispers()) >= count and self.hands.whispers(), "people are told"
        )
        return found


@pytest.fixture
def office(agent: Agent, redis: RedisServer) -> Office:
    return Office(agent, redis)


def test_a_press_lets_the_shown_plan_run_once_and_the_buttons_go(office: Office) -> None:
    card = office.open()
    assert f"redis-cli -h 127.0.0.1 -p {office.redis.port} INCR runs" in card.shown
    assert office.hands.press(ALICE, card.ts, "oncall:approve").status == 200
    assert office.agent.ended(office.page_id)["status"] == "resolved"
    assert office.redis.cli("GET", "runs") == "1"
    assert office.decisions() == ["👍 Approved by alice (by Slack)"]
    office.buttons_are_gone()
    shown = office.hands.message(card.ts).shown
    assert "Approved by alice (by Slack)" in shown
    assert office.agent.cli("audit", "verify").returncode == 0


def test_a_replayed_press_gives_the_same_answer_and_no_second_decision(office: Office) -> None:
    wire = office.hands.pressing(ALICE, office.open(), "oncall:approve")
    assert [office.hands.send(wire).status for _ in range(3)] == [200, 200, 200]
    assert office.agent.ended(office.page_id)["status"] == "resolved"
    assert len(set(office.whispered(3))) == 1
    assert len(office.decisions()) == 1
    assert office.redis.cli("GET", "runs") == "1"


def test_what_is_forged_late_foreign_or_of_nobody_leaves_the_question_open(office: Office) -> None:
    card = office.open()
    good = office.hands.pressing(BOB, card, "oncall:approve")
    refused: list[Wire] = [
        tampered(good, b"U0BOB", b"U0ALICE"),
        office.hands.signed(good.path, good.body, at=office.hands.now() - 600),
        office.hands.signed(good.path, good.body, secret="not the app's"),
        Wire(good.path, good.body, {}),
    ]
    assert [office.hands.send(each).status for each in refused] == [401] * 4
    assert office.hands.whispers() == []
    for user, team, words in (
        (ALICE, "T0OTHER", "only people of this agent's own workspace"),
        (BOB, "T0SIMULATE", "to approve takes the role approver"),
        ("U0NOBODY", "T0SIMULATE", "are nobody to this agent yet"),
    ):
        before = len(office.hands.whispers())
        wire = office.hands.pressing(user, card, "oncall:approve", team_id=team)
        assert office.hands.send(wire).status == 200
        assert words in office.whispered(before + 1)[-1]
    assert office.still_waits()
    assert office.decisions() == []
    assert buttons(office.hands.message(card.ts))
    assert office.hands.press(ALICE, card.ts, "oncall:reject").status == 200
    assert office.agent.ended(office.page_id)["status"] == "escalated"
    assert office.decisions() == ["👎 Rejected by alice (by Slack)"]
    assert office.redis.cli("GET", "runs") == ""


def test_of_ten_who_press_at_once_one_decides(office: Office) -> None:
    card, start = office.open(), Barrier(10)
    wires = [
        office.hands.pressing(f"U0P{n}", card, f"oncall:{'approve' if n % 2 else 'reject'}")
        for n in range(10)
    ]

    def go(wire: Wire) -> int:
        start.wait()
        return office.hands.send(wire).status

    with ThreadPoolExecutor(10) as pool:
        assert list(pool.map(go, wires)) == [200] * 10
    told = office.whispered(10)
    assert len([each for each in told if not each.startswith("Nothing was done")]) == 1
    ended = office.agent.ended(office.page_id)["status"]
    (decision,) = office.decisions()
    assert ended == ("resolved" if decision.startswith("👍") else "escalated")
    assert office.redis.cli("GET", "runs") == ("1" if decision.startswith("👍") else "")


def test_killed_between_the_press_and_what_follows_nothing_is_lost_or_done_twice(office: Office) -> None:
    card = office.open()
    assert office.hands.press(ALICE, card.ts, "oncall:approve").status == 200
    office.agent.kill()
    office.agent.start()
    assert office.agent.ended(office.page_id)["status"] == "resolved"
    assert office.redis.cli("GET", "runs") == "1"
    assert len(office.decisions()) == 1
    office.buttons_are_gone()


def test_pressed_while_the_agent_is_down_slack_tells_it_and_the_next_press_counts(office: Office) -> None:
    card = office.open()
    office.agent.kill()
    wire = office.hands.pressing(ALICE, card, "oncall:approve")
    assert office.hands.send(wire).status == 0
    office.agent.start()
    assert office.still_waits()
    assert office.hands.send(wire).status == 200  # had Slack sent it again, it would count
    assert office.agent.ended(office.page_id)["status"] == "resolved"
    assert office.redis.cli("GET", "runs") == "1"


def test_what_expired_is_no_rejection_and_a_stale_button_says_what_became_of_it(office: Office) -> None:
    office.agent.overrides["escalation"] = {"approval_timeout_s": 2}
    card = office.open()
    ended = office.agent.ended(office.page_id)
    assert ended["escalation"]["trigger"] == "approval_expired"
    office.buttons_are_gone()
    assert "no rejection" in office.hands.message(card.ts).shown
    assert office.hands.send(office.hands.pressing(ALICE, card, "oncall:approve")).status == 200
    assert "does not wait for an approval, it is escalated" in office.whispered()[0]
    assert office.decisions() == []


def test_decided_by_another_way_the_buttons_go_too(office: Office) -> None:
    card = office.open()
    assert office.agent.cli("approve", office.page_id).returncode == 0
    assert office.agent.ended(office.page_id)["status"] == "resolved"
    office.buttons_are_gone()
    assert "(command line)" in office.hands.message(card.ts).shown


def test_nobody_approves_what_they_asked_for_where_four_eyes_are_demanded(office: Office) -> None:
    office.agent.overrides["approval"] = {"four_eyes": True}
    (office.agent.directory / "runbooks" / "redis-connection-timeout.md").unlink()
    for name in ("one", "two"):
        office.agent.runbook(name, "---\nautonomy: approve\n---\n" + redis_runbook(office.redis.port))
    choice = office.open()
    assert "oncall:choose:0" in buttons(choice)
    assert office.hands.press(ALICE, choice.ts, "oncall:choose").status == 200
    wait_until(lambda: "chose" in office.hands.message(choice.ts).shown, "it is chosen")
    card = office.question()
    assert office.hands.press(ALICE, card.ts, "oncall:approve").status == 200
    assert "four eyes" in office.whispered(2)[-1]
    assert office.still_waits()
    assert office.hands.press(ROOT, card.ts, "oncall:approve").status == 200
    assert office.agent.ended(office.page_id)["status"] == "resolved"
    assert office.decisions() == ["👍 Approved by root (by Slack)"]


def test_take_over_ends_it_at_once(office: Office) -> None:
    card = office.open()
    assert office.hands.press(BOB, card.ts, "oncall:take_over").status == 200
    assert office.agent.ended(office.page_id)["status"] == "stood_down"
    office.buttons_are_gone()
    assert "bob (by Slack)" in office.hands.message(card.ts).shown


def test_whoever_is_known_by_e_mail_or_group_counts_and_nobody_is_guessed(office: Office) -> None:
    office.agent.overrides["slack"]["groups"] = {"S0APPROVERS": "approver"}
    office.agent.slack.people.add(SlackUser("U0GRACE", "grace"))
    office.agent.slack.people.group("S0APPROVERS", ["U0GRACE"])
    card = office.open()
    assert office.hands.press("U0GRACE", card.ts, "oncall:approve").status == 200
    assert office.agent.ended(office.page_id)["status"] == "resolved"
    assert office.decisions() == ["👍 Approved by grace@U0GRACE (by Slack)"]


def test_by_socket_mode_presses_and_commands_need_no_address(office: Office) -> None:
    office.agent.variables["SLACK_APP_TOKEN"] = APP_TOKEN
    office.agent.overrides["slack"] = {"app_token": {"env": "SLACK_APP_TOKEN"}}
    office.hands.agent_url = ""
    card = office.open()
    wait_until(lambda: office.agent.slack.sockets.connected == 1, "it is connected")
    assert "waits for an approval" in office.hands.type(BOB, "status").words
    assert office.hands.press(ALICE, card.ts, "oncall:approve").status == 200
    assert office.agent.ended(office.page_id)["status"] == "resolved"
    assert office.redis.cli("GET", "runs") == "1"
    office.buttons_are_gone()


def test_the_kill_switch_is_typed_in_slack_and_told_in_the_channel(office: Office) -> None:
    office.open()
    told = office.hands.type(BOB, "stop all bad deploy").words
    assert "everything is stopped" in told
    wait_until(
        lambda: any("bad deploy" in each.text for each in office.agent.slack.roots()), "the channel is told"
    )
    assert "to resume takes the role approver" in office.hands.type(BOB, "resume").words
    assert "Resumed" in office.hands.type(ALICE, "resume").words
