"""The ways to tell somebody, each with a real server on this machine behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from agent.adapters.clock import SystemClock
from agent.adapters.slack_notices import SlackNotices
from agent.adapters.smtp_mail import SmtpMail, SmtpServer
from agent.adapters.teams import Teams
from agent.adapters.webhook_out import WebhookOut
from agent.ports import Notifier
from agent.simulators.hooks import HooksSimulator
from agent.simulators.server import Fault, Simulator
from agent.simulators.slack import SlackSimulator
from tests.postgres import free_port


@dataclass
class Way:
    """One way: whom it tells, what arrived there, how to make it refuse, and what nobody may see."""

    notifier: Notifier
    to: tuple[str, ...]
    arrived: Callable[[], list[str]]
    refuse: Callable[[int, str], None]
    secrets: tuple[str, ...]


class Mailbox:
    """Takes mail; `answer` is what it says instead."""

    def __init__(self) -> None:
        self.answer = ""
        self.mails: list[EmailMessage] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.answer:
            return self.answer
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.mails.append(message)
        return "250 taken"

    def texts(self) -> list[str]:
        found = [mail.get_body(("plain",)) for mail in self.mails]
        return [each.get_content() for each in found if each is not None]

    def refuse(self, status: int, words: str) -> None:
        """What a status of HTTP is in SMTP: passing troubles are 4yz, final ones 5yz."""
        is_passing = status == 429 or status >= 500
        self.answer = f"{'451' if is_passing else '554'} {words}"


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def smtp(mailbox: Mailbox) -> Iterator[SmtpServer]:
    controller = Controller(mailbox, hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        yield SmtpServer("127.0.0.1", controller.port, "none", "agent@example.com", timeout_s=5.0)
    finally:
        controller.stop()


@pytest.fixture
def hooks() -> Iterator[HooksSimulator]:
    with HooksSimulator() as simulator:
        yield simulator


def _refusing(simulator: Simulator, *, header: str = "2") -> Callable[[int, str], None]:
    def refuse(status: int, words: str) -> None:
        body = f'{{"error": {{"message": "{words}"}}}}'
        headers = {"Retry-After": header} if status in (429, 503) else {}
        simulator.behave()
        simulator.misbehave(Fault(status, times=-1, body=body, headers=headers))

    return refuse


@pytest.fixture(params=["mail", "slack", "teams", "webhook"])
def way(request: pytest.FixtureRequest) -> Iterator[Way]:
    if request.param == "mail":
        box: Mailbox = request.getfixturevalue("mailbox")
        mail = SmtpMail(request.getfixturevalue("smtp"), SystemClock())
        yield Way(mail, ("ops@example.com",), box.texts, box.refuse, ())
    elif request.param == "slack":
        with SlackSimulator(channels=("payments",)) as slack:
            notices = SlackNotices(slack.api_url, slack.bot_token)
            yield Way(notices, ("#payments",), lambda: _texts(slack), _refusing(slack), (slack.bot_token,))
    else:
        hooks: HooksSimulator = request.getfixturevalue("hooks")
        if request.param == "teams":
            teams = Teams("operations", hooks.teams_url)
            yield Way(teams, (), hooks.shown, _refusing(hooks), (hooks.signature,))
        else:
            out = WebhookOut("portal", hooks.webhook_url, hooks.secret, SystemClock())
            arrived = lambda: [str(each["text"]) for each in hooks.notifications]  # noqa: E731
            yield Way(out, (), arrived, _refusing(hooks), (hooks.token, hooks.secret))


def _texts(slack: SlackSimulator) -> list[str]:
    texts = [message.text for message in slack.messages()]
    return [each.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") for each in texts]
