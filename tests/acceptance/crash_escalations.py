"""Further ways that the crash matrix goes: escalations, tickets, other agents, bypasses, presses, watches."""

from __future__ import annotations

from typing import Any

from tests.acceptance import crash_deeds as deeds
from tests.acceptance.crash_scenarios import ACTION, COUNT, LOOK, Scenario, runbook
from tests.acceptance.crash_vendors import PEOPLE

_NOBODY_KNOWS = "nobody knows this"

_BYPASS = "keeptrusts.apply_bypass: {configuration: cfg_main, minutes: 60}"
_APPLY = f"```action\n{_BYPASS}\n```\nExpected output: json .read_back == true\nAttempts: 1"
_END = "```action\nkeeptrusts.end_bypass: {configuration: cfg_main}\n```"
_TWO_YES = "max_cache_operations: 2\n- approvals: 2"
_SHORT = dict.fromkeys(("critical", "high", "medium", "low"), "2s")
_WATCH = "## Watch\n- waiting: promql `sum(waiting)`; every 10s; critical > 50; clears < 15\n"


def _routed(**rule: str) -> dict[str, Any]:
    return {"routing": [{"name": "rest", "match": {"any": True}, **rule}]}


FURTHER = (
    Scenario(
        "E1",
        "Keeptrusts escalates: page, queue, ticket; a human settles it, and Keeptrusts is answered",
        {"stood_down": 1},
        starts=deeds.escalate,
        human=deeds.claim_and_settle,
        is_over=deeds.is_settled,
        needs=frozenset({"keeptrusts", "jira", "token"}),
        changes=False,
        settled=True,
        resolves=1,
    ),
    Scenario(
        "E2",
        "Jira refuses the ticket, then loses its answer; a human closes it there, and opens it again",
        {"stood_down": 1},
        starts=deeds.escalate,
        before=deeds.refuse_a_ticket,
        human=deeds.close_the_ticket,
        is_over=deeds.is_reopened,
        needs=frozenset({"keeptrusts", "jira"}),
        changes=False,
        settled=True,
        resolves=1,
    ),
    Scenario(
        "E3",
        "Keeptrusts tells the end of an escalation before its beginning",
        {"stood_down": 1},
        starts=deeds.escalate_end_first,
        human=deeds.find_its_page,
        is_over=deeds.is_settled,
        needs=frozenset({"keeptrusts", "jira"}),
        changes=False,
        settled=True,
        resolves=1,
    ),
    Scenario(
        "E4",
        "an escalation's time runs out: a mail and its ticket tell of it; a human settles it",
        {"escalated": 1},
        {"one": runbook(COUNT, LOOK)},
        title=_NOBODY_KNOWS,
        human=deeds.settle_late,
        is_over=deeds.is_settled,
        needs=frozenset({"mail", "jira", "token"}),
        config={
            "escalation": {
                "sla": _SHORT,
                **_routed(route_to="ops@example.com", notification_channel="jira:OPS"),
            }
        },
        changes=False,
        settled=True,
    ),
    Scenario(
        "E5",
        "an escalation is told to a hook and in a channel, and breached by mail",
        {"escalated": 1},
        {"one": runbook(COUNT, LOOK)},
        title=_NOBODY_KNOWS,
        is_over=deeds.is_breached,
        needs=frozenset({"mail", "hooks"}),
        config={
            "escalation": {
                "sla": _SHORT,
                **_routed(
                    route_to="hook:chatops",
                    notification_channel="slack:#security",
                    on_breach="lead@example.com",
                ),
            }
        },
        changes=False,
    ),
    Scenario(
        "E6",
        "another agent is asked, and mends it",
        {"resolved": 0},
        {"one": runbook(COUNT, LOOK)},
        title=_NOBODY_KNOWS,
        severity="error",
        human=deeds.mend_elsewhere,
        needs=frozenset({"platform"}),
        config={"escalation": _routed(route_to="handoff:platform")},
        changes=False,
    ),
    Scenario(
        "E7",
        "a human takes it before the other agent, which was away, has it",
        {"stood_down": 0},
        {"one": runbook(COUNT, LOOK)},
        title=_NOBODY_KNOWS,
        severity="error",
        before=deeds.platform_is_away,
        human=deeds.take_it_meanwhile,
        needs=frozenset({"platform"}),
        config={"escalation": _routed(route_to="handoff:platform")},
        changes=False,
    ),
    Scenario(
        "E8",
        "another agent hands an incident in, and is answered",
        {"resolved": 0},
        {"one": runbook(COUNT, LOOK)},
        starts=deeds.nothing,
        human=deeds.hand_in,
        is_over=deeds.is_answered,
        needs=frozenset({"platform"}),
        at_desk=False,
    ),
    Scenario(
        "E9",
        "a bypass of Keeptrusts' policies is applied and ended by its runbook",
        {"resolved": 0},
        {"one": runbook(_APPLY, _END, limits="max_config_changes: 4")},
        human=deeds.an_hour_passes,
        is_over=deeds.is_governed,
        needs=frozenset({"keeptrusts"}),
    ),
    Scenario(
        "E10",
        "a bypass is left open, and ends by itself at its time, at the second try",
        {"resolved": 1},
        {"one": runbook(_APPLY, limits="max_config_changes: 2")},
        before=deeds.keeptrusts_fails_later,
        human=deeds.an_hour_passes,
        is_over=deeds.is_governed,
        needs=frozenset({"keeptrusts"}),
    ),
    Scenario(
        "E11",
        "two people press a button in Slack",
        {"resolved": 0},
        {"one": runbook(COUNT, LOOK, limits=_TWO_YES, approval=True)},
        human=deeds.press,
        needs=frozenset({"people"}),
        config={"slack": {"signing_secret": {"env": "SLACK_SIGNING_SECRET"}}},
        whole={"people": PEOPLE},
    ),
    Scenario(
        "E12",
        "what a runbook watches is too much, and clears",
        {"resolved": 0},
        {"one": runbook(COUNT, LOOK, rest=_WATCH)},
        title="Redis",
        starts=deeds.nothing,
        before=deeds.too_many,
        human=deeds.see,
        needs=frozenset({"prometheus"}),
        at_desk=False,
    ),
    Scenario(
        "E13",
        "another system calls a human meanwhile",
        {"resolved": 0},
        {"one": runbook(COUNT, LOOK)},
        human=deeds.call,
        is_over=deeds.is_called,
        needs=frozenset({"mail", "token"}),
        config={"escalation": _routed(route_to="ops@example.com")},
    ),
    Scenario(
        "E14",
        "Slack shows a question and says so too late",
        {"resolved": 0},
        {"one": runbook(COUNT, LOOK, approval=True)},
        before=deeds.answer_late,
        human=deeds.approve_what_stands,
    ),
    Scenario(
        "E15",
        "there is more to restart than the plan was priced for",
        {"escalated": 1},
        {"one": runbook(ACTION, limits="max_rollouts: 1\n- max_pod_restarts: 2", approval=True)},
        human=deeds.grow,
        needs=frozenset({"cluster"}),
        changes=False,
    ),
)
