"""The state of the simulated Slack: channels, messages, threads, and what may be done to them."""

from __future__ import annotations

import itertools
import json
import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from agent.simulators.slack_blocks import blocks_error, readable, screen_text

BOT_USER_ID, BOT_ID, TEAM_ID = "U0SIMULATE", "B0SIMULATE", "T0SIMULATE"
# Over 40,000 characters chat.postMessage cuts or refuses the text; chat.update refuses more than 4,000.
MAX_POST_TEXT, MAX_UPDATE_TEXT = 40_000, 4_000
# The documentation states no number for metadata; a few KB surely pass.
MAX_METADATA = 8_000


@dataclass(frozen=True, slots=True)
class SlackChannel:
    """A channel of the simulated workspace."""

    id: str
    name: str
    is_member: bool = True
    is_private: bool = False
    is_archived: bool = False


@dataclass(frozen=True, slots=True)
class SlackMessage:
    """A message as people see it now; `texts` is its text through its edits, oldest first."""

    channel_id: str
    ts: str
    text: str
    blocks: tuple[Mapping[str, object], ...] = ()
    thread_ts: str = ""
    broadcast: bool = False
    via: str = "bot"
    texts: tuple[str, ...] = ()
    metadata: Mapping[str, object] | None = None

    @property
    def edits(self) -> int:
        """How often it was changed."""
        return len(self.texts) - 1

    @property
    def shown(self) -> str:
        """What is read on the screen: the blocks' texts, or the text where there are none."""
        return readable(screen_text(self.blocks) if self.blocks else self.text)


@dataclass(frozen=True, slots=True)
class Draft:
    """A message as a request brings it."""

    text: str = ""
    blocks: object = None
    thread_ts: str = ""
    broadcast: bool = False
    via: str = "bot"
    metadata: object = None


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Messages a second for one channel after a burst (Slack: about one, short bursts tolerated)."""

    per_s: float = 1.0
    burst: int = 4
    now: Callable[[], float] = time.monotonic


class SlackRefusalError(Exception):
    """An answer with ok:false: the code and what else stands in it."""

    def __init__(self, code: str, **more: object) -> None:
        self.code = code
        self.more = more
        super().__init__(code)


class TooManyError(Exception):
    """An answer 429: come back in `after_s`."""

    def __init__(self, after_s: int) -> None:
        self.after_s = after_s
        super().__init__(f"again in {after_s} s")


@dataclass(slots=True)
class Meter:
    """Counts calls against a limit, for each key by itself."""

    limit: RateLimit | None
    left: dict[str, tuple[float, float]] = field(default_factory=dict)

    def take(self, channel_id: str) -> None:
        """Count one call, or refuse it."""
        if self.limit is None:
            return
        now = self.limit.now()
        tokens, seen = self.left.get(channel_id, (float(self.limit.burst), now))
        tokens = min(float(self.limit.burst), tokens + (now - seen) * self.limit.per_s)
        if tokens < 1:
            self.left[channel_id] = (tokens, now)
            raise TooManyError(max(1, math.ceil((1 - tokens) / self.limit.per_s)))
        self.left[channel_id] = (tokens - 1, now)


class Workspace:
    """Channels by id and name, and every message in the order it came."""

    def __init__(self, channels: Sequence[str], rate_limit: RateLimit | None) -> None:
        self._lock = threading.RLock()
        self._channels: dict[str, SlackChannel] = {}
        self._messages: dict[str, list[SlackMessage]] = defaultdict(list)
        self._meter = Meter(rate_limit)
        self._ids = itertools.count(1)
        self._last_ts = (0, 0)
        for name in channels:
            self.add_channel(name)

    def add_channel(
        self, name: str, *, is_member: bool = True, is_private: bool = False, is_archived: bool = False
    ) -> SlackChannel:
        """Make a channel, or make it anew with the same id: archive it, leave it."""
        bare = name.removeprefix("#")
        with self._lock:
            known = next((each.id for each in self._channels.values() if each.name == bare), "")
            channel_id = known or f"C{next(self._ids):09d}"
            channel = SlackChannel(channel_id, bare, is_member, is_private, is_archived)
            self._channels[channel_id] = channel
            return channel

    def channels(self) -> list[SlackChannel]:
        """Every channel, in the order they were made."""
        with self._lock:
            return list(self._channels.values())

    def channel(self, name_or_id: str) -> SlackChannel:
        """The channel with this id or name; refuses as channel_not_found."""
        with self._lock:
            found = self._channels.get(name_or_id)
            name = name_or_id.removeprefix("#")
            found = found or next((each for each in self._channels.values() if each.name == name), None)
        if found is None:
            raise SlackRefusalError("channel_not_found")
        return found

    def messages(self, channel: str = "") -> list[SlackMessage]:
        """What stands in a channel (in all of them without a name), replies included, oldest first."""
        with self._lock:
            where = [self.channel(channel).id] if channel else list(self._channels)
            found = [message for each in where for message in self._messages[each]]
        return sorted(found, key=lambda message: message.ts)

    def post(self, channel: str, draft: Draft, *, scopes: Collection[str]) -> SlackMessage:
        """Add a message, or refuse it as Slack does."""
        with self._lock:
            place = self._may_post(channel, scopes)
            blocks = _content(draft, MAX_POST_TEXT)
            metadata = _metadata(draft.metadata)
            parent = self._parent(place, draft.thread_ts)
            self._meter.take(place.id)
            message = SlackMessage(
                channel_id=place.id,
                ts=self._next_ts(),
                text=draft.text,
                blocks=blocks,
                thread_ts=parent,
                broadcast=draft.broadcast and bool(parent),
                via=draft.via,
                texts=(draft.text,),
                metadata=metadata,
            )
            self._messages[place.id].append(message)
            return message

    def update(self, channel_id: str, ts: str, draft: Draft) -> SlackMessage:
        """Change a message of the bot's; a channel's name does not do here, Slack wants its id."""
        with self._lock:
            if channel_id not in self._channels:
                raise SlackRefusalError("channel_not_found")
            number, message = self._own(channel_id, ts)
            blocks = _content(draft, MAX_UPDATE_TEXT)
            changed = replace(
                message,
                text=draft.text,
                blocks=message.blocks if draft.blocks is None else blocks,
                texts=(*message.texts, draft.text),
                # left out it stays, empty it goes (chat.update, "metadata")
                metadata=message.metadata if draft.metadata is None else _metadata(draft.metadata),
            )
            self._messages[channel_id][number] = changed
            return changed

    def delete(self, ts: str) -> None:
        """Remove a message, as a person in Slack would."""
        with self._lock:
            for kept in self._messages.values():
                kept[:] = [message for message in kept if message.ts != ts]

    def clear(self) -> None:
        """Forget every message."""
        with self._lock:
            self._messages.clear()

    def _next_ts(self) -> str:
        # Trailing zeros on purpose: whoever takes a ts for a number loses them and with them the thread.
        second, part = self._last_ts
        now = int(time.time())
        self._last_ts = (now, 100) if now > second else (second, part + 100)
        return f"{self._last_ts[0] + self._last_ts[1] // 1_000_000}.{self._last_ts[1] % 1_000_000:06d}"

    def _may_post(self, channel: str, scopes: Collection[str]) -> SlackChannel:
        place = self.channel(channel)
        if place.is_private and not place.is_member:
            raise SlackRefusalError("channel_not_found")
        if place.is_archived:
            raise SlackRefusalError("is_archived")
        if not place.is_member and "chat:write.public" not in scopes:
            raise SlackRefusalError("not_in_channel")
        return place

    def _parent(self, place: SlackChannel, thread_ts: str) -> str:
        if not thread_ts:
            return ""
        for message in self._messages[place.id]:
            if message.ts == thread_ts:
                return message.thread_ts or message.ts
        raise SlackRefusalError("thread_not_found")

    def _own(self, channel_id: str, ts: str) -> tuple[int, SlackMessage]:
        for number, message in enumerate(self._messages[channel_id]):
            if message.ts == ts:
                if message.via != "bot":
                    raise SlackRefusalError("cant_update_message")
                return number, message
        raise SlackRefusalError("message_not_found")


def _content(draft: Draft, max_text: int) -> tuple[Mapping[str, object], ...]:
    if len(draft.text) > max_text:
        raise SlackRefusalError("msg_too_long")
    if not draft.text.strip() and not draft.blocks:
        raise SlackRefusalError("no_text")
    if draft.blocks is None:
        return ()
    code, remarks = blocks_error(draft.blocks)
    if code:
        more = {"errors": list(remarks), "response_metadata": {"messages": list(remarks)}} if remarks else {}
        raise SlackRefusalError(code, **more)
    return tuple(draft.blocks) if isinstance(draft.blocks, list) else ()


def _metadata(given: object) -> Mapping[str, object] | None:
    """Metadata as it is kept; its payload holds texts, numbers and booleans (page "Message metadata")."""
    if not given:
        return None
    payload = given.get("event_payload") if isinstance(given, dict) else None
    if not isinstance(given, dict) or not isinstance(payload, dict) or not given.get("event_type"):
        raise SlackRefusalError("invalid_metadata_format")
    if not all(isinstance(value, str | int | float | bool) for value in payload.values()):
        raise SlackRefusalError("invalid_metadata_schema")
    if len(json.dumps(given)) > MAX_METADATA:
        raise SlackRefusalError("metadata_too_large")
    return given
