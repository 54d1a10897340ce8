"""Amazon SNS as a source of alerts: CloudWatch's alarms from topics that are allowed, and nobody else's word.

Everything is signed; nothing is asked of any address in a message before that address is SNS's own and the
topic is one of ours. A subscription is confirmed beside the request: SNS is answered at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import structlog

from agent.adapters.cloudwatch_alarm import event_in
from agent.adapters.sns_certificates import Certificates, Fetch, Unfetched, fetch
from agent.adapters.sns_message import SUBSCRIPTION, UNSUBSCRIPTION, SnsMessage, message_in
from agent.config.sources import Sns
from agent.ports.sources import Malformed, NotGenuine, Read

log = structlog.get_logger()

#: SNS gives up after about an hour by default; what is older than a day is a replay of something kept.
_OLDEST = timedelta(days=1)
_CLOCKS_DIFFER = timedelta(minutes=15)


class SnsSource:
    """Implements ports.AlertSource."""

    name = "sns"
    asks_others = True

    def __init__(
        self,
        section: Sns,
        *,
        fetch: Fetch = fetch,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._section = section
        self._now = now
        self._fetch = fetch
        self._certificates = Certificates(fetch=fetch, now=now)

    def genuine(self, raw: bytes, headers: Mapping[str, str]) -> NotGenuine | None:
        """None if SNS signed it, lately, for a topic that is allowed."""
        if headers.get("x-amz-sns-rawdelivery", "").casefold() == "true":
            return NotGenuine("raw messages are not signed; switch raw message delivery off")
        message = message_in(raw)
        if isinstance(message, Malformed):
            return NotGenuine(message.reason)
        if message.topic not in self._section.topics:
            return NotGenuine(f"the topic {message.topic[:300]} is not in sources.sns.topics")
        if not self._is_recent(message):
            return NotGenuine("its Timestamp is too old, in the future, or no time")
        return self._unsigned(message)

    def read(self, raw: bytes, headers: Mapping[str, str]) -> Read | Malformed:  # noqa: ARG002 - the port's
        """The alarm in it; nothing for a confirmation, which is seen to."""
        message = message_in(raw)
        if isinstance(message, Malformed):
            return message
        if message.type == SUBSCRIPTION:
            return self._confirmed(message)
        if message.type == UNSUBSCRIPTION:
            log.warning("sns_unsubscribed", topic=message.topic, fix="subscribe again if this was not meant")
            return Read((), why_none="an unsubscription")
        return event_in(message, severity=self._section.severity)

    def _is_recent(self, message: SnsMessage) -> bool:
        return message.at is not None and -_CLOCKS_DIFFER <= self._now() - message.at <= _OLDEST

    def _unsigned(self, message: SnsMessage) -> NotGenuine | None:
        url = message.certificate_url
        if not url:
            return NotGenuine("SigningCertURL is not a certificate at https://sns.REGION.amazonaws.com")
        key = self._certificates.key(url)
        if isinstance(key, Unfetched):
            log.warning("sns_certificate_unfetched", url=url, why=key.why)
            return NotGenuine(f"the certificate at {url} could not be fetched: {key.why}", again=True)
        if key is None:
            return NotGenuine(f"at {url} there is no valid certificate")
        return None if message.is_signed_by(key) else NotGenuine("the signature does not fit the message")

    def _confirmed(self, message: SnsMessage) -> Read | Malformed:
        """Begin to confirm a subscription to one of our topics."""
        url = message.confirm_url
        if not url or message.topic not in self._section.topics:
            return Malformed(
                "SubscribeURL does not confirm an allowed topic at https://sns.REGION.amazonaws.com"
            )
        threading.Thread(
            target=self._confirm, args=(url, message.topic), name="sns-confirm", daemon=True
        ).start()
        return Read((), why_none="a subscription")

    def _confirm(self, url: str, topic: str) -> None:
        answer = self._fetch(url)
        if isinstance(answer, Unfetched):
            fix = "subscribe again: SNS then sends a new confirmation"
            log.error("sns_subscription_not_confirmed", topic=topic, why=answer.why, fix=fix)
        else:
            log.info("sns_subscription_confirmed", topic=topic)
