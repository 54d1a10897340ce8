"""Telling somebody outside of the incident's thread: by mail, in a channel, at another system."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Notification:
    """One message. `key` names it: the same key is the same message.

    `to` are mail addresses or one channel; a hook leads to one place and needs none. `facts` and `links`
    (address, words) are for those that show more than text; the text says by itself what there is to say.
    `tried_since`: it may stand there since then, and where that can be seen it is not said twice.
    All of it is plain and untrusted.
    """

    to: tuple[str, ...]
    subject: str
    text: str
    key: str
    facts: Mapping[str, str] = field(default_factory=dict)
    links: tuple[tuple[str, str], ...] = ()
    tried_since: datetime | None = None


class Notifier(Protocol):
    """One way to tell: SMTP, Slack, Microsoft Teams, a webhook. ServiceError if nobody was told.

    What it raises says whether trying again can help, and holds neither its address nor its key.
    """

    def notify(self, notification: Notification) -> None:
        """Tell it once."""
        ...
