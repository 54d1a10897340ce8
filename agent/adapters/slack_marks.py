"""What marks a message as ours, and finding it again: Slack takes no key that stops a second post.

A message carries metadata that no person sees (documentation page "Message metadata"; its values are texts,
numbers and booleans): the incident of a root, the letters of a reply. `conversations.history` and
`conversations.replies` give it back when asked for all metadata, to a bot that is a member of the channel and
has the scope channels:history (groups:history in a private one).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from slack_sdk.web import SlackResponse

from agent.adapters.slack_http import BotClient

Mark = dict[str, object]
Call = Callable[[Callable[[], SlackResponse]], SlackResponse]

_ROOT, _LINES, _NOTICE = "oncall_agent_incident", "oncall_agent_lines", "oncall_agent_notice"

#: Slack stamps messages with its own clock.
_CLOCKS_DIFFER = timedelta(minutes=10)

# conversations.history gives up to 999 a page, 15 to apps sold outside the Marketplace (page "Rate limits").
_PAGE, _MAX_PAGES = 200, 25


def root_mark(key: str) -> Mark | None:
    """The metadata of an incident's root message."""
    return {"event_type": _ROOT, "event_payload": {"incident": key}} if key else None


def lines_mark(keys: Sequence[str]) -> Mark | None:
    """The metadata of a message that holds these lines."""
    return {"event_type": _LINES, "event_payload": {"letters": ",".join(keys)}} if keys else None


def notice_mark(key: str) -> Mark:
    """The metadata of a message in a further channel."""
    return {"event_type": _NOTICE, "event_payload": {"key": key}}


def notice_in(client: BotClient, channel: str, key: str, *, since: datetime, call: Call) -> bool:
    """Whether a message with this key was posted in the channel since then."""
    marked = _marked(_messages(_pages_of(client, channel, since), call), _NOTICE)
    return any(payload.get("key") == key for _, payload in marked)


def root_in(client: BotClient, channel: str, key: str, *, since: datetime, call: Call) -> str:
    """The ts of the root message with this key; "" if none was posted since then."""
    marked = _marked(_messages(_pages_of(client, channel, since), call), _ROOT)
    return next((ts for ts, payload in marked if payload.get("incident") == key), "")


def line_in(client: BotClient, channel: str, ts: str, key: str, *, since: datetime, call: Call) -> str:
    """The ts of the message in the thread that holds the line with this key; "" if there is none."""
    return next((at for at, keys in _told(client, channel, ts, since, call) if key in keys), "")


def lines_in(client: BotClient, channel: str, ts: str, *, since: datetime, call: Call) -> frozenset[str]:
    """The keys of all lines that were posted in the thread since then."""
    return frozenset(key for _, keys in _told(client, channel, ts, since, call) for key in keys)


def _pages_of(client: BotClient, channel: str, since: datetime) -> Callable[[str | None], SlackResponse]:
    """What stands in the channel itself."""
    oldest = _oldest(since)

    def page(cursor: str | None) -> SlackResponse:
        return client.conversations_history(
            channel=channel, oldest=oldest, limit=_PAGE, cursor=cursor, include_all_metadata=True
        )

    return page


def _told(
    client: BotClient, channel: str, ts: str, since: datetime, call: Call
) -> Iterator[tuple[str, list[str]]]:
    """(ts, keys of its lines) of our messages in the thread."""
    oldest = _oldest(since)

    def page(cursor: str | None) -> SlackResponse:
        return client.conversations_replies(
            channel=channel, ts=ts, oldest=oldest, limit=_PAGE, cursor=cursor, include_all_metadata=True
        )

    for at, payload in _marked(_messages(page, call), _LINES):
        letters = payload.get("letters")
        if isinstance(letters, str):
            yield at, letters.split(",")


def _oldest(since: datetime) -> str:
    return f"{(since - _CLOCKS_DIFFER).timestamp():.6f}"


def _messages(page: Callable[[str | None], SlackResponse], call: Call) -> Iterator[Mapping[str, object]]:
    cursor = None
    for _ in range(_MAX_PAGES):
        at = cursor
        answer = call(lambda at=at: page(at))  # type: ignore[misc]
        found = answer.get("messages")
        yield from (each for each in found if isinstance(each, dict)) if isinstance(found, list) else ()
        following = answer.get("response_metadata")
        cursor = following.get("next_cursor") if isinstance(following, dict) else None
        if not isinstance(cursor, str) or not cursor:
            return


def _marked(
    messages: Iterator[Mapping[str, object]], event_type: str
) -> Iterator[tuple[str, Mapping[str, object]]]:
    """(ts, payload) of the messages that carry our mark."""
    for message in messages:
        ts, metadata = message.get("ts"), message.get("metadata")
        if not isinstance(ts, str) or not isinstance(metadata, dict):
            continue
        payload = metadata.get("event_payload")
        if metadata.get("event_type") == event_type and isinstance(payload, dict):
            yield ts, payload
