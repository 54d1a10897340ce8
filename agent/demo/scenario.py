"""The demo's three pages: one that the agent fixes, one that it cannot, one without any runbook."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from agent.adapters.json_view import child, items_at, text_at
from agent.demo.processes import DemoError, wait_until
from agent.demo.screen import Screen
from agent.demo.shop import POOL_SIZE
from agent.demo.thread import Thread
from agent.demo.world import World
from agent.simulators.pagerduty_state import SimulatedAlert, SimulatedIncident
from agent.simulators.slack import SlackMessage

#: An incident of the demo takes a few seconds; one that takes this long has gone wrong.
_ENDS_WITHIN_S = 45.0
_TOLD_WITHIN_S = 15.0

_PAGED = "📟"


@dataclass(frozen=True, slots=True)
class Alarm:
    """What the monitoring reports."""

    title: str
    service: str
    severity: str
    details: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Check:
    """Something that must be so at the end, and whether it is."""

    text: str
    holds: bool


@dataclass(frozen=True, slots=True)
class Played:
    """One incident, as the agent, PagerDuty and the checks see it."""

    title: str
    status: str
    runbook: str
    duration_s: float
    checks: tuple[Check, ...]

    @property
    def is_as_told(self) -> bool:
        """Whether it ended as the demo says that it ends."""
        return all(check.holds for check in self.checks)


_REDIS = Alarm(
    "Redis connection timeout on shop",
    "shop",
    "critical",
    {"alertname": "RedisConnectionTimeout", "env": "demo"},
)
_GATEWAY = Alarm(
    "Payment gateway does not answer", "payments", "error", {"alertname": "PaymentGatewayDown", "env": "demo"}
)
_DISK = Alarm(
    "Disk almost full on db-1 (96 %)",
    "orders-db",
    "critical",
    {"alertname": "DiskAlmostFull", "host": "db-1"},
)


def play(world: World, screen: Screen) -> list[Played]:
    """The three incidents, one after the other."""
    return [_fixed(world, screen), _not_fixed(world, screen), _unknown(world, screen)]


def _fixed(world: World, screen: Screen) -> Played:
    screen.act("1 of 3 · The cache hangs, the runbook knows how to help")
    screen.say(
        f"{POOL_SIZE} customers ask for a receipt that never comes. The shop waits for each of them on a\n"
        "connection of its pool, for ever (a real bug, in agent/demo/shop.py). Then nobody gets anything."
    )
    before = world.get(f"{world.shop_url}/health").status
    world.break_shop()
    broken = _look_at_shop(world, screen)
    source_id, seen = _raise_and_follow(world, screen, _REDIS, ends_as="resolved")
    closed = wait_until(lambda: world.pagerduty.incident(source_id).status == "resolved", _TOLD_WITHIN_S)
    healthy = _look_at_shop(world, screen)
    source = world.pagerduty.incident(source_id)
    checks = (
        Check(
            f"the shop was healthy ({before}), really broke ({broken}), and is healthy again ({healthy})",
            (before, broken, healthy) == (200, 503, 200),
        ),
        Check(
            "the agent says resolved, by redis-connection-timeout",
            text_at(seen, "status") == "resolved" and text_at(seen, "runbook") == "redis-connection-timeout",
        ),
        Check(
            f"PagerDuty says {source.status}, with {_counted(len(source.notes), 'note')}, by {_who(source)}",
            closed and len(source.notes) == 1,
        ),
        Check("nobody was paged", not world.pagerduty.pages()),
    )
    return _played(screen, seen, checks)


def _not_fixed(world: World, screen: Screen) -> Played:
    screen.act("2 of 3 · The runbook does not help, so a human is called, with the evidence")
    screen.say("The shop's payment gateway is really down: nothing listens on its port.")
    _look(world, screen, f"{world.shop_url}/payments/health")
    source_id, seen = _raise_and_follow(world, screen, _GATEWAY, ends_as="escalated")
    pages = _pages_of(world, seen)
    for page in pages:
        _show_page(screen, page)
    failed = [
        each for step in items_at(seen, "steps") for each in items_at(step, "attempts") if _failed(each)
    ]
    details = pages[0].details if pages else {}
    checks = (
        Check(f"step 2 was tried {len(failed)} times and failed each time", len(failed) == 2),
        Check(f"a human was paged {_times(len(pages))}", len(pages) == 1),
        Check(
            "the page says what was tried and what came out of it",
            len(items_at(details, "what_was_tried")) == 3
            and "unreachable" in text_at(details, "last_output"),
        ),
        Check("the PagerDuty incident stays open", world.pagerduty.incident(source_id).status != "resolved"),
    )
    return _played(screen, seen, checks)


def _unknown(world: World, screen: Screen) -> Played:
    screen.act("3 of 3 · Nobody wrote a runbook for this one, so nothing is tried")
    source_id, seen = _raise_and_follow(world, screen, _DISK, ends_as="escalated")
    pages = _pages_of(world, seen)
    for page in pages:
        _show_page(screen, page)
    checks = (
        Check("nothing was run", not items_at(seen, "steps")),
        Check("the reason is that no runbook matches", text_at(seen, "escalation", "trigger") == "no_match"),
        Check(f"a human was paged {_times(len(pages))}", len(pages) == 1),
        Check("the PagerDuty incident stays open", world.pagerduty.incident(source_id).status != "resolved"),
    )
    return _played(screen, seen, checks)


def _raise_and_follow(world: World, screen: Screen, alarm: Alarm, *, ends_as: str) -> tuple[str, object]:
    """PagerDuty triggers; the thread is printed until the agent has ended and told everything."""
    thread = Thread(world.slack, screen)
    source = world.pagerduty.create_incident(
        alarm.title, service=alarm.service, severity=alarm.severity, details=alarm.details
    )
    screen.say(
        f"\n{datetime.now().astimezone():%H:%M:%S} PagerDuty: {alarm.title} → signed V3 webhook to the agent"
    )
    screen.channel("incidents")
    must_page = ends_as == "escalated"
    told = thread.follow(lambda messages: _is_told(messages, ends_as, must_page=must_page), _ENDS_WITHIN_S)
    seen = _incident(world, source.id)
    if not told:
        where = text_at(seen, "status") or "unknown to the agent"
        raise DemoError(
            f"“{alarm.title}” should have ended as {ends_as} within {_ENDS_WITHIN_S:g} s and is {where}; "
            f"see {world.agent.log}"
        )
    thread.print_root_again()
    screen.say("")
    return source.id, seen


def _is_told(messages: Sequence[SlackMessage], ends_as: str, *, must_page: bool) -> bool:
    """The first message shows the end, the summary is there, and so is the word that a human was paged."""
    root, replies = messages[0], messages[1:]
    return (
        ends_as in root.shown
        and any(each.broadcast for each in replies)
        and (not must_page or any(_PAGED in each.shown for each in replies))
    )


def _incident(world: World, source_id: str) -> object:
    """What the agent's API says about it."""
    found = items_at(world.get(f"{world.agent_url}/api/v1/incidents?source_id={source_id}").data, "incidents")
    return found[0] if found else None


def _pages_of(world: World, seen: object) -> list[SimulatedAlert]:
    """What was triggered for this incident through the Events API."""
    key = text_at(seen, "escalation", "dedup_key")
    return [each for each in world.pagerduty.pages() if key and each.alert_key == key]


def _show_page(screen: Screen, page: SimulatedAlert) -> None:
    details = page.details
    tried = [str(each) for each in items_at(details, "what_was_tried")]
    facts: dict[str, str | Sequence[str]] = {
        "summary": page.summary,
        "severity": f"{page.severity}, component {page.component}, source {page.source}",
        "reason": text_at(details, "reason_for_escalation"),
        "runbook": text_at(details, "runbook"),
        "what was tried": tried or "nothing",
        "last output": text_at(details, "last_output") or "none",
        "also attached": f"the alert, {len(items_at(details, 'agent_actions'))} lines of timeline, a link",
        "dedup_key": page.alert_key,
    }
    screen.page("PagerDuty pages the on-call human (Events API v2)", facts)


def _look_at_shop(world: World, screen: Screen) -> int:
    return _look(world, screen, f"{world.shop_url}/health")


def _look(world: World, screen: Screen, url: str) -> int:
    answer = world.get(url)
    shown = json.dumps(answer.data) if answer.data is not None else answer.text
    screen.command(f"curl {url}", f"{answer.status} {shown}", good=answer.status == 200)
    return answer.status


def _played(screen: Screen, seen: object, checks: tuple[Check, ...]) -> Played:
    for check in checks:
        screen.fact(check.text, holds=check.holds)
    return Played(
        title=text_at(seen, "title"),
        status=text_at(seen, "status"),
        runbook=text_at(seen, "runbook") or "none",
        duration_s=_duration_s(seen),
        checks=checks,
    )


def _duration_s(seen: object) -> float:
    began, ended = text_at(seen, "received_at"), text_at(seen, "ended_at")
    if not began or not ended:
        return 0.0
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds()


def _failed(attempt: object) -> bool:
    return text_at(attempt, "end") == "failed" and child(attempt, "step") == 2


def _who(source: SimulatedIncident) -> str:
    return source.changed_by.name if source.changed_by else "nobody"


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
