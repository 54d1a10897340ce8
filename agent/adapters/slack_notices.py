"""Messages in channels of Slack that are not the incidents' own: whom a routing rule tells.

Needs what the bot has anyhow, chat:write; in a public channel that it is no member of, chat:write.public.
"""

from __future__ import annotations

from agent.adapters.slack import asked
from agent.adapters.slack_http import BotClient
from agent.adapters.slack_text import first_message
from agent.ports import Notification


class SlackNotices:
    """Implements ports.Notifier."""

    def __init__(self, api_url: str, bot_token: str, *, timeout_s: float = 5.0) -> None:
        self._client = BotClient(api_url, bot_token, timeout_s=timeout_s)

    def __repr__(self) -> str:
        return f"SlackNotices({self._client.base_url!r}, '***')"

    def notify(self, notification: Notification) -> None:
        """One message with the text; what is too long for one is cut."""
        channel = "".join(notification.to[:1])
        shown, _ = first_message([notification.text])
        asked(
            lambda: self._client.chat_postMessage(
                channel=channel, text=shown, unfurl_links=False, unfurl_media=False, parse="none"
            )
        )
