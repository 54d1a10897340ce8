"""Follows one incident's Slack thread live, out of what the simulated Slack was really sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from agent.demo.processes import wait_until
from agent.demo.screen import Screen
from agent.simulators.slack import SlackMessage, SlackSimulator


class Thread:
    """The thread that begins next in the channel, printed as its messages come."""

    def __init__(self, slack: SlackSimulator, screen: Screen) -> None:
        self._slack = slack
        self._screen = screen
        self._before = {message.ts for message in slack.messages()}
        self._shown: set[str] = set()
        self._root = ""
        self._first_read = ""

    def follow(self, is_over: Callable[[Sequence[SlackMessage]], bool], timeout_s: float) -> bool:
        """Print until it is over; False if it is not within the time."""

        def look() -> bool:
            messages = self.messages()
            self._print_new(messages)
            return bool(messages) and is_over(messages)

        return wait_until(look, timeout_s)

    def messages(self) -> list[SlackMessage]:
        """The root message and its replies, as they read now."""
        if not self._root:
            new = (each for each in self._slack.roots() if each.ts not in self._before)
            self._root = next((each.ts for each in new), "")
        return self._slack.thread(self._root) if self._root else []

    def print_root_again(self) -> None:
        """How the first message reads by now, if it has changed."""
        messages = self.messages()
        if messages and messages[0].shown != self._first_read:
            self._screen.root(messages[0], datetime.now().astimezone(), now_reads=True)

    def _print_new(self, messages: Sequence[SlackMessage]) -> None:
        for message in messages:
            if message.ts in self._shown:
                continue
            self._shown.add(message.ts)
            now = datetime.now().astimezone()
            if message.thread_ts:
                self._screen.reply(message, now)
            else:
                self._first_read = message.shown
                self._screen.root(message, now)
