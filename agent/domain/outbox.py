"""What the agent wants to tell the world, written down in the same transaction as the decision itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import assert_never

from agent.domain.alert import Severity


class Channel(StrEnum):
    """Who it is for; each channel has its own sender, so that one being down holds up no other."""

    CHAT = "chat"
    DESK = "desk"
    PAGER = "pager"
    MAIL = "mail"
    NOTICE = "notice"
    TICKET = "ticket"
    KEEPTRUSTS = "keeptrusts"
    HOOK = "hook"
    HANDOFF = "handoff"


@dataclass(frozen=True, slots=True)
class ChatCard:
    """Bring the incident's root message up to date (rendered when it is sent)."""


@dataclass(frozen=True, slots=True)
class ChatLine:
    """One line in the incident's thread."""

    text: str


@dataclass(frozen=True, slots=True)
class ChatSummary:
    """The final summary: in the thread, and shown in the channel."""

    text: str


@dataclass(frozen=True, slots=True)
class ChatQuestion:
    """A question to a human in the incident's thread, shown in the channel, with buttons where they work.

    `key` is that of the timeline's entry which asks. What it shows is made when it is sent; `text` is said
    where no buttons work.
    """

    key: str
    text: str


@dataclass(frozen=True, slots=True)
class DeskAcknowledge:
    """Tell the source that the incident is being worked on."""

    source_id: str


@dataclass(frozen=True, slots=True)
class DeskNote:
    """Leave a note at the source's incident."""

    source_id: str
    text: str


@dataclass(frozen=True, slots=True)
class DeskResolve:
    """Close the source's incident.

    `same_as`: only if its labels do not contradict these; it was never looked at by itself.
    """

    source_id: str
    resolution: str
    same_as: Mapping[str, str] | None = None


#: A page that names no client.
NO_CLIENT = "-"


@dataclass(frozen=True, slots=True)
class PageHuman:
    """Wake a human with the evidence; `target` names the service of PagerDuty ("": the agent's own).

    `kind` is PagerDuty's `class`, `at` its `timestamp` (ISO 8601), `client` who says it ("": the agent,
    NO_CLIENT: nobody is named; what is not the agent's own word comes back as anybody's incident).
    """

    dedup_key: str
    summary: str
    severity: Severity
    source: str
    component: str
    details: Mapping[str, object] = field(default_factory=dict)
    links: tuple[tuple[str, str], ...] = ()
    target: str = ""
    group: str = ""
    kind: str = ""
    at: str = ""
    client: str = ""


@dataclass(frozen=True, slots=True)
class ClearPage:
    """What was paged for is over: nobody need look any more. `why` in words, for the thread."""

    dedup_key: str
    why: str
    target: str = ""


@dataclass(frozen=True, slots=True)
class MailHuman:
    """An e-mail about an escalation. `key` names it: sent twice after a crash, a mailbox shows it once.

    The text says it all; `facts` and `links` are for those who see more than text.
    """

    to: tuple[str, ...]
    subject: str
    text: str
    key: str
    facts: Mapping[str, str] = field(default_factory=dict)
    links: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ChannelNotice:
    """A message about an escalation in a channel of the chat that is not the incidents' own."""

    channel: str
    text: str


@dataclass(frozen=True, slots=True)
class OpenTicket:
    """A ticket for people to work on, one for each `key` whatever is sent again.

    `issue_type`, `priority` and the names of `fields` are words of the tracker's project, as configured.
    `facts`, (name, value), are shown as a table in this order, `steps` as a numbered list, `links` as
    (address, words).
    """

    key: str
    project: str
    issue_type: str
    summary: str
    heading: str = ""
    priority: str = ""
    labels: tuple[str, ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)
    facts: tuple[tuple[str, str], ...] = ()
    text: str = ""
    steps: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class CommentTicket:
    """More about what a ticket was opened for."""

    key: str
    text: str


@dataclass(frozen=True, slots=True)
class CloseTicket:
    """What a ticket was opened for is over; `resolution` in our words, the tracker's are configured."""

    key: str
    resolution: str
    text: str


@dataclass(frozen=True, slots=True)
class AnswerKeeptrusts:
    """A human's word on an escalation of Keeptrusts, for Keeptrusts, which holds a response until then."""

    escalation_id: str
    resolution: str
    notes: str


@dataclass(frozen=True, slots=True)
class HookNotice:
    """A message for another system, at a configured hook. `key` is the same when it is sent again."""

    hook: str
    key: str
    subject: str
    text: str
    facts: Mapping[str, str] = field(default_factory=dict)
    links: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class HandOver:
    """An incident for another agent, with all that is known, until a time. `key` names it at both ends."""

    to: str
    key: str


@dataclass(frozen=True, slots=True)
class AnswerHandOver:
    """What became of an incident that another agent handed to us: `resolved` or `escalate`, and why."""

    to: str
    key: str
    outcome: str
    words: str


Message = (
    ChatCard
    | ChatLine
    | ChatSummary
    | ChatQuestion
    | DeskAcknowledge
    | DeskNote
    | DeskResolve
    | PageHuman
    | ClearPage
    | MailHuman
    | ChannelNotice
    | OpenTicket
    | CommentTicket
    | CloseTicket
    | AnswerKeeptrusts
    | HookNotice
    | HandOver
    | AnswerHandOver
)


def channel_of(message: Message) -> Channel:
    """Which sender delivers it."""
    match message:
        case ChatCard() | ChatLine() | ChatSummary() | ChatQuestion():
            return Channel.CHAT
        case DeskAcknowledge() | DeskNote() | DeskResolve():
            return Channel.DESK
        case PageHuman() | ClearPage():
            return Channel.PAGER
        case MailHuman():
            return Channel.MAIL
        case ChannelNotice():
            return Channel.NOTICE
        case OpenTicket() | CommentTicket() | CloseTicket():
            return Channel.TICKET
        case AnswerKeeptrusts():
            return Channel.KEEPTRUSTS
        case HookNotice():
            return Channel.HOOK
        case HandOver() | AnswerHandOver():
            return Channel.HANDOFF
        case _ as never:
            assert_never(never)


@dataclass(frozen=True, slots=True)
class Letter:
    """One message waiting to be delivered. `tries` counts deliveries that were begun."""

    id: int
    incident_id: str
    channel: Channel
    message: Message
    created_at: datetime
    tries: int
