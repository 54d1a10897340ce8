"""An SLA runs in the real process, and the process is killed: deadlines stay, all are told, nobody twice."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email import message_from_bytes
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from tests.acceptance.conftest import Agent, free_port, wait_until
from tests.acceptance.test_webhook_answers import event, signed

#: Long enough for two starts on a busy machine, half of it before the warning.
SLA_S = 20


class Mailbox:
    """(to, Message-ID, subject) of each mail that came in."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str, str]] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        message = message_from_bytes(envelope.content)
        self.got.append((envelope.rcpt_tos[0], message["Message-ID"], message["Subject"]))
        return "250 taken"

    def told(self, occasion: str) -> list[tuple[str, str]]:
        """(Message-ID, whom) of the mails for this, each once."""
        return sorted({(number, to) for to, number, _ in self.got if f"-{occasion}-" in number})


@pytest.fixture
def mailbox(agent: Agent) -> Iterator[Mailbox]:
    box = Mailbox()
    controller = Controller(box, hostname="127.0.0.1", port=free_port())
    controller.start()
    rule = {
        "name": "rest",
        "match": {"any": True},
        "route_to": "ops@example.com",
        "on_breach": "lead@example.com",
    }
    agent.overrides["mail"] = {"host": "127.0.0.1", "port": controller.port, "security": "none"}
    agent.overrides["escalation"] = {"sla": {"high": f"{SLA_S}s"}, "routing": [rule]}
    yield box
    controller.stop()


def item(agent: Agent) -> dict[str, Any]:
    done = agent.cli("escalations", "--json")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    return dict(row)


def test_deadlines_stay_while_the_process_is_killed_again_and_again(agent: Agent, mailbox: Mailbox) -> None:
    agent.start()
    assert signed(agent, event(source_id="P1"), **{"X-Webhook-Id": "w-1"}).status_code == 202
    agent.ended("P1", deadline_s=SLA_S)
    agent.kill()
    before = item(agent)
    assert before["target"] == "ops@example.com"
    deadline = datetime.fromisoformat(before["deadline"])

    agent.start()
    wait_until(lambda: mailbox.told("amber"), "half of its time is over", deadline_s=2 * SLA_S)
    agent.kill()
    assert item(agent)["deadline"] == before["deadline"]

    wait_until(lambda: datetime.now(UTC) > deadline, "its time is over", deadline_s=2 * SLA_S)
    agent.start()
    wait_until(lambda: mailbox.told("breached"), "its breach is told", deadline_s=SLA_S)
    time.sleep(3)  # whatever would be told twice is told by now
    after = item(agent)
    assert (after["target"], after["light"], after["level"]) == ("lead@example.com", "breached", 1)
    assert [to for _, to in mailbox.told("created")] == ["ops@example.com"]
    assert [to for _, to in mailbox.told("amber")] == ["ops@example.com"]
    assert [to for _, to in mailbox.told("breached")] == ["lead@example.com"]
    verified = agent.cli("audit", "verify")
    assert verified.returncode == 0, verified.stdout
