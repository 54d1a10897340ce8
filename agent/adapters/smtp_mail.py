"""E-mail by SMTP (RFC 5321): STARTTLS or TLS with the server's certificate checked, one message a connection.

A mail says the same twice, as text and as HTML (RFC 2046, 5.1.4). It has a Message-ID made of its key, so a
mailbox shows one that is sent again after a crash as the same. An answer of 4xx is asked again, of 5xx is
final (RFC 5321, 4.2.1).
"""

from __future__ import annotations

import re
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime

from agent.adapters.mail_templates import MailTemplates
from agent.domain.errors import Reason, ServiceError
from agent.ports import Clock, Notification

_SERVICE = "mail"

#: What an address may be made of here; anything else is no address and no header either.
_ADDRESS = re.compile(r"[^\s<>,;:\"()\[\]\\@]{1,64}@[A-Za-z0-9.-]{1,255}")

_FIRST_PERMANENT = 500


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where mail is taken, and who we are there; the password is never shown."""

    host: str
    port: int
    security: str
    sender: str
    username: str = ""
    password: str = ""
    timeout_s: float = 10.0

    def __repr__(self) -> str:
        return f"SmtpServer({self.host!r}, {self.port}, {self.security!r}, '***')"


class SmtpMail:
    """Implements ports.Notifier."""

    def __init__(
        self,
        server: SmtpServer,
        clock: Clock,
        *,
        trust: ssl.SSLContext | None = None,
        templates: MailTemplates | None = None,
    ) -> None:
        self._server = server
        self._templates = templates or MailTemplates()
        self._clock = clock
        self._trust = trust or ssl.create_default_context()

    def __repr__(self) -> str:
        return f"SmtpMail({self._server!r})"

    def notify(self, notification: Notification) -> None:
        """Hand it to the server; ServiceError if it does not take it for anybody."""
        to = [each for each in notification.to if _ADDRESS.fullmatch(each)]
        if not to:
            raise ServiceError(
                _SERVICE, Reason.REJECTED, f"{', '.join(notification.to)} is no address", retryable=False
            )
        message = self._message(notification, to)
        with self._speaking() as connection:
            refused = connection.send_message(message, self._server.sender, to)
            if refused and len(refused) == len(to):
                raise smtplib.SMTPRecipientsRefused(refused)

    def check(self) -> None:
        """Sign in and leave; for `doctor`."""
        with self._speaking() as connection:
            connection.noop()

    def _message(self, mail: Notification, to: list[str]) -> EmailMessage:
        message = EmailMessage()
        message["From"] = self._server.sender
        message["To"] = ", ".join(to)
        message["Subject"] = _one_line(mail.subject)
        message["Date"] = format_datetime(self._clock.now())
        message["Message-ID"] = f"<{re.sub(r'[^A-Za-z0-9._-]', '-', mail.key)}@oncall-agent>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers it
        message.set_content(self._templates.render("mail.txt", mail))
        message.add_alternative(self._templates.render("mail.html", mail), subtype="html")
        return message

    @contextmanager
    def _speaking(self) -> Iterator[smtplib.SMTP]:
        server = self._server
        try:
            with self._connected() as connection:
                if server.security == "starttls":
                    connection.starttls(context=self._trust)
                if server.username:
                    connection.login(server.username, server.password)
                yield connection
        except smtplib.SMTPAuthenticationError as error:
            raise _problem(Reason.AUTH, "the server does not take our username and password") from error
        except smtplib.SMTPNotSupportedError as error:
            raise _problem(Reason.REJECTED, f"the server cannot do what is configured: {error}") from error
        except (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused) as error:
            raise _refusal(error) from error
        except ssl.SSLError as error:
            raise _problem(Reason.AUTH, f"the server's certificate is not trusted: {error.reason}") from error
        except (smtplib.SMTPException, OSError) as error:
            # smtplib tells a server that says nothing as one that hung up, with the true cause behind it
            if isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError):
                words = f"no answer within {server.timeout_s:g} s"
                raise _problem(Reason.TIMEOUT, words, again=True) from error
            where = f"{server.host}:{server.port}"
            raise _problem(Reason.UNREACHABLE, f"{where} cannot be spoken to: {error}", again=True) from error

    def _connected(self) -> smtplib.SMTP:
        server = self._server
        if server.security == "tls":
            return smtplib.SMTP_SSL(server.host, server.port, timeout=server.timeout_s, context=self._trust)
        return smtplib.SMTP(server.host, server.port, timeout=server.timeout_s)


def _one_line(text: str) -> str:
    return " ".join(text.replace("\x00", "\ufffd").split())


def _problem(reason: Reason, message: str, *, again: bool = False) -> ServiceError:
    return ServiceError(_SERVICE, reason, message, retryable=again)


def _refusal(error: smtplib.SMTPResponseException | smtplib.SMTPRecipientsRefused) -> ServiceError:
    words: bytes | str
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, words = next(iter(error.recipients.values()))
    else:
        code, words = error.smtp_code, error.smtp_error
    text = words.decode("utf-8", "replace") if isinstance(words, bytes) else str(words)
    is_final = code >= _FIRST_PERMANENT
    return _problem(
        Reason.REJECTED if is_final else Reason.SERVER_ERROR,
        f"the server says {code} {_one_line(text)[:300]}",
        again=not is_final,
    )
