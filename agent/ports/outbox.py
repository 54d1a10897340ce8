"""The outbox: what was told and is on its way to somebody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from agent.domain.outbox import Channel, Letter
from agent.domain.presses import Shown


class OutboxStore(Protocol):
    """Letters that wait for a sender."""

    def next_letters(self, channel: Channel, limit: int) -> Sequence[Letter]:
        """Due letters in order; of each incident only those with none undelivered before them."""
        ...

    def begin_delivery(self, letter_ids: Sequence[int]) -> None:
        """Count a try, before anything is sent."""
        ...

    def delivered(self, letter_ids: Sequence[int]) -> None:
        """They arrived."""
        ...

    def postpone(self, letter_ids: Sequence[int], *, delay_s: float, error: str) -> None:
        """Try again later."""
        ...

    def put_last(self, letter_id: int) -> None:
        """Let those behind it of its incident go first; it is tried again like before."""
        ...

    def undeliverable(self, letter_ids: Sequence[int], *, error: str) -> None:
        """The vendor will never take them; told in the timeline, kept for the operator."""
        ...

    def thread_ref(self, incident_id: str) -> str | None:
        """The root message of the incident's thread, once it is posted."""
        ...

    def keep_thread_ref(self, incident_id: str, ref: str) -> None:
        """Remember the root message."""
        ...

    def forget_thread_ref(self, incident_id: str) -> None:
        """Its root message is gone: a new one will be posted."""
        ...

    def keep_card(self, incident_id: str, key: str, ref: str) -> None:
        """Remember where a question with buttons stands."""
        ...

    def open_cards(self, incident_id: str) -> Sequence[Shown]:
        """The questions of an incident that still show buttons."""
        ...

    def card_shows(self, incident_id: str, key: str, shown: str, *, is_over: bool) -> None:
        """Remember what a question shows by now; once it is over it is not looked at any more."""
        ...

    def begin_own_write(self, source_id: str, action: str) -> None:
        """Remember, before it is sent, that we change something at the source."""
        ...

    def learn_own_user_id(self, user_id: str) -> None:
        """Keep who we are at the source."""
        ...

    def end_own_write(self, source_id: str, action: str, actor_id: str) -> None:
        """The change was made, counted for this user."""
        ...
