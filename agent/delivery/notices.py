"""Tells whom a routing rule names: by e-mail, and in channels of the chat that are not the incidents' own.

At least once: what was handed over and not yet marked when the agent died is sent once more. A mail is then
the same by its Message-ID, and a channel is looked at first; one that may not be read shows it twice rather
than never.
"""

from __future__ import annotations

import structlog

from agent.delivery.instead import tell_or_page
from agent.delivery.sending import Backoff, OneByOne, Pace
from agent.domain.errors import Reason, ServiceError
from agent.domain.incident import Entry, EventKind
from agent.domain.outbox import Channel, ChannelNotice, HookNotice, Letter, MailHuman
from agent.pipeline.context import Context
from agent.pipeline.telling import tell
from agent.ports import Notification, Notifier, OutboxStore

log = structlog.get_logger()

#: Slack allows about one message a second in a channel and tolerates short bursts ("Rate limits").
_BURST, _EVERY_S = 4, 1.0


class Singly(OneByOne):
    """One letter at a time; what will never be taken is told and given up, anything else is tried again."""

    def __init__(self, context: Context, outbox: OutboxStore) -> None:
        super().__init__(outbox)
        self._context = context
        self._backoff = Backoff()

    def _sent(self, letter: Letter) -> None:
        self._backoff.succeeded()
        self._tell(letter, "told", f"📨 {_whom(letter)} was told")

    def _failed(self, letter: Letter, error: ServiceError) -> float:
        words = self._context.redactor.text(str(error))
        if error.reason in (Reason.REJECTED, Reason.NOT_FOUND):
            log.error("notice_rejected", channel=self.channel.value, error=words)
            why = f"{_whom(letter)} could not be told: {words}"
            entry = Entry(f"not-told-{letter.id}", EventKind.DELIVERY, f"⚠️ {why}")
            tell_or_page(self._context, letter, entry, why)
            self._outbox.undeliverable([letter.id], error=words)
            return 0.0
        delay_s = self._backoff.failed(error)
        log.warning("notice_not_taken", channel=self.channel.value, error=words, again_in_s=round(delay_s, 1))
        self._outbox.postpone([letter.id], delay_s=delay_s, error=words)
        return delay_s

    def _tell(self, letter: Letter, key: str, text: str) -> None:
        tell(self._context, letter.incident_id, Entry(f"{key}-{letter.id}", EventKind.DELIVERY, text))


class MailSender(Singly):
    """Implements Sender for e-mail."""

    channel = Channel.MAIL

    def __init__(self, context: Context, outbox: OutboxStore, mailer: Notifier) -> None:
        super().__init__(context, outbox)
        self._mailer = mailer

    def _send(self, letter: Letter) -> None:
        match letter.message:
            case MailHuman(to, subject, text, key, facts, links):
                self._mailer.notify(Notification(to, subject, text, key, facts, links))
            case _:
                raise TypeError(f"{type(letter.message).__name__} is no e-mail")


class NoticeSender(Singly):
    """Implements Sender for further channels of the chat."""

    channel = Channel.NOTICE

    def __init__(self, context: Context, outbox: OutboxStore, notices: Notifier) -> None:
        super().__init__(context, outbox)
        self._notices = notices
        self._pace = Pace(context.clock, burst=_BURST, every_s=_EVERY_S)

    def _send(self, letter: Letter) -> None:
        match letter.message:
            case ChannelNotice(channel, text):
                self._context.clock.sleep(self._pace.wait_s())
                key = f"{letter.incident_id}-{letter.id}"
                since = letter.created_at if letter.tries else None
                self._notices.notify(Notification((channel,), "", text, key, tried_since=since))
            case _:
                raise TypeError(f"{type(letter.message).__name__} is no message for a channel")


def _whom(letter: Letter) -> str:
    match letter.message:
        case MailHuman(to):
            return ", ".join(to)
        case ChannelNotice(channel):
            return channel
        case HookNotice(hook):
            return f"hook:{hook}"
        case _:
            return "somebody"
