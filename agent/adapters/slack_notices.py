"""Messages in channels of Slack that are not the incidents' own: whom a routing rule tells.

Needs what the bot has anyhow, chat:write; in a public channel that it is no member of, chat:write.public.
Where it may read the channel (channels:history, as a member) nothing is said twice; elsewhere rather twice
than never.
"""

from __future__ import annotations

import structlog

from agent.adapters.slack import asked
from agent.adapters.slack_check import channel_id
from agent.adapters.slack_http import BotClient
from agent.adapters.slack_marks import notice_in, notice_mark
from agent.adapters.slack_text import first_message
from agent.domain.errors import ServiceError
from agent.ports import Notification

log = structlog.get_logger()


class SlackNotices:
    """Implements ports.Notifier."""

    def __init__(self, api_url: str, bot_token: str, *, timeout_s: float = 5.0) -> None:
        self._client = BotClient(api_url, bot_token, timeout_s=timeout_s)

    def __repr__(self) -> str:
        return f"SlackNotices({self._client.base_url!r}, '***')"

    def notify(self, notification: Notification) -> None:
        """One message with the text, if it does not stand there; what is too long for one is cut."""
        channel = "".join(notification.to[:1])
        if self._stands(channel, notification):
            return
        shown, _ = first_message([notification.text])
        asked(
            lambda: self._client.chat_postMessage(
                channel=channel,
                text=shown,
                metadata=notice_mark(notification.key),
                unfurl_links=False,
                unfurl_media=False,
                parse="none",
            )
        )

    def _stands(self, channel: str, notification: Notification) -> bool:
        since = notification.tried_since
        if since is None:
            return False
        try:
            found = channel_id(self._client, channel, asked)
            return bool(found) and notice_in(self._client, found, notification.key, since=since, call=asked)
        except ServiceError as error:
            log.warning("notice_not_looked_up", channel=channel, error=str(error))
            return False
