"""The console's pages: what waits, what ran and why, and the forms that decide; without any script."""

from __future__ import annotations

import pytest

from agent.adapters.audit_log import AuditLog
from agent.domain.alert import Severity
from agent.domain.incident import Status
from agent.domain.queue import Action, QueueFilter, QueueStatus, Rank
from agent.domain.stops import StopAsked, StopScope
from agent.escalations.entering import Received
from agent.pipeline import queueing, stops
from agent.pipeline.telling import Teller
from tests.integration.web.conftest import Site
from tests.integration.web.console_site import Visitor, goes_on, left_waiting, waiting, with_people, words_of
from tests.unit.pipeline.conftest import runbook, step


@pytest.fixture
def site(site: Site) -> Site:
    return with_people(site)


def test_now_shows_what_waits_for_whom_and_until_when(site: Site) -> None:
    incident_id = waiting(site)
    page = Visitor(site, "vera").get("/")
    assert page.status_code == 200
    assert f"/console/incidents/{incident_id}" in page.text
    assert "waits for an approval" in page.text
    assert "left</time>" in page.text


def test_now_counts_everything_that_is_late(site: Site) -> None:
    for number in range(12):
        site.world.page(title=f"Nobody knows {number}", source_id=f"P{number}", severity=Severity.CRITICAL)
    vera = Visitor(site, "vera")
    assert "in the queue ·" not in words_of(vera.get("/"))
    site.world.clock.sleep(901)
    assert "12 in the queue · 12 late" in words_of(vera.get("/"))


def test_an_empty_console_says_what_to_do(site: Site) -> None:
    visitor = Visitor(site, "vera")
    for path in ("/", "/incidents", "/queue", "/mine", "/analytics", "/runbooks"):
        page = visitor.get(path)
        assert page.status_code == 200
        assert 'class="empty"' in page.text, path


def test_an_incident_shows_plan_command_output_reasons_and_its_story(site: Site) -> None:
    incident = site.resolved()
    said = words_of(Visitor(site, "vera").get(f"/incidents/{incident.id}"))
    for words in ("redis-cli PING", "LOADING", "PONG", "Attempt 2", "title contains", "Incident received"):
        assert words in said


def test_an_approval_by_a_form_lets_the_run_go_on(site: Site) -> None:
    incident_id = waiting(site)
    anna = Visitor(site, "anna")
    page = anna.get(f"/incidents/{incident_id}")
    (row,) = site.store.waiting()
    assert f'value="{row["decides"]}"' in page.text
    answer = anna.post(f"/incidents/{incident_id}/approve", plan_hash=row["decides"])
    assert (answer.status_code, answer.location) == (303, f"/console/incidents/{incident_id}")
    assert site.notified == 1
    goes_on(site, incident_id)
    assert site.store.incident(incident_id).status is Status.RESOLVED
    assert "👍 Approved by anna (by console)" in site.world.told(incident_id)


def test_a_second_answer_is_told_that_it_came_too_late(site: Site) -> None:
    incident_id = waiting(site)
    (row,) = site.store.waiting()
    Visitor(site, "anna").post(f"/incidents/{incident_id}/approve", plan_hash=row["decides"])
    late = Visitor(site, "adam").post(f"/incidents/{incident_id}/reject", plan_hash=row["decides"])
    assert late.status_code == 409
    assert "somebody already decided" in late.text


def test_a_responder_may_say_no_and_not_yes(site: Site) -> None:
    incident_id = waiting(site)
    (row,) = site.store.waiting()
    rita = Visitor(site, "rita")
    page = rita.get(f"/incidents/{incident_id}").text
    assert "Your role may not approve" in page
    assert f"/console/incidents/{incident_id}/approve" not in page
    assert rita.post(f"/incidents/{incident_id}/reject", plan_hash=row["decides"]).status_code == 303
    goes_on(site, incident_id)
    assert site.store.incident(incident_id).status is Status.ESCALATED


def test_another_runbook_is_chosen_by_a_form(site: Site) -> None:
    other = runbook(title="Redis Memory", steps=step(1, "redis-cli DEL sessions"))
    site.world.runbook(other, "redis-memory")
    incident_id = waiting(site)
    (row,) = site.store.waiting()
    anna = Visitor(site, "anna")
    assert "<option>redis-memory</option>" in anna.get(f"/incidents/{incident_id}").text
    asked = {"plan_hash": row["decides"], "runbook": "redis-memory"}
    assert Visitor(site, "rita").post(f"/incidents/{incident_id}/choose", **asked).status_code == 409
    assert anna.post(f"/incidents/{incident_id}/choose", **asked).status_code == 303
    decision = site.store.decision(incident_id, row["decides"])
    assert decision is not None
    assert decision.rechosen == "redis-memory"


def test_a_plan_can_be_run_step_by_step(site: Site) -> None:
    incident_id = waiting(site, steps=step(1, "redis-cli PING") + step(2, "redis-cli FLUSHDB"))
    (row,) = site.store.waiting()
    answer = Visitor(site, "anna").post(
        f"/incidents/{incident_id}/approve", plan_hash=row["decides"], step_by_step="on"
    )
    assert answer.status_code == 303
    decision = site.store.decision(incident_id, row["decides"])
    assert decision is not None
    assert decision.choice


def test_a_human_takes_over_with_one_press(site: Site) -> None:
    incident_id = waiting(site)
    assert Visitor(site, "rita").post(f"/incidents/{incident_id}/stand-down").status_code == 303
    goes_on(site, incident_id)
    assert site.store.incident(incident_id).status is Status.STOOD_DOWN


def test_one_of_the_offered_runbooks_is_chosen(site: Site) -> None:
    text = runbook(steps=step(1, "redis-cli PING"))
    for name in ("one", "two"):
        site.world.runbook(text.replace("# Runbook: Redis", f"# Runbook: {name}"), name=name)
    site.world.context.library.reload()
    incident_id = left_waiting(site, title="Redis connection timeout")
    rita = Visitor(site, "rita")
    assert "Which runbook answers it?" in rita.get(f"/incidents/{incident_id}").text
    assert rita.post(f"/incidents/{incident_id}/choose", runbook="three").status_code == 409
    assert rita.post(f"/incidents/{incident_id}/choose", runbook="two").status_code == 303


def test_incidents_are_found_by_words_status_and_runbook_page_by_page(site: Site) -> None:
    for number in range(53):
        site.world.page(title=f"Nobody knows {number}", source_id=f"P{number}", service=f"svc-{number}")
    visitor = Visitor(site, "vera")
    first = visitor.get("/incidents").text
    assert first.count('class="row-title"') == 50
    older = first.rpartition('rel="next" href="')[2].partition('"')[0].replace("&amp;", "&")
    assert visitor.get(f"/incidents{older}").text.count('class="row-title"') == 3
    assert visitor.get("/incidents?q=svc-17").text.count('class="row-title"') == 1
    assert visitor.get("/incidents?q=100%25").text.count('class="row-title"') == 0
    assert visitor.get("/incidents?status=resolved").text.count('class="row-title"') == 0


def test_claim_review_and_resolve_with_a_note(site: Site) -> None:
    item_id = _escalated(site)
    rita = Visitor(site, "rita")
    assert "Nobody knows this" in rita.get("/queue").text
    claimed = rita.post(f"/queue/{item_id}/claim")
    assert (claimed.status_code, claimed.location) == (303, f"/console/queue/{item_id}")
    assert "Nobody knows this" in rita.get("/mine").text
    assert Visitor(site, "otto").post(f"/queue/{item_id}/claim").status_code == 409
    without = rita.post(f"/queue/{item_id}/resolve", action="false_alarm", note=" ")
    assert without.status_code == 409
    assert "write a note" in without.text
    done = rita.post(f"/queue/{item_id}/resolve", action="false_alarm", note="a test alert")
    assert done.status_code == 303
    item = site.store.queue_item(item_id)
    assert item is not None
    assert item.status is QueueStatus.RESOLVED
    assert item.resolution is not None
    assert (item.resolution.action, item.resolution.by) == (Action.FALSE_ALARM, "rita")
    assert "a test alert" in rita.get(f"/queue/{item_id}").text
    assert "a test alert" in rita.get("/audit?kind=queue").text


def test_what_was_typed_is_kept_when_it_was_not_taken(site: Site) -> None:
    item_id = _escalated(site)
    page = Visitor(site, "rita").post(f"/queue/{item_id}/resolve", action="ran_runbook", note="ran it twice")
    assert page.status_code == 409
    assert "ran it twice</textarea>" in page.text


def test_a_claim_is_given_back_given_on_and_escalated_further(site: Site) -> None:
    item_id = _escalated(site)
    rita, anna = Visitor(site, "rita"), Visitor(site, "anna")
    rita.post(f"/queue/{item_id}/claim")
    assert rita.post(f"/queue/{item_id}/release").status_code == 303
    assert rita.post(f"/queue/{item_id}/reassign", to="otto").status_code == 403
    assert anna.post(f"/queue/{item_id}/reassign", to="nobody-known").status_code == 409
    assert anna.post(f"/queue/{item_id}/reassign", to="team:payments").status_code == 303
    assert "Nobody knows this" in Visitor(site, "otto").get("/mine").text
    assert rita.post(f"/queue/{item_id}/further", to="adam", note="over my head").status_code == 303
    item = site.store.queue_item(item_id)
    assert item is not None
    assert (item.target, item.level) == ("adam", 1)


def test_the_queue_is_filtered_by_status_severity_trigger_and_words(site: Site) -> None:
    site.world.page(title="Disk of the moon", source_id="P1", severity=Severity.CRITICAL)
    site.world.page(title="Queue of the sun", source_id="P2", severity=Severity.INFO)
    visitor = Visitor(site, "vera")
    for query, sees in (
        ("severity=critical", (True, False)),
        ("severity=low", (False, True)),
        ("q=moon", (True, False)),
        ("trigger=no_match", (True, True)),
        ("trigger=flapping", (False, False)),
        ("status=claimed", (False, False)),
        ("status=settled", (False, False)),
    ):
        page = visitor.get(f"/queue?{query}").text
        assert ("Disk of the moon" in page, "Queue of the sun" in page) == sees, query


def test_a_held_response_is_reviewed_with_all_that_was_sent(site: Site) -> None:
    desk = queueing.desk_of(site.config, site.store, site.world.context.redactor)
    facts = {
        "original_request": "Summarise the record",
        "policy_match": {"score": 0.97},
        "ai_response": "The patient of room 9",
        "context": {"gateway": "eu-1", "provider": "a provider"},
        "raw": {"event": "policy.escalated"},
    }
    sent = Received("42", "phi-detection", "PHI in an answer", Rank.HIGH, consumer="clinic-7", facts=facts)
    item, _ = queueing.received(desk, sent, now=site.world.clock.now())
    rita = Visitor(site, "rita")
    said = words_of(rita.get(f"/queue/{item.id}"))
    for words in (
        "Summarise the record",
        "0.97",
        "The patient of room 9",
        "eu-1",
        "clinic-7",
        "policy.escalated",
    ):
        assert words in said
    answer = rita.post(f"/queue/{item.id}/resolve", action="redact_and_allow", note="name taken out")
    assert answer.status_code == 303


def test_a_stop_is_put_and_lifted_with_its_reason(site: Site) -> None:
    rita, anna = Visitor(site, "rita"), Visitor(site, "anna")
    assert rita.post("/stop", scope="all", reason="").status_code == 400
    assert rita.post("/stop", scope="service", reason="bad deploy").status_code == 400
    assert rita.post("/stop", scope="all", reason="bad deploy").status_code == 303
    (stop,) = site.store.stops()
    assert (stop.reason, stop.by) == ("bad deploy", "rita (by console)")
    assert "bad deploy" in Visitor(site, "vera").get("/incidents").text
    assert rita.post(f"/stops/{stop.id}/resume").status_code == 403
    assert anna.post(f"/stops/{stop.id}/resume").status_code == 303
    assert not site.store.stops()


def test_an_approval_under_a_stop_says_how_to_lift_it(site: Site) -> None:
    incident_id = waiting(site)
    teller = Teller(site.store, site.world.context.redactor, frozenset())
    stops.put(teller, StopAsked(StopScope.ALL, "", "bad deploy", "rita"), now=site.world.clock.now())
    (row,) = site.store.waiting()
    answer = Visitor(site, "anna").post(f"/incidents/{incident_id}/approve", plan_hash=row["decides"])
    assert answer.status_code == 409
    assert "bad deploy" in answer.text


def test_runbooks_stand_beside_how_the_agent_reads_them(site: Site) -> None:
    site.resolved()
    site.world.runbook("# Runbook: Broken\n\n## Trigger Conditions\n- nonsense\n", name="broken")
    site.world.context.library.reload()
    visitor = Visitor(site, "vera")
    listed = words_of(visitor.get("/runbooks"))
    assert "1/1" in listed
    assert "Not usable until mended" in listed
    page = visitor.get("/runbooks/redis-connection-timeout")
    assert "<h2>Trigger Conditions</h2>" in page.text
    assert "It may change at most" in page.text
    assert '<span class="effect">reads</span>' in page.text
    assert visitor.get("/runbooks/none").status_code == 404


def test_the_audit_log_is_searched_verified_and_taken_away(site: Site) -> None:
    incident = site.resolved()
    log = AuditLog(site.config.audit_path(), site.store)
    while log.catch_up():
        pass
    visitor = Visitor(site, "vera")
    assert "Incident received" in visitor.get("/audit?kind=received").text
    assert "Incident received" not in visitor.get("/audit?kind=resolved").text
    assert "Incident received" in visitor.get(f"/audit?incident={incident.id}&since=2026-01-01").text
    assert visitor.get("/audit?since=tomorrow").status_code == 400
    assert "Intact." in visitor.post("/audit/verify").text
    export = visitor.get("/audit/export?kind=received")
    assert export.headers["Content-Disposition"].startswith("attachment")
    assert export.text.count("\n") == 1


def test_analytics_draw_and_say_what_they_draw(site: Site) -> None:
    site.resolved()
    site.escalated()
    page = Visitor(site, "vera").get("/analytics?period=7")
    assert page.text.count('<svg class="plot"') >= 2
    assert page.text.count("As a table") >= 2
    assert "1 of 2 incidents were resolved alone" in page.text


def test_settings_show_sla_routing_and_people(site: Site) -> None:
    said = words_of(Visitor(site, "vera").get("/settings"))
    for words in ("15 min", "team:on-call", "rita", "responder"):
        assert words in said


def test_settings_show_the_times_of_keeptrusts_only_where_it_is_configured(site: Site) -> None:
    assert "Keeptrusts" not in words_of(Visitor(site, "vera").get("/settings"))
    site.settings["keeptrusts"] = {
        "allow_unsigned_webhooks": True,
        "sla": {"warning": {"response": "2h", "resolution": "30h"}},
    }
    site.restart()
    said = words_of(Visitor(site, "vera").get("/settings"))
    assert "Keeptrusts' escalations: SLA" in said
    assert "critical 5 min 1 h high 15 min 4 h medium 2 h 1 d 6 h low next business day 7 d" in said
    assert "A business day: Mon, Tue, Wed, Thu, Fri 09:00–17:00 UTC" in said


def test_links_of_cards_and_pages_lead_to_the_console(site: Site) -> None:
    visitor = Visitor(site, "vera")
    assert visitor.get("/escalations/esc-1").location == "/console/queue/esc-1"
    assert visitor.get("/stops").location == "/console/#stop"
    site.escalated()
    assert any("/console/incidents/inc-" in str(page.links) for page in site.world.pager.woken)


def _escalated(site: Site) -> str:
    site.escalated()
    (item,) = site.store.queue_page(QueueFilter()).items
    return item.id


def test_a_runbook_is_promoted_by_an_approver_and_demoted_by_a_responder(site: Site) -> None:
    text = runbook(steps=step(1, "redis-cli PING"))
    site.world.runbook(f"---\nautonomy: auto\n---\n{text}")
    site.world.context.library.reload()
    path = "/runbooks/redis-connection-timeout"
    rita, anna = Visitor(site, "rita"), Visitor(site, "anna")
    assert rita.post(f"{path}/demote", why="").status_code == 400
    assert rita.post(f"{path}/demote", why="too eager").status_code == 303
    assert "too eager" in rita.get(path).text
    assert rita.post(f"{path}/promote", why="it is fine").status_code == 403
    assert anna.post(f"{path}/promote", why="it is fine").status_code == 303
    assert anna.post(f"{path}/promote", why="and further").status_code == 409
    assert anna.post("/runbooks/none/promote", why="x").status_code == 404


def test_what_was_done_by_hand_becomes_the_draft_of_a_runbook(site: Site) -> None:
    item_id = _escalated(site)
    rita = Visitor(site, "rita")
    form = {"action": "fixed_by_hand", "note": "the pool was full", "done": "kubectl get pods -n production"}
    assert rita.post(f"/queue/{item_id}/resolve", **form).status_code == 303
    page = rita.get(f"/queue/{item_id}").text
    assert "autonomy: suggest" in page
    assert "kubectl get pods -n production" in page
