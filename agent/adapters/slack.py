"""Slack: the incident's thread, by the Web API with a bot token, or by an incoming webhook alone.

Nothing is tried twice here: every failure becomes a ServiceError that says whether and when to ask again,
and the outbox decides. Neither the token nor a webhook's address is ever part of an error, a repr or a log.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web import SlackResponse

from agent.adapters.slack_check import SlackCheck, channel_id, check_bot, check_hook
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
from agent.adapters.slack_marks import Mark, line_in, lines_in, lines_mark, root_in, root_mark
from agent.adapters.slack_question import question_message
from agent.adapters.slack_text import Message, card_message, first_message
from agent.domain.errors import Reason, ServiceError
from agent.ports import QuestionCard, ThreadCard


class SlackChat:
    """One thread per incident in `channel`, its root kept current; needs a bot token with chat:write.

    A thread's reference is "CHANNEL_ID:TS", so that a thread stays where it began
    when the configured channel changes, and because chat.update wants the channel's id.
    """

    has_threads = True

    def __init__(self, api_url: str, bot_token: str, channel: str, *, timeout_s: float = 5.0) -> None:
        self._client = BotClient(api_url, bot_token, timeout_s=timeout_s)
        self._channel = channel
        self._channel_id = ""

    def __repr__(self) -> str:
        return f"SlackChat({self._client.base_url!r}, '***', {self._channel!r})"

    def post_root(self, card: ThreadCard, *, key: str = "") -> str:
        """Open the incident's thread; gives its reference."""
        message = card_message(card)
        answer = self._post(self._channel, message, mark=root_mark(key))
        channel, ts = answer.get("channel"), answer.get("ts")
        if not (isinstance(channel, str) and isinstance(ts, str) and channel and ts):
            raise not_slack()
        self._channel_id = channel
        return f"{channel}:{ts}"

    def find_root(self, key: str, *, since: datetime) -> str:
        """The reference of the thread that was opened with this key; "" if there is none."""
        if not self._channel_id:
            self._channel_id = channel_id(self._client, self._channel, _call)
        channel = self._channel_id
        ts = root_in(self._client, channel, key, since=since, call=_call) if channel else ""
        return f"{channel}:{ts}" if ts else ""

    def find_lines(self, ref: str, *, since: datetime) -> frozenset[str]:
        """The keys of all lines that stand in the thread and were posted since then."""
        if not ref:
            return frozenset()
        channel, ts = _place(ref)
        return lines_in(self._client, channel, ts, since=since, call=_call)

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

    def post_lines(
        self, ref: str, lines: Sequence[str], *, keys: Sequence[str] = (), broadcast: bool = False
    ) -> int:
        """Post one message in the thread with as many of the first lines as it holds; how many those are.

        Lines are plain text of unknown origin; text lines inside one that start with four spaces are
        shown as a code block. With `broadcast` the message is also shown in the channel.
        """
        channel, ts = _place(ref) if ref else (self._channel, None)
        text, count = first_message(lines)
        if text.strip():
            shown = True if broadcast and ts is not None else None
            mark = lines_mark(keys[:count])
            self._post(channel, Message(text), thread_ts=ts, reply_broadcast=shown, mark=mark)
        return count

    def post_question(self, ref: str, question: QuestionCard, *, key: str = "") -> str:
        """Ask in the thread with buttons, shown in the channel too; gives "CHANNEL_ID:TS" of the question."""
        channel, ts = _place(ref)
        mark = lines_mark([key]) if key else None
        answer = self._post(
            channel, question_message(question), thread_ts=ts, reply_broadcast=True, mark=mark
        )
        posted = answer.get("ts")
        if not (isinstance(posted, str) and posted):
            raise not_slack()
        return f"{channel}:{posted}"

    def find_question(self, ref: str, key: str, *, since: datetime) -> str:
        """The reference of the question that was asked in the thread with this key; "" if there is none."""
        channel, ts = _place(ref)
        found = line_in(self._client, channel, ts, key, since=since, call=_call)
        return f"{channel}:{found}" if found else ""

    def update_question(self, question_ref: str, question: QuestionCard) -> None:
        """Bring a question up to date; once it is over its buttons are gone."""
        channel, ts = _place(question_ref)
        message = question_message(question)
        _call(
            lambda: self._client.chat_update(
                channel=channel, ts=ts, text=message.text, blocks=list(message.blocks), parse="none"
            )
        )

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
        mark: Mark | None = None,
    ) -> SlackResponse:
        # parse=none leaves plain addresses and names in untrusted text alone (chat.postMessage, "parse").
        return _call(
            lambda: self._client.chat_postMessage(
                channel=channel,
                text=message.text,
                blocks=list(message.blocks) or None,
                thread_ts=thread_ts,
                reply_broadcast=reply_broadcast,
                metadata=mark,
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

    def __repr__(self) -> str:
        return "SlackWebhookChat('***')"

    def post_root(self, card: ThreadCard, *, key: str = "") -> str:  # noqa: ARG002
        """Post the card as a message; there is no thread, so the reference is empty."""
        self._send(card_message(card))
        return ""

    def find_root(self, key: str, *, since: datetime) -> str:  # noqa: ARG002
        """Nothing: an incoming webhook cannot be asked what it posted."""
        return ""

    def find_lines(self, ref: str, *, since: datetime) -> frozenset[str]:  # noqa: ARG002
        """Nothing: an incoming webhook cannot be asked what it posted."""
        return frozenset()

    def update_root(self, ref: str, card: ThreadCard) -> None:
        """Do nothing: what an incoming webhook has posted cannot be changed."""

    def post_lines(
        self,
        ref: str,  # noqa: ARG002
        lines: Sequence[str],
        *,
        keys: Sequence[str] = (),  # noqa: ARG002
        broadcast: bool = False,  # noqa: ARG002
    ) -> int:
        """Post one message in the channel with as many of the first lines as it holds; how many those are."""
        text, count = first_message(lines)
        if text.strip():
            self._send(Message(text))
        return count

    def post_question(self, ref: str, question: QuestionCard, *, key: str = "") -> str:  # noqa: ARG002
        """Nothing: no button works here, a line asks."""
        raise failure(Reason.REJECTED, "an incoming webhook alone has no buttons", retryable=False)

    def find_question(self, ref: str, key: str, *, since: datetime) -> str:  # noqa: ARG002
        """Nothing: an incoming webhook cannot be asked what it posted."""
        return ""

    def update_question(self, question_ref: str, question: QuestionCard) -> None:
        """Do nothing: what an incoming webhook has posted cannot be changed."""

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


def asked(ask: Callable[[], SlackResponse]) -> SlackResponse:
    """What Slack answers; every refusal is a ServiceError."""
    return _call(ask)


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
