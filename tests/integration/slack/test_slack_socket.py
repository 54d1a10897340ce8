"""Socket Mode against the simulated Slack: presses come without an address of ours, after a break again."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping

import pytest
import websocket

from agent.adapters.slack_socket import SlackSocket
from agent.domain.errors import StoreError
from agent.simulators.server import Fault
from agent.simulators.slack import SlackSimulator
from agent.simulators.slack_socket import APP_TOKEN
from tests.acceptance.conftest import wait_until

PRESS = {"type": "block_actions", "user": {"id": "U1"}, "actions": [{"action_id": "oncall:approve:0"}]}


class RecordingFace:
    def __init__(self) -> None:
        self.interactions: list[Mapping[str, object]] = []
        self.broken = False
        self.threads: set[str] = set()

    def interaction(self, payload: Mapping[str, object]) -> None:
        if self.broken:
            raise StoreError("the database cannot be reached")
        self.interactions.append(payload)

    def command(self, fields: Mapping[str, object]) -> str:
        return f"you typed {fields['text']}"


@pytest.fixture
def face() -> RecordingFace:
    return RecordingFace()


@pytest.fixture
def socket(slack: SlackSimulator, face: RecordingFace) -> Iterator[SlackSocket]:
    made = SlackSocket(slack.api_url, APP_TOKEN, face, timeout_s=2.0)
    yield made
    made.stop()


def connected(slack: SlackSimulator) -> None:
    wait_until(lambda: slack.sockets.connected == 1, "one connection stands")


def test_a_press_is_acknowledged_after_it_was_taken(slack, socket, face):
    socket.start()
    connected(slack)
    ack = slack.sockets.envelope("interactive", PRESS)
    assert ack is not None
    assert "payload" not in ack
    assert face.interactions == [PRESS]


def test_a_command_is_answered_in_its_acknowledgement(slack, socket):
    socket.start()
    connected(slack)
    answer = slack.hands.type("U1", "status")
    assert (answer.status, answer.words) == (200, "you typed status")
    assert json.loads(answer.body)["response_type"] == "ephemeral"


def test_what_could_not_be_taken_is_not_acknowledged_so_that_slack_tells_the_person(slack, socket, face):
    face.broken = True
    socket.start()
    connected(slack)
    assert slack.sockets.envelope("interactive", PRESS) is None
    face.broken = False
    assert slack.sockets.envelope("interactive", PRESS) is not None


def test_an_envelope_of_another_kind_is_acknowledged_and_left_alone(slack, socket, face):
    socket.start()
    connected(slack)
    assert slack.sockets.envelope("events_api", {"event": {"type": "message"}}) is not None
    assert face.interactions == []


def test_asked_to_reconnect_it_does(slack, socket, face):
    socket.start()
    connected(slack)
    slack.sockets.ask_to_reconnect()
    wait_until(lambda: len(slack.requests("/link/")) == 1, "the old connection is over")
    wait_until(lambda: slack.sockets.envelope("interactive", PRESS) is not None, "presses come again")


def test_over_a_line_that_broke_presses_come_again(slack, socket, face):
    socket.start()
    connected(slack)
    slack.sockets.cut()
    wait_until(lambda: slack.sockets.envelope("interactive", PRESS) is not None, "presses come again")


def test_slack_being_away_at_the_start_is_waited_out(slack, socket):
    slack.misbehave(Fault(503, path="/api/apps.connections.open"))
    socket.start()
    connected(slack)


def test_a_wrong_token_is_told_without_it(slack, face, logged):
    made = SlackSocket(slack.api_url, "xapp-wrong-canary", face, timeout_s=2.0)
    made.start()
    told = wait_until(logged, "it is told")
    made.stop()
    told += logged()
    assert "slack_socket_down" in told
    assert "invalid_auth" in told
    assert "canary" not in told + repr(made)


def test_a_stop_while_it_connects_ends_it_as_well(slack, face, monkeypatch):
    made = SlackSocket(slack.api_url, APP_TOKEN, face, timeout_s=2.0)
    whole, stopping = websocket.create_connection, threading.Thread(target=made.stop, daemon=True)

    def connect(*arguments, **named):
        line = whole(*arguments, **named)
        stopping.start()
        wait_until(made._stopping.is_set, "it is told to stop")
        return line

    monkeypatch.setattr(websocket, "create_connection", connect)
    made.start()
    wait_until(lambda: stopping.ident is not None and not stopping.is_alive(), "the stop is over")
    assert not made._thread.is_alive()
    wait_until(lambda: slack.sockets.connected == 0, "it is closed")


def test_after_the_stop_nothing_of_it_is_left(slack, face):
    before = threading.active_count()
    made = SlackSocket(slack.api_url, APP_TOKEN, face, timeout_s=2.0)
    made.start()
    connected(slack)
    made.stop()
    wait_until(lambda: slack.sockets.connected == 0, "it is closed")
    wait_until(lambda: threading.active_count() <= before, "its threads have ended")
