"""Prints what the simulated PagerDuty and Slack get and send, for `simulate`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime

from agent.adapters.json_view import text_at
from agent.demo.screen import Screen
from agent.simulators.pagerduty import PagerDutySimulator
from agent.simulators.server import Recorded, Simulator
from agent.simulators.slack import SlackSimulator

_PENDING = "pending"
_SHOWN_BYTES = 120


class Watch:
    """Each `look` prints what is new since the last."""

    def __init__(self, pagerduty: PagerDutySimulator, slack: SlackSimulator, screen: Screen) -> None:
        self._pagerduty = pagerduty
        self._slack = slack
        self._screen = screen
        self._requests: dict[str, int] = {}
        self._delivered: set[str] = set()
        self._messages: dict[str, str] = {}

    def look(self) -> None:
        """Print what has happened meanwhile."""
        self._print_deliveries()
        lines = [*self._arrived("PagerDuty", self._pagerduty), *self._arrived("Slack", self._slack)]
        for at, line, good in sorted(lines):
            self._screen.arrival(datetime.fromtimestamp(at).astimezone(), line, good=good)
        self._print_messages()

    def _arrived(self, name: str, simulator: Simulator) -> Iterator[tuple[float, str, bool]]:
        requests = simulator.requests()
        for each in requests[self._requests.get(name, 0) :]:
            yield each.at, f"→ {name:<9}  {_request(each)}", each.status < 400
        self._requests[name] = len(requests)

    def _print_deliveries(self) -> None:
        now = datetime.now().astimezone()
        for each in self._pagerduty.deliveries():
            if each.outcome == _PENDING or each.webhook_id in self._delivered:
                continue
            self._delivered.add(each.webhook_id)
            tries = ", ".join(str(status) if status else "no answer" for status in each.statuses)
            line = f"← PagerDuty  webhook {each.event_type}: {tries} ({each.outcome})"
            self._screen.arrival(now, line, good=each.outcome == "delivered")

    def _print_messages(self) -> None:
        now = datetime.now().astimezone()
        for each in self._slack.messages():
            known = self._messages.get(each.ts)
            self._messages[each.ts] = each.shown
            if known is None and each.thread_ts:
                self._screen.reply(each, now)
            elif known != each.shown:
                self._screen.root(each, now, now_reads=known is not None)


def _request(request: Recorded) -> str:
    return f"{request.method} {request.path} {request.status}{_said(request)}"


def _said(request: Recorded) -> str:
    """The few words of a body that tell what it is about."""
    try:
        body = json.loads(request.body)
    except ValueError:
        return ""
    told = (
        text_at(body, "incident", "status")
        or text_at(body, "note", "content").partition("\n")[0]
        or text_at(body, "payload", "summary")
    )
    return f"  {told[:_SHOWN_BYTES]}" if told else ""
