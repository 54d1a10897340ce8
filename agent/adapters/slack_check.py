"""What `doctor` learns about Slack, told in words: it posts nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import re2
from slack_sdk.web import SlackResponse

from agent.adapters.slack_errors import Answer, webhook_failure
from agent.adapters.slack_http import BotClient
from agent.domain.errors import Reason, ServiceError

Call = Callable[[Callable[[], SlackResponse]], SlackResponse]

_CHANNEL_ID = re2.compile(r"[CGD][A-Z0-9]{7,}")
# 200 channels a page (conversations.list); who has more than this names the channel by its id.
_MAX_PAGES = 25
_TWICE = "a crash in the middle of a post may tell a line twice"
_REFUSES_EMPTY = frozenset({"no_text", "invalid_payload", "missing_text_or_fallback_or_attachments"})


@dataclass(frozen=True, slots=True)
class SlackCheck:
    """Whether Slack will hear us; `unchecked` is what could not be found out without posting.

    `notes` are what would be better: without it everything works all the same. `scopes` are what the token
    may do, None if Slack did not say.
    """

    team: str = ""
    bot_user: str = ""
    channel_id: str = ""
    problems: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    scopes: frozenset[str] | None = None

    @property
    def ok(self) -> bool:
        """Nothing is known to be wrong."""
        return not self.problems


@dataclass(frozen=True, slots=True)
class _Channel:
    id: str
    name: str
    is_member: bool
    is_private: bool
    is_archived: bool


def check_bot(client: BotClient, channel: str, call: Call) -> SlackCheck:
    """Ask who the token is, what it may do, and whether the channel can be posted to."""
    try:
        who = call(client.auth_test)
    except ServiceError as error:
        return SlackCheck(problems=(str(error),))
    team, bot_user = _text(who.get("team")), _text(who.get("user"))
    scopes = _scopes(who)
    problems = [] if scopes is None or "chat:write" in scopes else [_lacks("chat:write", "to post")]
    unchecked: list[str] = []
    seen = None
    try:
        seen = _find(client, channel, call, scopes)
        problems += _channel_problems(seen, channel, scopes, bot_user)
    except ServiceError as error:
        told = f"whether {channel} can be posted to: {error}"
        (unchecked if _only_cannot_look(error) else problems).append(told)
    notes = () if problems else tuple(_reading_back(seen, scopes, bot_user))
    return SlackCheck(
        team, bot_user, seen.id if seen else "", tuple(problems), tuple(unchecked), notes, scopes
    )


def channel_id(client: BotClient, channel: str, call: Call) -> str:
    """The id of a channel that is named; "" if the bot sees none of this name."""
    if _CHANNEL_ID.fullmatch(channel):
        return channel
    found = _find(client, channel, call, _scopes(call(client.auth_test)))
    return found.id if found else ""


def check_hook(post_nothing: Callable[[], Answer]) -> SlackCheck:
    """Ask a webhook to post an empty message: a live one refuses exactly that."""
    try:
        answer = post_nothing()
    except ServiceError as error:
        return SlackCheck(problems=(str(error),))
    problem = webhook_failure(answer)
    if problem is not None and answer.body.strip() not in _REFUSES_EMPTY:
        return SlackCheck(problems=(str(problem),))
    unchecked = "the webhook's channel: an incoming webhook does not tell"
    blind = f"an incoming webhook cannot be asked what it posted: {_TWICE}"
    return SlackCheck(unchecked=(unchecked,), notes=(blind,))


def _reading_back(found: _Channel | None, scopes: frozenset[str] | None, bot_user: str) -> Iterator[str]:
    """What keeps us from finding out whether a post has arrived."""
    needed = "groups:history" if found is not None and found.is_private else "channels:history"
    if scopes is not None and needed not in scopes:
        yield f"the bot token lacks the scope {needed} (to see what it posted): {_TWICE}"
    elif found is not None and not found.is_member:
        yield f"the bot cannot see what it posted unless it is invited (/invite @{bot_user}): {_TWICE}"


def _only_cannot_look(error: ServiceError) -> bool:
    return error.reason is Reason.AUTH and "missing_scope" in str(error)


def _scopes(who: SlackResponse) -> frozenset[str] | None:
    told = who.headers.get("x-oauth-scopes")
    return None if told is None else frozenset(each.strip() for each in told.split(",") if each.strip())


def _lacks(scope: str, purpose: str) -> str:
    return f"the bot token lacks the scope {scope} ({purpose}): add it and install the app again"


def _find(client: BotClient, channel: str, call: Call, scopes: frozenset[str] | None) -> _Channel | None:
    if _CHANNEL_ID.fullmatch(channel):
        return _channel_of(call(lambda: client.conversations_info(channel=channel)).get("channel"))
    name = channel.removeprefix("#")
    private = ",private_channel" if scopes is not None and "groups:read" in scopes else ""
    pages = _channels(client, call, types=f"public_channel{private}")
    return next((each for each in pages if each.name == name), None)


def _channels(client: BotClient, call: Call, *, types: str) -> Iterator[_Channel]:
    cursor = ""
    for _ in range(_MAX_PAGES):
        at = cursor or None
        page = call(lambda at=at: client.conversations_list(types=types, limit=200, cursor=at))  # type: ignore[misc]
        listed = page.get("channels")
        for each in listed if isinstance(listed, list) else []:
            found = _channel_of(each)
            if found is not None:
                yield found
        following = page.get("response_metadata")
        cursor = _text(following.get("next_cursor")) if isinstance(following, dict) else ""
        if not cursor:
            return


def _channel_of(value: object) -> _Channel | None:
    if not isinstance(value, dict):
        return None
    return _Channel(
        id=_text(value.get("id")),
        name=_text(value.get("name")),
        is_member=value.get("is_member") is True,
        is_private=value.get("is_private") is True,
        is_archived=value.get("is_archived") is True,
    )


def _channel_problems(
    found: _Channel | None, channel: str, scopes: frozenset[str] | None, bot_user: str
) -> list[str]:
    if found is None:
        return [f"no channel {channel} that the bot can see: make it, or invite @{bot_user} if it is private"]
    if found.is_archived:
        return [f"{channel} is archived: unarchive it or set another slack.channel"]
    may_post_anywhere = scopes is None or "chat:write.public" in scopes
    if found.is_member or (may_post_anywhere and not found.is_private):
        return []
    return [
        f"the bot is not in {channel}: invite it (/invite @{bot_user}) or add the scope chat:write.public"
    ]


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
