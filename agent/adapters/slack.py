"""Slack: the incident's thread, by the Web API with a bot token, or by an incoming webhook alone.

Nothing is tried twice here: every failure becomes a ServiceError that says whether and when to ask again,
and the outbox decides. Neither the token nor a webhook's address is ever part of an error, a repr or a log.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence

from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web import SlackResponse

from agent.adapters.slack_check import SlackCheck, check_bot, check_hook
from agent.adapters.slack_errors import (
    Answer,
    code_failure,
    failure,
    not_slack,
    retry_after_s,
    unusable,
    webhook_failure,
)
from agent.adapters.slack_http import BotClient, HookClient
from agent.adapters.slack_text import Message, card_message, pack_lines
from agent.domain.errors import Reason, ServiceError
from agent.ports import ThreadCard

_REMEMBERED_POSTS = 256


class SlackChat:
    """One thread per incident in `channel`, its root kept current; needs a bot token with chat:write.

    A thread's reference is "CHANNEL_ID:TS", so that a thread stays where it began
    when the configured channel changes, and because chat.update wants the channel's id.
    """

    has_threads = True

    def __init__(self, api_url: str, bot_token: str, channel: str, *, timeout_s: float = 5.0) -> None:
        self._client = BotClient(api_url, bot_token, timeout_s=timeout_s)
        self._channel = channel
        self._posts = _Posts()

    def __repr__(self) -> str:
        return f"SlackChat({self._client.base_url!r}, '***', {self._channel!r})"

    def post_root(self, card: ThreadCard) -> str:
        """Open the incident's thread; gives its reference."""
        message = card_message(card)
        answer = self._post(self._channel, message)
        channel, ts = answer.get("channel"), answer.get("ts")
        if not (isinstance(channel, str) and isinstance(ts, str) and channel and ts):
            raise not_slack()
        return f"{channel}:{ts}"

    def update_root(self, ref: str, card: ThreadCard) -> None:
        """Bring the thread's first message up to date; without a reference there is nothing to update."""
        if not ref:
            return
        channel, ts = _place(ref)
        message = card_message(card)
        _call(
            lambda: self._client.chat_update(
                channel=channel, ts=ts, text=message.text, blocks=list(message.blocks), parse="none"
            )
        )

    def post_lines(self, ref: str, lines: Sequence[str], *, broadcast: bool = False) -> None:
        """Post the lines in the thread, in as few messages as hold them.

        Lines are plain text of unknown origin; text lines inside one that start with four spaces are
        shown as a code block. With `broadcast` the first message is also shown in the channel.
        Asked again after a failure in the middle, it goes on where it stopped.
        """
        channel, ts = _place(ref) if ref else (self._channel, None)

        def post(number: int, text: str) -> None:
            shown = broadcast and ts is not None and number == 0
            self._post(channel, Message(text), thread_ts=ts, reply_broadcast=True if shown else None)

        self._posts.send((ref, *lines), pack_lines(lines), post)

    def check(self) -> SlackCheck:
        """What `doctor` tells: whether the token works, its scopes suffice and the channel can be reached."""
        return check_bot(self._client, self._channel, _call)

    def _post(
        self,
        channel: str,
        message: Message,
        *,
        thread_ts: str | None = None,
        reply_broadcast: bool | None = None,
    ) -> SlackResponse:
        # parse=none leaves plain addresses and names in untrusted text alone (chat.postMessage, "parse").
        return _call(
            lambda: self._client.chat_postMessage(
                channel=channel,
                text=message.text,
                blocks=list(message.blocks) or None,
                thread_ts=thread_ts,
                reply_broadcast=reply_broadcast,
                unfurl_links=False,
                unfurl_media=False,
                parse="none",
            )
        )


class SlackWebhookChat:
    """An incoming webhook alone: messages in its channel, without threads, updates or buttons.

    Slack answers a webhook's post with the text `ok` and nothing to hold on to, so the card is
    posted once, as a message, and later states of the incident are told by lines only.
    """

    has_threads = False

    def __init__(self, url: str, timeout_s: float = 5.0) -> None:
        self._client = HookClient(url, timeout_s=timeout_s)
        self._posts = _Posts()

    def __repr__(self) -> str:
        return "SlackWebhookChat('***')"

    def post_root(self, card: ThreadCard) -> str:
        """Post the card as a message; there is no thread, so the reference is empty."""
        self._send(card_message(card))
        return ""

    def update_root(self, ref: str, card: ThreadCard) -> None:
        """Do nothing: what an incoming webhook has posted cannot be changed."""

    def post_lines(self, ref: str, lines: Sequence[str], *, broadcast: bool = False) -> None:  # noqa: ARG002
        """Post the lines in the channel, in as few messages as hold them."""
        self._posts.send((ref, *lines), pack_lines(lines), lambda _, text: self._send(Message(text)))

    def check(self) -> SlackCheck:
        """What `doctor` tells: whether the address is alive, asked with an empty message that is refused."""
        return check_hook(lambda: self._ask(Message("")))

    def _send(self, message: Message) -> None:
        problem = webhook_failure(self._ask(message))
        if problem is not None:
            raise problem

    def _ask(self, message: Message) -> Answer:
        answer = _hook_answer(self._client, message)
        if answer is None:
            raise unusable()
        return answer


def _hook_answer(client: HookClient, message: Message) -> Answer | None:
    try:
        answer = client.send(
            text=message.text,
            blocks=list(message.blocks) or None,
            unfurl_links=False,
            unfurl_media=False,
        )
    except (SlackClientError, ValueError):
        return None
    return Answer(answer.status_code, answer.headers, answer.body)


def _call(ask: Callable[[], SlackResponse]) -> SlackResponse:
    """Ask, and turn a refusal into a ServiceError; the SDK's own error holds the request, so it ends here."""
    try:
        return ask()
    except SlackApiError as error:
        problem = _refusal(error.response)
    except (SlackClientError, ValueError):
        problem = unusable()
    raise problem


def _refusal(response: SlackResponse) -> ServiceError:
    code, needed = response.get("error"), response.get("needed")
    return code_failure(
        code if isinstance(code, str) else "",
        needed=needed if isinstance(needed, str) else "",
        after_s=retry_after_s(response.headers),
    )


def _place(ref: str) -> tuple[str, str]:
    channel, _, ts = ref.partition(":")
    if not channel or not ts:
        raise failure(Reason.NOT_FOUND, f"{ref!r} is not the reference of a thread here", retryable=False)
    return channel, ts


class _Posts:
    """Sends the messages of one post in order and remembers how far it got.

    Slack takes about one message a second: a post in several messages that is refused half way
    is asked for again whole, and must not repeat what people already see.
    """

    def __init__(self) -> None:
        self._sent: OrderedDict[tuple[str, ...], int] = OrderedDict()
        self._lock = threading.Lock()

    def send(self, key: tuple[str, ...], texts: Sequence[str], post: Callable[[int, str], object]) -> None:
        with self._lock:
            start = self._sent.pop(key, 0)
        for number, text in enumerate(texts[start:], start):
            try:
                post(number, text)
            except ServiceError:
                self._remember(key, number)
                raise

    def _remember(self, key: tuple[str, ...], count: int) -> None:
        with self._lock:
            self._sent[key] = count
            while len(self._sent) > _REMEMBERED_POSTS:
                self._sent.popitem(last=False)
