"""The ways of an incident that the crash matrix goes: what runs, what humans and vendors do meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent.simulators.server import Fault

if TYPE_CHECKING:
    from tests.acceptance.crash_world import World


def _nobody(_: World) -> None:
    """Nobody does anything."""


def page(world: World) -> None:
    """PagerDuty has an incident."""
    scenario = world.scenario
    made = world.pagerduty.create_incident(scenario.title, service="api-gateway", severity=scenario.severity)
    world.source_id = made.id


@dataclass(frozen=True)
class Scenario:
    """`ends`: each end that is right, with how many pages belong to it.

    An end of outcome unknown, with one page more, is right wherever a command that changes something runs.
    `human` is asked again and again, and does each thing once; `before` is what vendors do from the start,
    `starts` is how it comes in.
    """

    name: str
    words: str
    ends: Mapping[str, int]
    runbooks: Mapping[str, str] = field(default_factory=dict)
    title: str = "redis connection timeout"
    human: Callable[[World], None] = _nobody
    before: Callable[[World], None] = _nobody
    starts: Callable[[World], None] = page
    severity: str = "critical"
    changes: bool = True
    roots: int = 1
    resolves: int | None = None
    needs: frozenset[str] = frozenset()
    is_over: Callable[[World], bool] = lambda _: True
    #: Sections of the configuration that are merged, and that stand as they are.
    config: Mapping[str, Any] = field(default_factory=dict)
    whole: Mapping[str, Any] = field(default_factory=dict)
    #: Whether PagerDuty has the incident, and whether a human settles the escalation.
    at_desk: bool = True
    settled: bool = False

    def is_right(self, status: str, trigger: str, pages: int) -> bool:
        if status in self.ends and trigger != "outcome_unknown":
            return pages == self.ends[status]
        asked = 1 if "choice" in self.needs else 0
        return self.changes and trigger == "outcome_unknown" and pages == 1 + asked


def runbook(
    *steps: str, approval: bool = False, limits: str = "max_cache_operations: 2", rest: str = ""
) -> str:
    numbered = "\n\n".join(f"### Step {number}: Do {number}\n{step}" for number, step in enumerate(steps, 1))
    return f"""# Runbook: Redis

## Trigger Conditions
- Alert contains: "redis"

## Blast Radius
- {limits}
- requires_human_approval: {str(approval).lower()}

## Steps

{numbered}

{rest}
"""


REDIS = "redis-cli -h 127.0.0.1 -p PORT"


def _bash(command: str, keys: str = "") -> str:
    return f"```bash\n{command}\n```\n{keys}"


COUNT = _bash(f"{REDIS} INCR KEY", 'Expected output: "1"')
LOOK = _bash(f"{REDIS} GET KEY", 'Expected output: "1"')
FAIL = _bash(f"{REDIS} GET KEY", 'Expected output: "never"\nFailure action: escalate')
SLOW = _bash(f"{REDIS} INCR KEY && sleep 3 && {REDIS} GET KEY", "Attempts: 1")
ENDLESS = SLOW.replace("sleep 3", "sleep 60")
VERIFY = f"## Verify\n\n### Step 1: It holds\n{LOOK}\n\nHold for: 1s\n"
ROLLBACK = f"## Rollback\n\n### Step 1: Back\n{_bash(f'{REDIS} INCR KEY-back')}\n"
ACTION = "```action\nkubernetes.rollout_restart: {namespace: production, deployment: api}\n```\nAttempts: 1"


def approve(world: World) -> None:
    if world.status() == "awaiting_approval":
        world.once("approve", lambda: world.cli("approve", world.incident_id()))


def choose(world: World) -> None:
    if world.status() == "awaiting_approval":
        world.once("choose", lambda: world.cli("choose", world.incident_id(), "one"))


def take_over_the_running(world: World) -> None:
    if world.counted() == 1:
        world.once("acknowledge", world.acknowledge)


def take_over_the_asked(world: World) -> None:
    if world.status() == "awaiting_approval":
        world.once("acknowledge", world.acknowledge)


def fail_once(world: World) -> None:
    """Slack and the Events API fail once, the REST API twice."""
    world.slack.misbehave(Fault(500, path="/api/chat.postMessage", times=1))
    world.pagerduty.misbehave(Fault(500, path="/incidents", times=2), Fault(500, path="/v2/enqueue", times=1))


def fail_once_more(world: World) -> None:
    """Slack is in trouble again when the first lines are said."""
    if world.slack.roots():
        world.once(
            "trouble", lambda: world.slack.misbehave(Fault(500, path="/api/chat.postMessage", times=1))
        )


def stop_the_running(world: World) -> None:
    if world.counted() == 1:
        words = ("--service", "api-gateway", "--reason", "a drill", "--end-running")
        world.once("stop", lambda: world.cli("stop", *words))


def refuse_changes(world: World) -> None:
    """PagerDuty takes the note, and refuses acknowledge and resolve for what they say."""
    body = '{"error": {"message": "Invalid Input Provided", "code": 2001}}'
    world.pagerduty.misbehave(Fault(400, path="/incidents", times=-1, body=body, method="PUT"))


def hold_up_the_desk(world: World) -> None:
    world.pagerduty.misbehave(Fault(500, path="/incidents", times=-1))


def take_over_late(world: World) -> None:
    """The resolve has not arrived yet when somebody takes the incident."""
    if world.status() == "resolved":
        world.once("acknowledge", world.acknowledge)
    if world.has_handled("incident.acknowledged"):
        world.once("behave", world.pagerduty.behave)


def close_it(world: World) -> None:
    """The human who was paged closes the incident at PagerDuty."""
    if world.status() == "escalated" and world.is_told():
        world.once("resolve", lambda: world.pagerduty.resolve_as_human(world.source_id))


def ring_again(world: World) -> None:
    if world.counted() == 1:
        world.once("again", world.raise_again)


def is_twin_closed(world: World) -> bool:
    if world.status() != "resolved":
        return True
    return bool(world.twin_id) and world.pagerduty.incident(world.twin_id).status == "resolved"


def delete_the_root(world: World) -> None:
    if world.status() == "awaiting_approval" and world.is_told():
        world.once("delete", world.delete_root)
        world.once("approve", lambda: world.cli("approve", world.incident_id()))


INCIDENTS = (
    Scenario("S1", "a runbook resolves", {"resolved": 0}, {"one": runbook(COUNT, LOOK)}),
    Scenario(
        "S2",
        "no runbook matches",
        {"escalated": 1},
        {"one": runbook(COUNT, LOOK)},
        title="nobody knows this",
        changes=False,
    ),
    Scenario(
        "S3",
        "a human approves",
        {"resolved": 0},
        {"one": runbook(COUNT, LOOK, approval=True)},
        human=approve,
    ),
    Scenario("S4", "a step fails twice", {"escalated": 1}, {"one": runbook(COUNT, FAIL)}),
    Scenario(
        "S5",
        "a human takes over while a command runs",
        {"stood_down": 0},
        {"one": runbook(SLOW, LOOK)},
        human=take_over_the_running,
    ),
    Scenario(
        "S6",
        "a human takes over while an approval is waited for",
        {"stood_down": 0},
        {"one": runbook(COUNT, approval=True)},
        human=take_over_the_asked,
        changes=False,
    ),
    Scenario("S7", "verification holds for its time", {"resolved": 0}, {"one": runbook(COUNT, rest=VERIFY)}),
    Scenario(
        "S8",
        "a failing step is rolled back",
        {"escalated": 1},
        {"one": runbook(COUNT, FAIL.replace("escalate", "rollback"), rest=ROLLBACK)},
    ),
    Scenario(
        "S9",
        "several runbooks match, a human chooses",
        {"resolved": 1},
        {
            "one": runbook(COUNT, LOOK),
            "two": runbook(_bash(f"{REDIS} PING")),
        },
        human=choose,
        needs=frozenset({"advisor", "choice"}),
    ),
    Scenario(
        "S10",
        "a typed action restarts a deployment",
        {"resolved": 0},
        {"one": runbook(ACTION, limits="max_rollouts: 1\n- max_pod_restarts: 2")},
        needs=frozenset({"cluster"}),
    ),
    Scenario(
        "S11",
        "every vendor fails at first",
        {"escalated": 1},
        {"one": runbook(COUNT, FAIL)},
        before=fail_once,
        human=fail_once_more,
    ),
    Scenario(
        "S12",
        "PagerDuty refuses the acknowledge and the resolve",
        {"resolved": 1},
        {"one": runbook(COUNT, LOOK)},
        before=refuse_changes,
        resolves=0,
    ),
    Scenario(
        "S13",
        "a human takes it before the resolve arrives",
        {"resolved": 0},
        {"one": runbook(COUNT, LOOK)},
        before=hold_up_the_desk,
        human=take_over_late,
        resolves=0,
    ),
    Scenario(
        "S14",
        "somebody deletes the root message",
        {"resolved": 0},
        {"one": runbook(COUNT, LOOK, approval=True)},
        human=delete_the_root,
        roots=2,
    ),
    Scenario(
        "S15",
        "a human throws the kill switch while a command runs",
        {"escalated": 1},
        {"one": runbook(ENDLESS, LOOK)},
        human=stop_the_running,
    ),
    Scenario(
        "S16",
        "the human who was paged resolves it at PagerDuty",
        {"escalated": 1},
        {"one": runbook(COUNT, LOOK)},
        title="nobody knows this",
        human=close_it,
        changes=False,
        resolves=1,
        is_over=lambda world: world.has_handled("incident.resolved"),
    ),
    Scenario(
        "S17",
        "the same alert comes again while it is worked on",
        {"resolved": 0},
        {"one": runbook(SLOW, LOOK)},
        human=ring_again,
        is_over=is_twin_closed,
    ),
)
