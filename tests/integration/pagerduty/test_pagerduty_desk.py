import json

import pytest

from agent.adapters.pagerduty_rest import PagerDutyDesk
from agent.domain.alert import Severity
from agent.domain.errors import Reason, ServiceError
from agent.simulators.pagerduty import PagerDutySimulator
from agent.simulators.server import Fault


def answered(path, body, *, status=200, times=1):
    text = body if isinstance(body, str) else json.dumps(body)
    return Fault(status, path, times=times, body=text, headers={"Content-Type": "application/json"})


def test_requests_carry_what_pagerduty_demands(pagerduty, desk):
    desk.acknowledge(pagerduty.create_incident("Redis is down").id)
    write = pagerduty.requests("/incidents/")[-1]
    assert (write.method, write.status) == ("PUT", 200)
    assert write.headers["Authorization"] == f"Token token={pagerduty.api_token}"
    assert write.headers["Accept"] == "application/vnd.pagerduty+json;version=2"
    assert write.headers["Content-Type"] == "application/json"
    assert write.headers["From"] == pagerduty.from_email
    assert json.loads(write.body) == {"incident": {"type": "incident_reference", "status": "acknowledged"}}


def test_facts_gather_every_page_of_alerts(pagerduty, desk):
    incident = pagerduty.create_incident("Storm", severity="info")
    for number in range(60):
        pagerduty.add_alert(incident.id, f"alert {number}", severity="info", alert_key=f"k{number}")
    pagerduty.add_alert(incident.id, "the bad one", severity="critical")
    facts = desk.facts(incident.id)
    assert facts.severity is Severity.CRITICAL
    assert len(facts.alert_keys) == 62
    offsets = [each.query for each in pagerduty.requests(f"/incidents/{incident.id}/alerts")]
    assert offsets == ["limit=25&offset=0", "limit=25&offset=25", "limit=25&offset=50"]


def test_a_storm_of_alerts_does_not_keep_the_desk_reading(pagerduty, desk):
    incident = pagerduty.create_incident("Storm")
    for number in range(300):
        pagerduty.add_alert(incident.id, f"alert {number}")
    desk.facts(incident.id)
    assert len(pagerduty.requests(f"/incidents/{incident.id}/alerts")) == 8


def test_a_page_that_says_more_but_holds_nothing_ends_the_reading(pagerduty, desk):
    incident = pagerduty.create_incident("Redis is down")
    pagerduty.misbehave(answered(f"/incidents/{incident.id}/alerts", {"alerts": [], "more": True}, times=-1))
    assert desk.facts(incident.id).title == "Redis is down"
    assert len(pagerduty.requests(f"/incidents/{incident.id}/alerts")) == 1


@pytest.mark.parametrize(
    "alerts", [{}, {"alerts": None}, {"alerts": [None, 3, "x", [], {}]}, {"alerts": {"a": 1}}]
)
def test_nulls_and_wrong_types_in_the_alerts_read_as_absent(pagerduty, desk, alerts):
    incident = pagerduty.create_incident("Redis is down")
    pagerduty.misbehave(answered(f"/incidents/{incident.id}/alerts", alerts))
    facts = desk.facts(incident.id)
    assert (facts.title, facts.severity, facts.labels) == ("Redis is down", None, {})


def test_our_acknowledgement_beside_a_humans_is_counted_for_us(pagerduty, desk):
    incident = pagerduty.create_incident("Redis is down")
    pagerduty.acknowledge_as_human(incident.id)
    assert desk.acknowledge(incident.id) == pagerduty.own_user.id


def test_a_change_that_a_human_made_is_never_taken_for_ours(pagerduty, desk):
    incident = pagerduty.create_incident("Redis is down")
    human = {"id": "PHUMAN", "type": "user_reference"}
    answer = {
        "status": "acknowledged",
        "last_status_change_by": human,
        "acknowledgements": [{"acknowledger": human}],
    }
    desk.own_user_id()
    path = f"/incidents/{incident.id}"
    before = answered(path, {"incident": {"status": "triggered"}})
    pagerduty.misbehave(before, answered(path, {"incident": answer}))
    assert desk.acknowledge(incident.id) == ""
    pagerduty.misbehave(before, answered(path, {"incident": {**answer, "status": "resolved"}}))
    assert desk.resolve(incident.id, "done") == ""


def test_an_integration_is_not_a_user_that_writes_are_counted_for(pagerduty, desk):
    incident = pagerduty.create_incident("Redis is down")
    path = f"/incidents/{incident.id}"
    by = {"id": "PINTEGR", "type": "inbound_integration_reference"}
    pagerduty.misbehave(
        answered(path, {"incident": {"status": "triggered"}}),
        answered(path, {"incident": {"status": "resolved", "last_status_change_by": by}}),
    )
    assert desk.resolve(incident.id, "done") == ""


def test_a_second_acknowledgement_is_still_known_as_ours(pagerduty, desk):
    incident = pagerduty.create_incident("Redis is down")
    desk.acknowledge(incident.id)
    assert desk.acknowledge(incident.id) == ""
    desk.own_user_id()
    assert desk.acknowledge(incident.id) == pagerduty.own_user.id


@pytest.mark.parametrize(
    "error",
    [
        {"message": "Incident Already Resolved", "code": 1001},
        {"message": "Incident Already Acknowledged", "code": 1002},
        {"message": "Invalid Input Provided", "code": 2001, "errors": ["Incident Already Resolved"]},
    ],
)
def test_being_overtaken_by_a_colleague_is_fine(pagerduty, desk, error):
    incident = pagerduty.create_incident("Redis is down")
    path = f"/incidents/{incident.id}"
    open_still = answered(path, {"incident": {"status": "triggered"}})
    refused = answered(path, {"error": error}, status=400)
    pagerduty.misbehave(open_still, refused)
    assert desk.resolve(incident.id, "done") == ""
    pagerduty.misbehave(open_still, refused)
    assert desk.acknowledge(incident.id) == ""


def test_a_from_address_that_is_nobody_is_rejected_with_pagerdutys_words(pagerduty):
    incident = pagerduty.create_incident("Redis is down")
    desk = PagerDutyDesk(pagerduty.url, pagerduty.api_token, "stranger@example.com")
    with pytest.raises(ServiceError, match="Requester User Not Found, code 1008") as caught:
        desk.acknowledge(incident.id)
    assert (caught.value.reason, caught.value.retryable) == (Reason.REJECTED, False)
    assert desk.own_user_id() == ""


def test_the_own_user_is_found_by_its_address_when_the_token_is_the_accounts(pagerduty, desk):
    assert desk.own_user_id() == pagerduty.own_user.id
    assert [each.path for each in pagerduty.requests()] == ["/users/me", "/users"]
    assert desk.own_user_id() == pagerduty.own_user.id
    assert len(pagerduty.requests()) == 2


def test_the_own_user_is_the_tokens_when_it_is_a_users():
    with PagerDutySimulator(token_of_user=True) as sim:
        desk = PagerDutyDesk(sim.url, f" {sim.api_token}\n", sim.from_email)
        assert desk.own_user_id() == sim.own_user.id
        assert [each.path for each in sim.requests()] == ["/users/me"]


def test_a_similar_address_is_not_our_own_user(pagerduty, desk):
    users = {"users": [{"id": "PX", "email": "x" + pagerduty.from_email}, None, {"id": "PY", "email": None}]}
    pagerduty.misbehave(answered("/users/me", {}, status=400), answered("/users", users))
    assert desk.own_user_id() == ""


def test_an_overlong_note_is_cut_and_still_added_once(pagerduty, desk):
    incident = pagerduty.create_incident("Redis is down")
    desk.note(incident.id, "x" * 100_000)
    desk.note(incident.id, "x" * 100_000)
    assert [len(note.content) for note in incident.notes] == [20_000]


def test_text_that_is_no_unicode_is_sent_all_the_same(pagerduty, desk):
    incident = pagerduty.create_incident("Redis is down")
    desk.note(incident.id, "half \ud800 and \x00 nul")
    assert incident.notes[0].content == "half \ufffd and \ufffd nul"


def test_the_first_call_after_an_answer_that_is_cut_off_works_again(pagerduty, desk):
    incident = pagerduty.create_incident("Redis is down")
    pagerduty.misbehave(Fault(-1, "/incidents"))
    with pytest.raises(ServiceError) as caught:
        desk.facts(incident.id)
    assert (caught.value.reason, caught.value.retryable) == (Reason.UNREACHABLE, True)
    assert desk.facts(incident.id).title == "Redis is down"
