"""Tells what happened: an entry in the timeline, and the messages that follow from it, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from agent.domain.incident import DESK_SOURCE, Entry, EventKind, is_asked
from agent.domain.outbox import Channel, ChatCard, ChatLine, ChatQuestion, Message, channel_of
from agent.domain.queue import RECEIVED_PREFIX
from agent.domain.records import Changes

if TYPE_CHECKING:
    from agent.pipeline.context import Context
    from agent.ports import Records
    from agent.safety.redaction import Redactor

#: Entries that stand in the timeline and the audit log but would only be noise in the thread.
_QUIET = frozenset({EventKind.SYSTEM, EventKind.DELIVERY, EventKind.ATTEMPT_STARTED, EventKind.SUMMARY})

#: Entries that ask a human, with buttons where the chat has some.
_QUESTIONS = frozenset({EventKind.APPROVAL_REQUESTED, EventKind.AMBIGUOUS})


@dataclass(frozen=True, slots=True)
class Teller:
    """What telling needs of a context; the command line and the API have no more than this."""

    store: Records
    redactor: Redactor
    channels: frozenset[Channel]


def tell(
    context: Context | Teller,
    incident_id: str,
    *entries: Entry,
    changes: Changes | None = None,
    messages: Sequence[Message] = (),
) -> bool:
    """Write entries down, redacted, with their lines for the thread; False if told before."""
    shown, sendable = _shown(context, incident_id, entries, messages)
    return context.store.record(incident_id, shown, changes=changes, messages=sendable)


def tell_soon(
    context: Context | Teller,
    incident_id: str,
    *entries: Entry,
    changes: Changes | None = None,
    messages: Sequence[Message] = (),
) -> None:
    """The same, written down with what the run does next: for what it tells while it only thinks."""
    shown, sendable = _shown(context, incident_id, entries, messages)
    context.store.record_soon(incident_id, shown, changes=changes, messages=sendable)


def _shown(
    context: Context | Teller, incident_id: str, entries: Sequence[Entry], messages: Sequence[Message]
) -> tuple[Sequence[Entry], Sequence[Message]]:
    """What may be kept and shown, and what can be sent."""
    shown = [redacted(context, entry) for entry in entries]
    lines: list[Message] = [_said(entry) for entry in shown if entry.kind not in _QUIET]
    wanted = [*lines, ChatCard(), *messages]
    channels = context.channels - ({Channel.CHAT} if has_no_thread(incident_id) else set())
    sendable = [message for message in wanted if channel_of(message) in channels]
    if any(channel_of(message) is Channel.DESK for message in sendable) and not _is_at_desk(
        context, incident_id
    ):
        sendable = [message for message in sendable if channel_of(message) is not Channel.DESK]
    return shown, sendable


def _is_at_desk(context: Context | Teller, incident_id: str) -> bool:
    """Whether the incident is open at the desk: not if somebody asked for it, or another source sent it."""
    if is_asked(incident_id):
        return False
    return context.store.incident(incident_id).alert.source == DESK_SOURCE


def _said(entry: Entry) -> Message:
    """How the thread tells it; a question is asked only for as long as it can be answered."""
    if entry.kind in _QUESTIONS and "expires_at" in entry.data:
        return ChatQuestion(entry.key, entry.text)
    return ChatLine(entry.text)


def has_no_thread(story: str) -> bool:
    """Whether it is the story of an escalation that came from elsewhere: it has no incident to show."""
    return story.startswith(RECEIVED_PREFIX)


def nth(key: str, number: int) -> str:
    """The key of what is told once for each plan of an incident."""
    return key if number == 1 else f"{key}-{number}"


def promised(context: Context, incident_id: str, key: str, *, name: str) -> str:
    """What an entry that was told before a crash says: a promise is kept, not made anew."""
    return next(str(each.data[name]) for each in context.store.timeline(incident_id) if each.key == key)


class Redacts(Protocol):
    """Whoever tells anything has one redactor."""

    @property
    def redactor(self) -> Redactor:
        """In front of every sink."""
        ...


def redacted(context: Redacts, entry: Entry) -> Entry:
    """The entry as it may be kept and shown."""
    data = context.redactor.value(dict(entry.data))
    return Entry(
        key=entry.key,
        kind=entry.kind,
        text=context.redactor.text(entry.text),
        data=data if isinstance(data, dict) else {},
        actor=entry.actor,
    )


def preformatted(text: str, *, max_lines: int = 12, max_columns: int = 300) -> str:
    """Command output as indented lines, which every view shows as code; long ones are cut in the middle."""
    lines = text.rstrip().splitlines()
    if len(lines) > max_lines:
        half = max_lines // 2
        left_out = len(lines) - 2 * half
        lines = [*lines[:half], f"… {left_out} lines left out …", *lines[-half:]]
    return "".join(f"\n    {line[:max_columns]}" for line in lines)
