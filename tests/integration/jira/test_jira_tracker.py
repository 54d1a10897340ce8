"""What Jira is sent, in either of its forms; what it answers, and what that means."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.adapters.jira_client import JiraClient
from agent.adapters.jira_setup import tracker_from
from agent.adapters.jira_text import plain
from agent.config.jira import Jira
from agent.config.secrets import SecretReference
from agent.domain.errors import Reason, ServiceError
from agent.domain.outbox import OpenTicket
from agent.domain.tickets import TicketRef
from agent.ports.tracker import NOT_OPENED
from agent.simulators.jira import JiraSimulator
from agent.simulators.server import Fault
from tests.integration.jira.conftest import CLOSING, TICKET, tracker_at

NASTY = "| a {color} [~user] !img! \\ h1. x\nnext"


def fields_of(sim: JiraSimulator) -> dict[str, Any]:
    return sim.issues()[-1].fields


def failure(sim: JiraSimulator, *faults: Fault, **how: Any) -> ServiceError:
    sim.misbehave(*faults)
    with pytest.raises(ServiceError) as failed:
        tracker_at(sim, **how).open(TICKET, mark="oncall-1")
    sim.behave()
    return failed.value


def test_fields_are_filled_by_their_ids_and_labels_are_made_legal(jira: JiraSimulator) -> None:
    tracker_at(jira).open(TICKET, mark="oncall-1")
    fields = fields_of(jira)
    assert fields["project"] == {"key": "AIGOV"}
    assert fields["issuetype"] == {"name": "Task"}
    assert fields["priority"] == {"name": "High"}
    assert fields["labels"] == ["ai-governance", "keeptrusts", "phi-detection", "oncall-1"]
    assert fields["customfield_10100"] == "esc_1"
    assert fields["customfield_10102"] == "gpt-4o"
    assert fields["customfield_10104"] == "https://console.example.com/e/esc_1"
    assert "customfield_10101" not in fields


def test_the_cloud_gets_a_document_with_a_table_a_link_and_numbered_steps(cloud: JiraSimulator) -> None:
    tracker_at(cloud).open(TICKET, mark="oncall-1")
    content = fields_of(cloud)["description"]["content"]
    kinds = [each["type"] for each in content]
    assert kinds == ["heading", "table", "paragraph", "paragraph", "heading", "orderedList"]
    assert len(content[1]["content"]) == 3
    link = content[3]["content"][0]
    assert link["text"] == "View in Keeptrusts Console"
    assert link["marks"] == [{"type": "link", "attrs": {"href": "https://console.example.com/e/esc_1"}}]


def test_data_center_gets_the_published_wiki_markup() -> None:
    with JiraSimulator(is_cloud=False) as sim:
        tracker_at(sim).open(replace(TICKET, text=""), mark="oncall-1")
        assert fields_of(sim)["description"] == (
            "h2. AI Governance Escalation\n\n"
            "||Field||Value||\n|Policy|phi-detection|\n|Action|escalate|\n\n"
            "[View in Keeptrusts Console|https://console.example.com/e/esc_1]\n\n"
            "h3. Investigation Steps\n# Open the console link above\n# Update this ticket with findings"
        )


def test_values_from_outside_are_text_and_nothing_else(jira: JiraSimulator) -> None:
    ticket = replace(
        TICKET, summary=f"{NASTY} {'x' * 300}", facts=(("User", NASTY),), text=NASTY, labels=(NASTY,)
    )
    ref = tracker_at(jira).open(ticket, mark="oncall-1").ref
    tracker_at(jira).comment(ref, NASTY)
    fields = fields_of(jira)
    assert len(fields["summary"]) == 255
    assert "\n" not in fields["summary"]
    assert fields["labels"][0] == "|-a-{color}-[~user]-!img!-\\-h1.-x-next"
    if not jira.is_cloud:
        row = next(line for line in fields["description"].splitlines() if line.startswith("|User"))
        assert row == r"|User|\| a \{color\} \[~user\] \!img\! \\ h1. x next|"


def test_however_much_is_said_it_fits(jira: JiraSimulator) -> None:
    much = "[" * 100_000
    long = replace(TICKET, facts=tuple((f"{at}", much) for at in range(10)), text=much, steps=(much,) * 5)
    tracker = tracker_at(jira)
    ref = tracker.open(long, mark="oncall-1").ref
    tracker.comment(ref, much)
    described, said = fields_of(jira)["description"], jira.issues()[0].comments[0]
    assert all(len(each if isinstance(each, str) else plain(each)) < 32_767 for each in (described, said))


def test_an_empty_ticket_is_taken_too(jira: JiraSimulator) -> None:
    bare = OpenTicket("k", "OPS", "Bug", "Something", facts=(("Model", ""),), links=(("javascript:x", "no"),))
    assert tracker_at(jira).open(bare, mark="oncall-1").ref.name == "OPS-1"


def test_what_is_optional_and_not_taken_is_left_out_and_told(jira: JiraSimulator) -> None:
    ticket = replace(TICKET, priority="P1", fields={**TICKET.fields, "Console URL": "no address"})
    opened = tracker_at(jira).open(ticket, mark="oncall-1")
    assert set(opened.left_out) == {
        "priority (The priority selected is invalid.)",
        "Console URL (The URL is not valid.)",
    }
    assert "priority" not in fields_of(jira)
    assert fields_of(jira)["customfield_10100"] == "esc_1"


def test_what_is_needed_and_not_taken_opens_nothing_and_says_why(jira: JiraSimulator) -> None:
    with pytest.raises(ServiceError) as failed:
        tracker_at(jira).open(replace(TICKET, project="NONE", priority="P1"), mark="oncall-1")
    assert failed.value.reason is Reason.REJECTED
    assert "project: valid project is required" in str(failed.value)
    assert not jira.issues()
    assert len(jira.requests()) == 1


def test_it_goes_through_the_whole_workflow_to_its_end(jira: JiraSimulator) -> None:
    tracker = tracker_at(jira)
    ref = tracker.open(TICKET, mark="oncall-1").ref
    assert tracker.close(ref, "block", "settled")
    (issue,) = jira.issues()
    assert (issue.status, issue.resolution) == ("Resolved", "Done")


def test_a_false_positive_ends_as_one(jira: JiraSimulator) -> None:
    tracker = tracker_at(jira)
    ref = tracker.open(TICKET, mark="oncall-1").ref
    assert tracker.close(ref, "allow", "released")
    (issue,) = jira.issues()
    assert (issue.status, issue.resolution) == ("False Positive", "False Positive")


def test_where_no_screen_has_a_resolution_none_is_sent(jira: JiraSimulator) -> None:
    jira.state.resolution_on_screen = False
    tracker = tracker_at(jira)
    ref = tracker.open(TICKET, mark="oncall-1").ref
    assert tracker.close(ref, "block", "")
    assert jira.issues()[0].resolution == ""


def test_a_workflow_that_is_not_configured_is_told_with_what_jira_offers(jira: JiraSimulator) -> None:
    tracker = tracker_at(jira, closing=replace(CLOSING, on_the_way=(), false_positive=()))
    ref = tracker.open(TICKET, mark="oncall-1").ref
    with pytest.raises(ServiceError) as failed:
        tracker.close(ref, "block", "")
    assert failed.value.reason is Reason.REJECTED
    assert "Start work, Close as false positive" in str(failed.value)
    assert "jira.closing.finish" in str(failed.value)


@pytest.mark.parametrize(
    ("status", "reason", "retryable"),
    [
        (302, Reason.BAD_ANSWER, True),
        (400, Reason.REJECTED, False),
        (401, Reason.AUTH, False),
        (403, Reason.AUTH, False),
        (404, Reason.NOT_FOUND, False),
        (408, Reason.TIMEOUT, True),
        (409, Reason.REJECTED, True),
        (410, Reason.REJECTED, False),
        (425, Reason.REJECTED, True),
        (429, Reason.RATE_LIMITED, True),
        *((status, Reason.SERVER_ERROR, True) for status in (500, 502, 503, 504)),
    ],
)
def test_each_status_is_tried_once_and_has_its_meaning(
    cloud: JiraSimulator, status: int, reason: Reason, retryable: bool
) -> None:
    headers = {"Retry-After": "7"} | ({"Location": f"{cloud.url}/elsewhere"} if status == 302 else {})
    error = failure(cloud, Fault(status, "/rest/", times=-1, headers=headers))
    assert (error.reason, error.retryable) == (reason, retryable)
    assert error.retry_after_s == (7 if retryable and status != 302 else None)
    assert len(cloud.requests()) == 1


def test_what_hangs_is_given_up_in_time_and_leaves_a_doubt(cloud: JiraSimulator) -> None:
    error = failure(cloud, Fault(0, "/rest/", delay_s=1.0), timeout_s=0.2)
    assert error.reason is Reason.TIMEOUT
    assert error.reason not in NOT_OPENED


def test_what_was_never_reached_leaves_no_doubt(cloud: JiraSimulator) -> None:
    with JiraSimulator() as gone:
        url = gone.url
    error = failure(cloud, url=url)
    assert error.reason is Reason.UNREACHABLE
    assert error.reason in NOT_OPENED


def test_a_page_of_somebody_elses_is_no_ticket(cloud: JiraSimulator) -> None:
    error = failure(cloud, Fault(200, "/rest/", body="<html>welcome</html>"))
    assert error.reason is Reason.BAD_ANSWER
    assert "jira.url" in str(error)


@pytest.mark.parametrize("status", [400, 401, 500])
def test_the_token_is_never_shown(cloud: JiraSimulator, status: int) -> None:
    echo = json.dumps({"errorMessages": ["you said canary-token-000"], "errors": {}})
    error = failure(cloud, Fault(status, "/rest/", body=echo), token="canary-token-000")
    tracker = tracker_at(cloud, token="canary-token-000")
    assert "canary" not in f"{error} {error.__cause__} {tracker!r}"


def test_a_token_that_was_renewed_is_read_anew_after_a_refusal(cloud: JiraSimulator) -> None:
    tokens = ["expired", cloud.token]
    client = JiraClient(
        cloud.url, email="oncall-agent@example.com", token=lambda: tokens.pop(0), is_cloud=True, timeout_s=5
    )
    tracker = type(tracker_at(cloud))(client, closing=CLOSING)
    with pytest.raises(ServiceError):
        tracker.open(TICKET, mark="oncall-1")
    assert tracker.open(TICKET, mark="oncall-1").ref.name == "AIGOV-1"


def test_people_look_where_the_site_is(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t")
    api = "https://api.atlassian.com/ex/jira/1"
    section = Jira(url=api, api_token=SecretReference(file=str(tmp_path / "token")))
    seen = Jira(**{**dict(section), "site_url": "https://example.atlassian.net/"})
    ref = TicketRef("1", "AIGOV-1")
    assert tracker_from(section).link(ref) == f"{api}/browse/AIGOV-1"
    assert tracker_from(seen).link(ref) == "https://example.atlassian.net/browse/AIGOV-1"


def test_nothing_is_asked_before_the_first_ticket(cloud: JiraSimulator) -> None:
    tracker_at(cloud)
    assert cloud.requests() == []


def test_a_ticket_with_another_mark_is_not_taken_for_ours(jira: JiraSimulator) -> None:
    """Search may be sloppy about case; what it finds is read anew."""
    tracker = tracker_at(jira)
    tracker.open(TICKET, mark="oncall-1")
    jira.issues()[0].fields["labels"] = ["ONCALL-1"]
    jira.state.labelled = lambda label, project: jira.issues()  # type: ignore[method-assign]
    assert not tracker.find("oncall-1", project="AIGOV")
