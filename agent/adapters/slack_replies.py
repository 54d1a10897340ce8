"""Words for one person alone, by the response_url of their press: best effort, and never waited for.

A response_url takes 5 posts within 30 minutes (page "Handling user interaction"); we send one.
"""

from __future__ import annotations

import json
import threading
from urllib.parse import urlsplit

import structlog

from agent.adapters.exchange import Exchange, NoAnswer
from agent.adapters.slack_text import MESSAGE_LIMIT, cut

log = structlog.get_logger()

_HOSTS = ("slack.com", "slack-gov.com")
_TIMEOUT_S = 3.0
_AT_ONCE = 16
_MAX_BODY = 10_000


class SlackReplies:
    """Sends from threads of its own; what does not arrive was said in the thread of the incident too."""

    def __init__(self, api_url: str) -> None:
        self._api = urlsplit(api_url)
        self._places = threading.BoundedSemaphore(_AT_ONCE)

    def say(self, response_url: str, words: str) -> None:
        """Tell it to whom the response_url belongs, and to nobody else."""
        if not words or not self._is_slacks(response_url):
            return
        if not self._places.acquire(blocking=False):
            log.warning("slack_reply_dropped", why="too many at once")
            return
        threading.Thread(
            target=self._send, args=(response_url, words), daemon=True, name="slack-reply"
        ).start()

    def _send(self, response_url: str, words: str) -> None:
        try:
            body = {
                "response_type": "ephemeral",
                "replace_original": False,
                "text": cut(words, MESSAGE_LIMIT),
            }
            exchange = Exchange(response_url, timeout_s=_TIMEOUT_S, max_bytes=_MAX_BODY)
            headers = {"Content-Type": "application/json"}
            answer = exchange.send("POST", response_url, headers=headers, content=json.dumps(body).encode())
            exchange.close()
            if isinstance(answer, NoAnswer) or answer.status != 200:
                why = answer.words if isinstance(answer, NoAnswer) else f"status {answer.status}"
                log.warning("slack_reply_not_taken", why=why)
        finally:
            self._places.release()

    def _is_slacks(self, url: str) -> bool:
        """Whether it is an address of Slack's, or of what stands for it: nothing else is ever asked."""
        parts = urlsplit(url)
        if (parts.scheme, parts.netloc) == (self._api.scheme, self._api.netloc):
            return True
        host = parts.hostname or ""
        return parts.scheme == "https" and any(host == each or host.endswith(f".{each}") for each in _HOSTS)
