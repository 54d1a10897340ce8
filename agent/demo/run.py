"""The demo from beginning to end; True if everything ended as told."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.text import Text

from agent.demo.processes import ended_by_signals
from agent.demo.scenario import Played, play
from agent.demo.screen import Screen, host_of
from agent.demo.world import World, open_world

_STATUS = {"resolved": ("✅ resolved", "green"), "escalated": ("📟 human paged", "red")}


def run_demo(*, keep: bool = False, screen: Screen | None = None) -> bool:
    """Start the world, play the three incidents, check how they ended, stop everything."""
    screen = screen or Screen()
    began = time.monotonic()
    screen.title(
        "oncall-agent demo",
        [
            "Real: the shop, its cache, the agent and every command that it runs. Simulated on loopback:",
            "PagerDuty and Slack, which check every request as the vendors do. No keys, no cluster.",
        ],
    )
    with ended_by_signals(), open_world() as world:
        _introduce(world, screen)
        played = play(world, screen)
        good = _conclude(world, screen, played, time.monotonic() - began)
        if keep:
            _stay(world, screen)
    return good


def _introduce(world: World, screen: Screen) -> None:
    screen.fact(f"cache      {world.cache} on 127.0.0.1:{world.cache_port}")
    screen.fact(f"shop       {world.shop_url}")
    screen.fact(f"PagerDuty  simulated on {host_of(world.pagerduty.url)}")
    screen.fact(f"Slack      simulated on {host_of(world.slack.url)}")
    runbooks = ", ".join(world.runbooks)
    screen.fact(f"agent      oncall-agent serve, process {world.agent.process.pid}, {world.agent_url}")
    screen.fact(f"runbooks   {runbooks}")


def _conclude(world: World, screen: Screen, played: Sequence[Played], took_s: float) -> bool:
    screen.act("What happened")
    rows = [_row(each) for each in played]
    screen.table(("Incident", "Outcome", "Duration", "Runbook"), rows)
    audit_holds, audit_says = world.verify_audit_log()
    wrong = [check.text for each in played for check in each.checks if not check.holds]
    screen.paths(
        {
            "audit log": str(world.audit_log),
            "verify it": f"oncall-agent audit verify --file {world.audit_log}",
            "database": str(world.database),
            "agent's log": str(world.agent.log),
            "runbooks": str(world.directory / "runbooks"),
            "look at it": f"{world.agent_url}/api/v1/incidents  (while it runs: oncall-agent demo --keep)",
        }
    )
    screen.fact(f"oncall-agent audit verify: {audit_says}", holds=audit_holds)
    for text in wrong:
        screen.fact(f"not as told: {text}", holds=False)
    good = audit_holds and not wrong
    ended = "All three ended as told" if good else "Not everything ended as told"
    screen.fact(f"{ended}, in {took_s:.0f} s.", holds=good)
    return good


def _row(played: Played) -> list[str | Text]:
    words, colour = _STATUS.get(played.status, (played.status, "yellow"))
    return [played.title, Text(words, style=colour), f"{played.duration_s:.1f} s", played.runbook]


def _stay(world: World, screen: Screen) -> None:
    screen.say("\nEverything keeps running until Ctrl-C.")
    screen.paths(
        {
            "incidents": f"{world.agent_url}/api/v1/incidents",
            "the thread": f"{world.slack.url}/_sim/transcript",
            "PagerDuty": f"{world.pagerduty.url}/_sim/incidents",
        }
    )
    try:
        while world.agent.process.poll() is None:
            time.sleep(0.2)
    except KeyboardInterrupt:
        screen.say("stopping")
