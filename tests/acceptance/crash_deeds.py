"""What humans, vendors and other agents do on the further ways of the crash matrix."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from agent.simulators.server import Fault
from agent.simulators.slack_presses import SlackHands, Wire, buttons
from tests.acceptance.crash_scenarios import approve
from tests.acceptance.crash_vendors import ALICE, CAROL, GOVERNED

if TYPE_CHECKING:
    from agent.simulators.slack import SlackMessage
    from agent.simulators.slack_workspace import Draft
    from tests.acceptance.crash_world import World


def escalate(world: World) -> None:
    """A policy of Keeptrusts' wants a human."""
    assert world.vendors.keeptrusts is not None
    world.vendors.keeptrusts.escalate(action="block", policy_name="phi-detection")


def escalate_end_first(world: World) -> None:
    """Keeptrusts tells first that it is over, then that it is there."""
    sim = world.vendors.keeptrusts
    assert sim is not None
    sim.hold_webhooks()
    sim.resolve_as_human(sim.escalate(action="block", policy_name="phi-detection").escalation_id)
    sim.release_webhooks(lambda told: [*told][::-1])


def find_its_page(world: World) -> None:
    """The page for an escalation of Keeptrusts' comes back as an incident of PagerDuty's."""
    if not world.source_id and world.pagerduty.pages():
        world.source_id = world.pagerduty.incidents()[0].id


def claim_and_settle(world: World) -> None:
    find_its_page(world)
    item = world.escalation_id()
    if not item or not world.is_told():
        return
    world.once("claim", lambda: world.api(f"escalations/{item}/claim", by="alice"))
    if "claim" in world.done and world.is_told():
        settled = {"action": "block", "note": "harmful", "by": "alice"}
        world.once("settle", lambda: world.api(f"escalations/{item}/resolve", **settled))


def settle_late(world: World) -> None:
    item = world.escalation_id()
    if item and world.is_told() and is_breached(world):
        settled = {"action": "fixed_by_hand", "note": "restarted it", "by": "alice"}
        world.once("settle", lambda: world.api(f"escalations/{item}/resolve", **settled))


def close_the_ticket(world: World) -> None:
    find_its_page(world)
    jira = world.vendors.jira
    assert jira is not None
    if world.rows("SELECT key FROM tickets WHERE opened_at IS NOT NULL") and world.is_told():
        issue = jira.issues()[0].key
        world.once("close", lambda: jira.move_as_human(issue, "Resolved", "False Positive"))
    if (
        world.is_settled()
        and world.is_told()
        and world.rows("SELECT key FROM tickets WHERE state = 'closed'")
    ):
        world.once("reopen", lambda: jira.move_as_human(jira.issues()[0].key, "In Progress"))


def refuse_a_ticket(world: World) -> None:
    """Jira has no time at first, then takes one and its answer is lost."""
    assert world.vendors.jira is not None
    world.vendors.jira.misbehave(Fault(429, path="/rest/api/3/issue", method="POST"))
    world.vendors.jira.loses_answers = 1


def is_settled(world: World) -> bool:
    """The human's word is everywhere."""
    keeptrusts = world.vendors.keeptrusts
    if keeptrusts is not None and any(
        each.status != "resolved" for each in keeptrusts.state.escalations.values()
    ):
        return False
    return world.is_settled() and all(page.status == "resolved" for page in world.pagerduty.pages())


def is_reopened(world: World) -> bool:
    return is_settled(world) and bool(world.rows("SELECT key FROM tickets WHERE state = 'open'"))


def is_breached(world: World) -> bool:
    return bool(world.rows("SELECT level FROM escalations WHERE level > 0 AND warned_at IS NOT NULL"))


def mend_elsewhere(world: World) -> None:
    """The other agent answers."""
    platform = world.vendors.platform
    assert platform is not None
    if platform.packages():
        key = str(platform.packages()[0]["key"])
        body = {"type": "oncall.handoff.answer", "version": 1, "key": key, "outcome": "resolved"}
        url = f"{world.agent.url}/api/v1/handoffs/{key}/answer"
        world.once("answer", lambda: platform.post(url, {**body, "words": "mended"}))


def platform_is_away(world: World) -> None:
    assert world.vendors.platform is not None
    world.vendors.platform.misbehave(Fault(503, path="/handoffs", times=-1))


def take_it_meanwhile(world: World) -> None:
    """A human takes the incident while the other agent cannot be reached."""
    assert world.vendors.platform is not None
    if world.vendors.platform.requests("/handoffs"):
        world.once("acknowledge", world.acknowledge)
    if world.status() == "stood_down":
        world.once("behave", world.vendors.platform.behave)


def hand_in(world: World) -> None:
    """Another agent posts until it is taken."""
    platform = world.vendors.platform
    assert platform is not None
    package: Mapping[str, Any] = {
        "type": "oncall.handoff",
        "version": 1,
        "key": "k-1",
        "from": "platform",
        "chain": ["platform"],
        "deadline": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
        "alert": {"title": world.scenario.title, "service": "api-gateway", "severity": "error"},
    }
    world.once("hand in", lambda: platform.post(f"{world.agent.url}/api/v1/handoffs", package))
    find_ours(world, "handoff")


def find_ours(world: World, source: str) -> None:
    """An incident that PagerDuty does not know."""
    found = world.rows("SELECT source_id FROM incidents WHERE source = ?", source)
    if found:
        world.source_id = str(found[0]["source_id"])


def is_answered(world: World) -> bool:
    return world.vendors.platform is not None and bool(world.vendors.platform.answers())


def an_hour_passes(world: World) -> None:
    """For what is bypassed, once the incident has ended."""
    if world.has_ended() and world.rows("SELECT * FROM keeptrusts_bypasses WHERE failures = 0"):
        world.once("hour", lambda: world.an_hour_ago("keeptrusts_bypasses", "begun_at", "ends_at", "next_at"))
    if world.rows("SELECT * FROM keeptrusts_bypasses WHERE failures > 0"):
        assert world.vendors.keeptrusts is not None
        world.vendors.keeptrusts.behave()
        world.once("again", lambda: world.an_hour_ago("keeptrusts_bypasses", "next_at"))


def keeptrusts_fails_later(world: World) -> None:
    """What is applied is taken, what puts it back is not until that was seen."""
    gateways, sim = world.vendors.gateways, world.vendors.keeptrusts
    assert gateways is not None
    assert sim is not None

    def fail(_: str, __: str) -> None:
        gateways.on_put = None
        sim.misbehave(Fault(503, path="/v1/configurations", times=-1, method="PUT"))

    gateways.on_put = fail


def is_governed(world: World) -> bool:
    gateways = world.vendors.gateways
    assert gateways is not None
    return gateways.current["cfg_main"] == GOVERNED and not world.rows("SELECT * FROM keeptrusts_bypasses")


def press(world: World) -> None:
    """Two people press: each until it counts."""
    asked = [each for each in world.slack.messages() if buttons(each)]
    if world.status() != "awaiting_approval" or not asked:
        return
    world.slack.hands.agent_url = world.agent.url
    hands = world.slack.hands
    for user in (ALICE, CAROL):
        name = f"press-{user}"
        wire = world.kept(name, partial(hands.pressing, user, asked[0], "oncall:approve"))
        world.once(name, partial(_is_taken, hands, wire))


def _is_taken(hands: SlackHands, wire: Wire) -> bool:
    return hands.send(wire).status == 200


def answer_late(world: World) -> None:
    """Slack shows the question, and says so when nobody listens any more."""
    post = world.slack.workspace.post

    def slowly(channel: str, draft: Draft, *, scopes: Collection[str]) -> SlackMessage:
        message = post(channel, draft, scopes=scopes)
        if buttons(message):
            world.once("slow", lambda: time.sleep(1.5))
        return message

    world.slack.workspace.post = slowly  # type: ignore[method-assign]


def approve_what_stands(world: World) -> None:
    if world.is_told():
        approve(world)


def grow(world: World) -> None:
    """By the time somebody says yes there are more pods than the plan was priced for."""
    if world.status() == "awaiting_approval":
        assert world.vendors.cluster is not None
        world.once("grow", lambda: world.vendors.cluster.scale("production", "api", 5))  # type: ignore[union-attr]
    approve(world)


def call(world: World) -> None:
    """Another system calls a human, until it is taken."""
    body = {"id": "call-1", "trigger": "quota", "title": "The quota is used up", "severity": "high"}
    world.once("call", lambda: world.api("escalations", by="portal", **body))


def is_called(world: World) -> bool:
    return "call" in world.done and bool(world.rows("SELECT * FROM escalations"))


def see(world: World) -> None:
    """What is watched is too much, and clears once the runbook has run."""
    assert world.vendors.prometheus is not None
    find_ours(world, "watch")
    if world.status() == "verifying" or world.has_ended():
        world.once("clear", lambda: world.vendors.prometheus.vector("sum(waiting)", "3"))  # type: ignore[union-attr]


def too_many(world: World) -> None:
    assert world.vendors.prometheus is not None
    world.vendors.prometheus.vector("sum(waiting)", "57")


def nothing(_: World) -> None:
    """Nobody calls: the agent finds it, or somebody else brings it."""
