"""E-mail through a real SMTP server on this machine: what arrives, and what a refusal means."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from agent.adapters.clock import SystemClock
from agent.adapters.smtp_mail import SmtpMail, SmtpServer
from agent.domain.errors import Reason, ServiceError
from agent.ports import Notification
from agent.simulators.kubernetes.tls import make_certificate
from tests.postgres import free_port

#: The test's server takes a password over TLS from the first byte, which its maker thinks of as no TLS.
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")

SECRET = "canary-password-000"
MAIL = Notification(("ops@example.com",), "[HIGH] Redis", "Why: no runbook\nFor: team:sre", "esc-1-created-0")


@dataclass
class Mailbox:
    """Takes what it is given; `refusal` is what it answers instead."""

    refusal: str = ""
    got: list[tuple[list[str], EmailMessage]] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802  (the server's own name)
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        if address.startswith("nobody@"):
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.refusal:
            return self.refusal
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.got.append((envelope.rcpt_tos, message))
        return "250 taken"


class SignedIn:
    """Knows one user."""

    def __call__(self, server: SMTP, session: Any, envelope: Any, how: str, data: Any) -> AuthResult:
        good = isinstance(data, LoginPassword) and data.password == SECRET.encode()
        return AuthResult(success=good, handled=False)


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def plain(mailbox: Mailbox) -> Iterator[SmtpServer]:
    controller = Controller(mailbox, hostname="127.0.0.1", port=free_port())
    yield from _running(controller, "none")


def _running(controller: Controller, security: str, **more: str) -> Iterator[SmtpServer]:
    controller.start()
    try:
        port = controller.server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        yield SmtpServer(
            "localhost",
            port,
            security,
            "agent@example.com",
            timeout_s=3.0,
            **more,  # type: ignore[arg-type]
        )
    finally:
        controller.stop()


def send(server: SmtpServer, mail: Notification = MAIL, trust: ssl.SSLContext | None = None) -> None:
    SmtpMail(server, SystemClock(), trust=trust).notify(mail)


def failure(server: SmtpServer, mail: Notification = MAIL) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        send(server, mail)
    return caught.value


def test_a_mail_arrives_whole_and_names_itself(plain: SmtpServer, mailbox: Mailbox) -> None:
    send(plain)
    ((to, message),) = mailbox.got
    assert to == ["ops@example.com"]
    assert message["Subject"] == MAIL.subject
    assert message["Message-ID"] == "<esc-1-created-0@oncall-agent>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content_type() == "multipart/alternative"
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert html is not None
    assert text.get_content().splitlines() == MAIL.text.splitlines()
    assert "Why: no runbook" in html.get_content()


def test_sent_again_it_is_the_same_mail(plain: SmtpServer, mailbox: Mailbox) -> None:
    send(plain)
    send(plain)
    assert len({message["Message-ID"] for _, message in mailbox.got}) == 1


def test_a_title_cannot_add_a_header_or_a_recipient(plain: SmtpServer, mailbox: Mailbox) -> None:
    hostile = Notification(
        ("ops@example.com", "x@example.com>\r\nRCPT TO:<thief@example.com"),
        "Redis\r\nBcc: thief@example.com",
        "text\r\n.\r\nMAIL FROM:<x@example.com>",
        "key\r\nBcc: thief@example.com",
    )
    send(plain, hostile)
    ((to, message),) = mailbox.got
    assert to == ["ops@example.com"]
    assert message["Bcc"] is None
    assert message["Subject"] == "Redis Bcc: thief@example.com"


def test_an_unknown_recipient_beside_a_known_one_holds_up_nobody(plain: SmtpServer, mailbox: Mailbox) -> None:
    send(plain, Notification(("nobody@example.com", "ops@example.com"), "s", "t", "k"))
    assert [to for to, _ in mailbox.got] == [["ops@example.com"]]


def test_a_mail_for_nobody_at_all_is_refused_for_good(plain: SmtpServer) -> None:
    for to in (("nobody@example.com",), ("no address",)):
        error = failure(plain, Notification(to, "s", "t", "k"))
        assert (error.reason, error.retryable) == (Reason.REJECTED, False)


@pytest.mark.parametrize(
    ("answer", "reason", "again"),
    [
        ("451 4.3.0 try later", Reason.SERVER_ERROR, True),
        ("452 4.2.2 mailbox full", Reason.SERVER_ERROR, True),
        ("552 5.3.4 too big", Reason.REJECTED, False),
        ("554 5.7.1 spam", Reason.REJECTED, False),
    ],
)
def test_what_the_server_answers_decides_whether_it_is_tried_again(
    plain: SmtpServer, mailbox: Mailbox, answer: str, reason: Reason, again: bool
) -> None:
    mailbox.refusal = answer
    error = failure(plain)
    assert (error.reason, error.retryable) == (reason, again)
    assert answer[:3] in str(error)


def test_a_server_that_is_not_there_is_asked_again() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        error = failure(SmtpServer("127.0.0.1", bound.getsockname()[1], "none", "a@example.com"))
    assert (error.reason, error.retryable) == (Reason.UNREACHABLE, True)


def test_a_server_that_says_nothing_is_left_in_time() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)
        server = SmtpServer("127.0.0.1", silent.getsockname()[1], "none", "a@example.com", timeout_s=0.3)
        assert failure(server).reason is Reason.TIMEOUT


def test_a_server_without_encryption_gets_neither_password_nor_mail(
    plain: SmtpServer, mailbox: Mailbox
) -> None:
    server = SmtpServer(plain.host, plain.port, "starttls", "a@example.com", "agent", SECRET, timeout_s=3.0)
    error = failure(server)
    assert not error.retryable
    assert SECRET not in f"{error} {error.__cause__!r} {server!r} {SmtpMail(server, SystemClock())!r}"
    assert not mailbox.got


@pytest.fixture(params=["starttls", "tls"])
def encrypted(mailbox: Mailbox, request: pytest.FixtureRequest) -> Iterator[tuple[SmtpServer, Path]]:
    made = make_certificate()
    by_itself = request.param == "tls"
    signing_in: dict[str, Any] = {"authenticator": SignedIn(), "auth_required": True}
    if by_itself:
        more: dict[str, Any] = {"ssl_context": made.context(), "auth_require_tls": False}
    else:
        more = {"tls_context": made.context(), "require_starttls": True}
    controller = Controller(mailbox, hostname="127.0.0.1", port=free_port(), **signing_in, **more)
    for server in _running(controller, request.param, username="agent", password=SECRET):
        yield server, made.certificate


def test_signed_in_over_an_encrypted_connection_mail_is_taken(
    encrypted: tuple[SmtpServer, Path], mailbox: Mailbox
) -> None:
    server, certificate = encrypted
    send(server, trust=ssl.create_default_context(cafile=certificate))
    assert len(mailbox.got) == 1


def test_a_certificate_that_nobody_vouches_for_gets_no_password(
    encrypted: tuple[SmtpServer, Path], mailbox: Mailbox
) -> None:
    error = failure(encrypted[0])
    assert (error.reason, error.retryable) == (Reason.AUTH, False)
    assert "certificate" in str(error)
    assert not mailbox.got


def test_a_wrong_password_is_told_and_not_shown(encrypted: tuple[SmtpServer, Path]) -> None:
    server, certificate = encrypted
    wrong = replace(server, password="canary-wrong-000")
    with pytest.raises(ServiceError) as caught:
        send(wrong, trust=ssl.create_default_context(cafile=certificate))
    assert caught.value.reason is Reason.AUTH
    assert "canary" not in str(caught.value)
