"""Reading back at the simulated Slack: conversations.history and conversations.replies.

As Slack does: only to a bot that is a member, with a *:history scope; a channel newest first, a thread oldest
first; the payload of a message's metadata only with `include_all_metadata`. Tier 3 allows 50 calls a minute;
apps sold outside the Marketplace get one call and 15 messages a minute (`page_max=15` and a `limit`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agent.simulators.slack_workspace import Meter, RateLimit, SlackMessage, SlackRefusalError, Workspace

Args = Mapping[str, object]
_DEFAULT_PAGE = 100


@dataclass(slots=True)
class History:
    """The two methods; `limit` counts each of them by itself."""

    workspace: Workspace
    scopes: Sequence[str]
    limit: RateLimit | None = None
    page_max: int = 999
    _meter: Meter = field(init=False)

    def __post_init__(self) -> None:
        self._meter = Meter(self.limit)

    def channel(self, args: Args) -> tuple[list[SlackMessage], dict[str, object]]:
        """What stands in the channel itself: no replies, but those shown to the channel too."""
        channel_id = self._may_read(args, "conversations.history")
        shown = [each for each in self.workspace.messages(channel_id) if not each.thread_ts or each.broadcast]
        return self._page(args, [each for each in reversed(shown) if _is_between(args, each)])

    def thread(self, args: Args) -> tuple[list[SlackMessage], dict[str, object]]:
        """The parent and its replies."""
        channel_id = self._may_read(args, "conversations.replies")
        wanted = str(args.get("ts") or "")
        messages = self.workspace.messages(channel_id)
        named = next((each for each in messages if each.ts == wanted), None)
        if named is None:
            raise SlackRefusalError("thread_not_found")
        parent = named.thread_ts or named.ts
        replies = [each for each in messages if each.thread_ts == parent and _is_between(args, each)]
        return self._page(args, [each for each in messages if each.ts == parent] + replies)

    def _may_read(self, args: Args, method: str) -> str:
        wanted = str(args.get("channel") or "")
        found = next((each for each in self.workspace.channels() if each.id == wanted), None)
        needed = "groups:history" if found is not None and found.is_private else "channels:history"
        if needed not in self.scopes:
            raise SlackRefusalError("missing_scope", needed=needed, provided=",".join(self.scopes))
        if found is None or (found.is_private and not found.is_member):
            raise SlackRefusalError("channel_not_found")
        if not found.is_member:
            raise SlackRefusalError("not_in_channel")
        self._meter.take(method)
        return found.id

    def _page(
        self, args: Args, found: Sequence[SlackMessage]
    ) -> tuple[list[SlackMessage], dict[str, object]]:
        size = min(int(str(args.get("limit") or _DEFAULT_PAGE)), self.page_max)
        start = int(str(args.get("cursor") or 0))
        following = str(start + size) if start + size < len(found) else ""
        told = {"has_more": bool(following), "response_metadata": {"next_cursor": following}}
        return list(found[start : start + size]), told


def _is_between(args: Args, message: SlackMessage) -> bool:
    at = float(message.ts)
    oldest, latest = args.get("oldest"), args.get("latest")
    return (not oldest or at > float(str(oldest))) and (not latest or at < float(str(latest)))


def wants_metadata(args: Args) -> bool:
    """Whether the payloads of metadata are asked for."""
    return str(args.get("include_all_metadata", "")).lower() in {"1", "true"}
