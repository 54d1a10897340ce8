"""A post-mortem by every face: the facts that are kept, redacted, and nothing that comes alive."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest

from agent.adapters.evidence_check import check
from agent.domain.decision_event import DecisionEvent, PolicyEvaluation
from agent.domain.evidence import Whole
from agent.domain.people import Actor, Person, Role, Via
from agent.domain.queue import Action, queue_id
from agent.pipeline import queueing
from agent.pipeline.queueing import Settling
from tests.integration.web.conftest import Site
from tests.integration.web.console_site import HOSTILE, Visitor, with_people, words_of
from tests.unit.pipeline.conftest import SECRET, runbook, step

RITA = Actor(Person("rita", Role.RESPONDER), Via.CONSOLE)


@pytest.fixture
def place(site: Site) -> Site:
    return with_people(site)


def markdown(site: Site, incident_id: str) -> str:
    return str(site.get(f"/api/v1/incidents/{incident_id}/postmortem").get_json()["markdown"])


def section(text: str, name: str) -> str:
    return text.partition(f"### {name}\n")[2].partition("\n### ")[0]


def settled(site: Site, incident_id: str, settling: Settling, *, after_s: float = 600) -> None:
    desk = queueing.desk_of(site.config, site.store, site.world.context.redactor)
    site.world.clock.sleep(after_s)
    queueing.claim(desk, queue_id(incident_id), RITA, now=site.world.clock.now())
    queueing.resolve(desk, queue_id(incident_id), RITA, settling, now=site.world.clock.now())


def test_it_has_the_published_templates_shape(place: Site) -> None:
    told = markdown(place, place.resolved().id)
    lines = told.splitlines()
    assert lines[0] == "## Incident: Redis connection timeout"
    assert lines[1].startswith("**Date:** 2026-01-05 | **Duration:** 0.0s | **Severity:** urgency high | ")
    headings = [line for line in lines if line.startswith("### ")]
    assert headings == [
        "### Summary", "### Timeline", "### Root Cause", "### Impact", "### What Was Tried",
        "### What Went Well", "### What Did Not", "### Action Items", "### Participants", "### Links",
        "### Evidence",
    ]  # fmt: skip
    assert "- 04:17:23 — Incident resolved automatically" in section(told, "Timeline")
    assert "- [ ] Look why Step 1 of redis-connection-timeout" in section(told, "Action Items")
    assert "```text\n$ redis-cli PING\nLOADING\n```" in section(told, "What Was Tried")


def test_its_hashes_are_those_of_the_audit_log(place: Site) -> None:
    incident = place.resolved()
    told = section(markdown(place, incident.id), "Evidence")
    chain = [each for each in place.store.audit_entries() if each["incident"] == incident.id]
    assert f"entry {chain[-1]['seq']} (the last of this incident): `{chain[-1]['hash']}`" in told
    assert incident.runbook_revision in told


def test_one_that_a_human_settled_lasts_until_then_and_quotes_them(place: Site) -> None:
    incident = place.escalated()
    note = "The filter matched every greeting"
    settled(place, incident.id, Settling(Action.FIXED_BY_HAND, note, what_was_done="kubectl rollout undo"))
    told = markdown(place, incident.id)
    assert "**Duration:** 10m 0s" in told
    assert f"As rita wrote when settling it: “{note}”" in section(told, "Root Cause")
    assert "Write a runbook for “Nobody knows this” on api-gateway" in section(told, "Action Items")
    assert "Review the draft runbook of what rita did by hand" in section(told, "Action Items")
    assert "- rita: claimed it, settled it" in section(told, "Participants")
    assert "settled in time: 10m 0s of the 1h 0m" in section(told, "What Went Well")


def test_a_missed_sla_is_told_and_asks_for_something(place: Site) -> None:
    incident = place.escalated()
    settled(place, incident.id, Settling(Action.NEEDS_RUNBOOK, "no runbook"), after_s=7_200)
    told = markdown(place, incident.id)
    assert "The SLA was missed: a human has 1h 0m for it." in section(told, "What Did Not")
    assert "Settle who takes escalations of rule built-in in time" in section(told, "Action Items")


def test_a_false_alarm_asks_for_another_alert_and_for_no_runbook(place: Site) -> None:
    incident = place.escalated()
    settled(place, incident.id, Settling(Action.FALSE_ALARM, "a probe was moved"))
    asked = section(markdown(place, incident.id), "Action Items")
    assert "Tune the alert “Nobody knows this” at pagerduty" in asked
    assert "Write a runbook" not in asked


def test_what_is_escalated_and_not_settled_goes_on(place: Site) -> None:
    told = place.get(f"/api/v1/incidents/{place.escalated().id}/postmortem").get_json()
    assert (told["ended_at"], told["duration"], told["status"]) == (
        None, "not over yet", "with a human, not settled yet",
    )  # fmt: skip
    assert "Nobody has claimed it yet; it is with team:on-call." in told["summary"]["text"]


def gateway_events(site: Site) -> list[DecisionEvent]:
    """Twenty minutes of a gateway; in ten of them a policy blocks half of all."""
    began = site.world.clock.now() - timedelta(minutes=15)
    return [
        DecisionEvent(
            f"evt-{minute}-{number}",
            began + timedelta(minutes=minute, seconds=number),
            "blocked" if (bad := 5 <= minute < 15 and number % 2 == 0) else "allowed",
            user=f"user-{number}@example.com",
            team=f"team-{number % 3}",
            was_wrong=bad and number < 10,
            evaluations=(PolicyEvaluation("broad-filter", "blocked"),) if bad else (),
        )
        for minute in range(20)
        for number in range(20)
    ]


def test_decisions_of_a_gateway_are_counted_for_its_window(place: Site) -> None:
    incident = place.escalated()
    assert "Governance" not in markdown(place, incident.id)
    events = gateway_events(place)
    assert place.store.keep_events(events) == 400
    assert place.store.keep_events(events) == 0
    place.world.clock.sleep(600)
    told = markdown(place, incident.id)
    data = section(told, "Governance Event Data")
    assert "- Total events during window: 400\n- Blocked: 100 (25%)\n- Incorrectly blocked: 50 (12%)" in data
    assert "- Affected users: 10\n- Affected teams: 3" in data
    assert "| broad-filter | 100 |" in data
    assert "— Block rate rose from 0% to 50%" in section(told, "Timeline")
    assert "Add policy behaviour tests for broad-filter" in section(told, "Action Items")
    page = Visitor(place, "vera").get(f"/incidents/{incident.id}/postmortem").text
    assert page.count('<rect class="bad"') == 10
    assert "user-18@example.com" in page


def test_nothing_in_it_comes_alive_and_no_secret_gets_out(place: Site) -> None:
    world = place.world
    world.runbook(runbook(steps=step(1, "redis-cli PING", keys='Expected output: "PONG"')))
    world.context.library.reload()
    world.answers("redis-cli PING", f"``` {HOSTILE} password={SECRET}", f"{SECRET} {HOSTILE}")
    incident = world.page(title=f"redis {HOSTILE} {SECRET} [a](javascript:x) *b*", body=SECRET)
    visitor = Visitor(place, "vera")
    page = visitor.get(f"/incidents/{incident.id}/postmortem")
    file = visitor.get(f"/incidents/{incident.id}/postmortem?format=html")
    told = markdown(place, incident.id)
    whole = json.dumps(place.get(f"/api/v1/incidents/{incident.id}/postmortem").get_json())
    for text in (page.text, file.text, told, whole):
        assert SECRET not in text
        assert "\u202e" not in text
        assert "\x1b" not in text
    for text in (page.text, file.text, told.partition("### What Was Tried")[0]):
        assert "<img" not in text
        assert "<script>alert" not in text
    assert r"\[a\](javascript:x) \*b\*" in told
    assert "````text" in told
    assert "attachment" in file.headers["Content-Disposition"]


def test_the_page_prints_and_is_led_to(place: Site) -> None:
    incident = place.resolved()
    visitor = Visitor(place, "vera")
    assert f"/console/incidents/{incident.id}/postmortem" in visitor.get(f"/incidents/{incident.id}").text
    page = visitor.get(f"/incidents/{incident.id}/postmortem")
    assert "Incident: Redis connection timeout" in words_of(page)
    assert page.text.count('class="box"') == len(re.findall(r"- \[ \]", markdown(place, incident.id)))
    style = visitor.get("/postmortem.css")
    assert style.mimetype == "text/css"
    assert "@media print" in style.text
    assert visitor.get(f"/incidents/{incident.id}/postmortem?format=md").mimetype == "text/markdown"
    assert place.client.get(f"/console/incidents/{incident.id}/postmortem").status_code == 303


def test_one_that_there_is_not_is_told(place: Site) -> None:
    assert place.get("/api/v1/incidents/inc-404/postmortem").status_code == 404
    assert Visitor(place, "vera").get("/incidents/inc-404/postmortem").status_code == 404


def test_evidence_is_taken_away_by_whoever_may_look(place: Site, tmp_path: Path) -> None:
    incident = place.resolved()
    visitor = Visitor(place, "vera")
    link = f"/evidence?incident={incident.id}"
    assert f"/console{link}" in visitor.get(f"/incidents/{incident.id}/postmortem").text
    with visitor.get(link) as taken, place.get(f"/api/v1{link}") as by_api:  # each holds a place
        assert taken.data == by_api.data
    (tmp_path / "e.zip").write_bytes(taken.data)
    found = check(tmp_path / "e.zip")
    assert isinstance(found, Whole)
    assert found.files["incidents.jsonl"].rows == 1
    assert place.client.get(f"/console{link}").status_code == 303
    day = "since=2026-01-05&until=2026-01-06"
    assert f"/console/evidence?{day.replace('&', '&amp;')}" in visitor.get(f"/audit?{day}").text
    assert place.get(f"/api/v1/evidence?{day}").mimetype == "application/zip"


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", "say of what"),
        ("since=2026-01-05&incident=inc-1", "say of what"),
        ("since=yesterday", "since is a time"),
        ("since=2026-01-05&until=2026-01-04", "before until"),
        ("since=0001-01-01T00:00:00%2B14:00", "since is a time"),
        ("incident=inc-404", "no incident inc-404"),
    ],
)
def test_evidence_of_nothing_is_told(place: Site, query: str, words: str) -> None:
    answer = place.get(f"/api/v1/evidence?{query}")
    assert answer.status_code in (400, 404)
    assert words in answer.get_json()["error"]
