"""Jira, both ways: what an escalation becomes there, and what is done there becomes here."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from werkzeug.test import TestResponse

from agent.adapters.jira_setup import tracker_from
from agent.adapters.jira_webhook import signature
from agent.delivery.tickets import TicketSender
from agent.domain.keeptrusts import KeeptrustsEscalation, KeeptrustsResolution
from agent.domain.outbox import AnswerKeeptrusts, Channel, ClearPage, OpenTicket, PageHuman
from agent.domain.queue import Action, Escalated, QueueStatus
from agent.domain.tickets import TicketState
from agent.escalations.settings import queueing_of
from agent.pipeline import keeptrusts, queueing
from agent.pipeline.keeptrusts import KeeptrustsDesk, Taken
from agent.pipeline.queueing import Settling, desk_of
from agent.simulators.jira import EMAIL, TOKEN, WEBHOOK_SECRET, JiraSimulator
from agent.simulators.jira_hooks import Hook
from agent.simulators.server import Fault
from tests.integration.web.conftest import Site
from tests.unit.pipeline.test_queueing import RESPONDER, by

GIVEN = "esc_20250420_00142"
ITEM = f"esc-kt-{GIVEN}"
FIELDS = {
    "escalation_id": "customfield_10100",
    "policy_name": "customfield_10101",
    "model": "customfield_10102",
    "gateway_id": "customfield_10103",
    "console_url": "customfield_10104",
}


class Both:
    """One agent and one Jira."""

    def __init__(self, site: Site, jira: JiraSimulator) -> None:
        self.site, self.jira = site, jira
        site.settings["jira"] = {
            "url": jira.url,
            "deployment": "cloud" if jira.is_cloud else "data_center",
            "email": EMAIL if jira.is_cloud else "",
            "api_token": site.secret("jira", TOKEN),
            "webhook_secrets": [site.secret("jira-hook", WEBHOOK_SECRET)],
            "fields": FIELDS,
        }
        site.settings["keeptrusts"] = {
            "api_token": site.secret("kt", "kt-token"),
            "allow_unsigned_webhooks": True,
        }
        site.settings["pagerduty"] |= {"routing_key": site.secret("pd", "0" * 32)}
        self._sender: TicketSender | None = None

    def configure(self, **more: Any) -> None:
        self.site.settings["jira"] |= more
        self.site.restart()

    @property
    def sender(self) -> TicketSender:
        if self._sender is None:
            world, section = self.site.world, self.site.config.jira
            assert section is not None
            tracker = tracker_from(section)
            self._sender = TicketSender(world.context, world.store, tracker, world.store, search_lag_s=90)
        return self._sender

    def deliver(self, looks: int = 4) -> None:
        for _ in range(looks):
            self.site.world.clock.sleep(self.sender.deliver() or 0.2)

    def escalated(self, action: str = "escalate") -> Taken:
        """Keeptrusts tells of an escalation; gives what became of it."""
        config = self.site.config
        assert config.keeptrusts is not None
        queue = desk_of(config, self.site.store, self.site.world.context.redactor)
        desk = KeeptrustsDesk(self.site.store, queue, config, config.keeptrusts)
        told = KeeptrustsEscalation(
            GIVEN,
            "phi-detection",
            action,
            event_id="evt_1",
            policy_type="compliance",
            model="gpt-4o",
            gateway_id="gw-prod-1",
            user_id="reviewer@example.com",
            timestamp="2026-04-23T14:12:00Z",
        )
        return keeptrusts.created(desk, told, {}, now=self.site.store.clock.now())

    def over_in_keeptrusts(self) -> Taken:
        """Keeptrusts tells that it ended there."""
        config = self.site.config
        assert config.keeptrusts is not None
        queue = desk_of(config, self.site.store, self.site.world.context.redactor)
        desk = KeeptrustsDesk(self.site.store, queue, config, config.keeptrusts)
        told = KeeptrustsResolution(GIVEN, "block", "looked at", "reviewer@example.com")
        return keeptrusts.resolved(desk, told, now=self.site.store.clock.now())

    def opened(self, action: str = "escalate") -> str:
        self.escalated(action)
        self.deliver()
        return self.jira.issues()[0].key

    def item(self, item_id: str = ITEM) -> Escalated:
        found = self.site.store.queue_item(item_id)
        assert found is not None
        return found

    def hears(self, hook: Hook) -> TestResponse:
        return self.site.client.post("/webhook/jira", data=hook.raw, headers=dict(hook.headers))

    def outcome(self, hook: Hook) -> str:
        answer = self.hears(hook)
        assert answer.status_code == 202
        return str(answer.json["outcome"])  # type: ignore[index]

    def letters(self, channel: Channel) -> list[object]:
        found = self.site.store.next_letters(channel, 50)
        self.site.store.delivered([letter.id for letter in found])
        return [letter.message for letter in found]


@pytest.fixture(params=["cloud", "data center"])
def both(request: pytest.FixtureRequest, site: Site) -> Iterator[Both]:
    with JiraSimulator(is_cloud=request.param == "cloud") as jira:
        yield Both(site, jira)


@pytest.fixture
def one(site: Site) -> Iterator[Both]:
    with JiraSimulator() as jira:
        yield Both(site, jira)


@pytest.mark.parametrize(
    ("action", "kind", "priority"),
    [("block", "Bug", "Highest"), ("escalate", "Task", "High"), ("redact", "Task", "Medium"),
     ("log", "Task", "Low")],
)  # fmt: skip
def test_an_escalation_becomes_the_published_ticket(one: Both, action: str, kind: str, priority: str) -> None:
    assert one.opened(action) == "AIGOV-1"
    fields = one.jira.issues()[0].fields
    assert fields["summary"] == f"AI Escalation: phi-detection — {action} (gpt-4o)"
    assert (fields["issuetype"], fields["priority"]) == ({"name": kind}, {"name": priority})
    assert fields["labels"][:3] == ["ai-governance", "keeptrusts", "phi-detection"]
    console = f"https://console.keeptrusts.com/escalations/{GIVEN}"
    custom = [fields[each] for each in FIELDS.values()]
    assert custom == [GIVEN, "phi-detection", "gpt-4o", "gw-prod-1", console]


def test_data_center_shows_the_published_description(site: Site) -> None:
    with JiraSimulator(is_cloud=False) as jira:
        Both(site, jira).opened()
        assert jira.issues()[0].fields["description"] == (
            "h2. AI Governance Escalation\n\n"
            "||Field||Value||\n"
            "|Policy|phi-detection|\n|Action|escalate|\n|Model|gpt-4o|\n|Gateway|gw-prod-1|\n"
            "|User|reviewer@example.com|\n|Time|2026-04-23T14:12:00Z|\n"
            f"|Escalation ID|{GIVEN}|\n\n"
            f"[View in Keeptrusts Console|https://console.keeptrusts.com/escalations/{GIVEN}]\n\n"
            "h3. Investigation Steps\n"
            "# Open the console link above\n"
            "# Review the event context and conversation history\n"
            "# Determine if the violation is genuine or a false positive\n"
            "# Update this ticket with findings\n"
            "# Resolve the escalation in Keeptrusts"
        )


def test_told_five_times_while_jira_is_away_there_is_one_ticket(one: Both) -> None:
    one.jira.lag()
    one.jira.loses_answers = 1
    for _ in range(5):
        one.escalated()
        one.deliver(2)
    one.jira.catch_up()
    one.site.world.clock.sleep(90)
    one.deliver(6)
    assert len(one.jira.issues()) == 1
    assert one.site.store.tickets_of(ITEM)[0].state is TicketState.OPEN


@pytest.mark.parametrize("order", ["cccccrrrrr", "rrrrrccccc", "crcrcrcrcr"])
def test_in_whatever_order_and_however_often_there_is_one_ticket_and_it_ends(one: Both, order: str) -> None:
    one.jira.misbehave(Fault(503, "/rest/", times=4))
    for each in order:
        if each == "c":
            one.escalated()
        else:
            one.over_in_keeptrusts()
        one.deliver(1)
    one.site.world.clock.sleep(180)
    for _ in range(6):
        one.deliver(4)
        one.site.world.clock.sleep(90)
    (issue,) = one.jira.issues()
    assert issue.is_done
    assert not one.site.store.next_letters(Channel.TICKET, 9)
    assert one.item().status is QueueStatus.RESOLVED


def test_resolved_in_jira_it_is_settled_answered_and_its_page_cleared(both: Both) -> None:
    key = both.opened()
    (page,) = both.letters(Channel.PAGER)
    assert isinstance(page, PageHuman)
    assert both.outcome(both.jira.move_as_human(key, "Resolved", "Done")) == "settled"
    item = both.item()
    assert item.status is QueueStatus.RESOLVED
    assert item.resolution is not None
    assert (item.resolution.action, item.resolution.note) == (Action.BLOCK, f"Resolved via Jira {key}")
    assert item.resolution.by == "Jira user Compliance Reviewer"
    (answer,) = both.letters(Channel.KEEPTRUSTS)
    assert isinstance(answer, AnswerKeeptrusts)
    assert (answer.escalation_id, answer.resolution) == (GIVEN, "block")
    assert answer.notes.startswith(f"Resolved via Jira {key}")
    (cleared,) = both.letters(Channel.PAGER)
    assert isinstance(cleared, ClearPage)
    assert cleared.dedup_key == page.dedup_key
    story = both.site.store.timeline(ITEM)
    assert any(each.text.startswith(f"🎫 Compliance Reviewer closed the ticket {key}") for each in story)


@pytest.mark.parametrize(
    ("status", "resolution", "action"),
    [("False Positive", "", Action.ALLOW), ("Resolved", "False Positive", Action.ALLOW),
     ("Resolved", "", Action.BLOCK), ("Closed", "Won't Do", Action.BLOCK)],
)  # fmt: skip
def test_what_a_resolution_means_is_configured_and_may_be_missing(
    one: Both, status: str, resolution: str, action: Action
) -> None:
    key = one.opened()
    assert one.outcome(one.jira.move_as_human(key, status, resolution)) == "settled"
    settled = one.item().resolution
    assert settled is not None
    assert settled.action is action


def test_our_own_end_brings_jira_to_its_end_and_comes_back_as_nothing(both: Both) -> None:
    key = both.opened()
    site = both.site
    desk = desk_of(site.config, site.store, site.world.context.redactor)
    settling = Settling(Action.ALLOW, "a false positive")
    queueing.resolve(desk, ITEM, by(RESPONDER), settling, now=site.store.clock.now())
    both.deliver()
    issue = both.jira.issue(key)
    assert (issue.status, issue.resolution) == ("False Positive", "False Positive")
    assert len(issue.comments) == 1
    both.letters(Channel.KEEPTRUSTS)
    before = len(site.store.timeline(ITEM))
    for hook in both.jira.hooks.told:
        assert both.outcome(hook) in ("known", "nothing to do")
    both.deliver()
    assert both.letters(Channel.KEEPTRUSTS) == []
    assert len(both.jira.hooks.told) == 1
    assert len(site.store.timeline(ITEM)) == before


def test_the_echo_may_come_before_our_own_hand_has_written_it_down(one: Both) -> None:
    key = one.opened()
    one.outcome(one.jira.move_as_human(key, "Resolved", "Done"))
    one.deliver()  # the letter that closes the ticket finds it closed
    assert one.jira.issue(key).comments == []
    assert len(one.jira.hooks.told) == 1
    (ticket,) = one.site.store.tickets_of(ITEM)
    assert (ticket.state, ticket.closed_by) == (TicketState.CLOSED, "Compliance Reviewer")


def test_heard_again_late_or_out_of_order_it_changes_nothing(one: Both) -> None:
    key = one.opened()
    started = one.jira.move_as_human(key, "In Progress")
    ended = one.jira.move_as_human(key, "Resolved", "Done")
    assert one.outcome(ended) == "settled"
    settled = one.item()
    assert [one.outcome(hook) for hook in (ended, ended)] == ["known", "known"]
    assert one.outcome(started) == "reopened"
    assert one.outcome(ended) == "known"
    assert one.item() == settled
    assert len(one.letters(Channel.KEEPTRUSTS)) == 1


def test_an_edit_of_something_else_settles_nothing(one: Both) -> None:
    key = one.opened()
    one.jira.issue(key).status = "Resolved"
    assert one.outcome(one.jira.edit_as_human(key, "Another summary")) == "nothing to do"
    assert one.item().status is QueueStatus.OPEN


def test_opened_again_in_jira_it_stays_settled_and_is_told(one: Both) -> None:
    key = one.opened()
    one.outcome(one.jira.move_as_human(key, "Resolved", "Done"))
    assert one.outcome(one.jira.move_as_human(key, "In Progress")) == "reopened"
    assert one.item().status is QueueStatus.RESOLVED
    assert one.site.store.timeline(ITEM)[-1].text.endswith("its escalation stays settled")


def test_who_closed_it_is_known_by_their_address_and_may_do_what_they_may(one: Both) -> None:
    people = [{"name": "watcher", "role": "viewer", "email": "watcher@example.com"}]
    one.site.settings["people"] = people
    key = one.opened()
    hook = one.jira.move_as_human(key, "Resolved", "Done", by="W", email="watcher@example.com")
    assert one.outcome(hook) == "refused"
    assert one.item().status is QueueStatus.OPEN
    assert one.outcome(hook) == "known"
    one.deliver()
    (comment,) = one.jira.issue(key).comments
    assert "watcher is a viewer" in json.dumps(comment)


def test_what_somebody_else_has_claimed_is_settled_too(one: Both) -> None:
    key = one.opened()
    site = one.site
    desk = desk_of(site.config, site.store, site.world.context.redactor)
    queueing.claim(desk, ITEM, by(RESPONDER), now=site.store.clock.now())
    assert one.outcome(one.jira.move_as_human(key, "Resolved", "Done")) == "settled"


def test_a_ticket_whose_answer_was_lost_is_known_by_its_label(one: Both) -> None:
    one.jira.loses_answers = 1
    key = one.opened()
    assert one.site.store.tickets_of(ITEM)[0].ref is None
    assert one.outcome(one.jira.move_as_human(key, "Resolved", "Done")) == "settled"
    one.site.world.clock.sleep(90)
    one.deliver()
    assert len(one.jira.issues()) == 1


def test_a_ticket_of_somebody_elses_is_not_ours(one: Both) -> None:
    one.opened()
    other = one.jira.state.create({"project": {"key": "OPS"}, "labels": []})
    assert one.outcome(one.jira.move_as_human(other.key, "Resolved", "Done")) == "unknown ticket"
    assert one.item().status is QueueStatus.OPEN


def forged(hook: Hook, **headers: str) -> Mapping[str, str]:
    return {**{name: text for name, text in hook.headers.items() if name != "X-Hub-Signature"}, **headers}


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda hook: (hook.raw, forged(hook)), 401),
        (lambda hook: (hook.raw, forged(hook, **{"X-Hub-Signature": "sha256=00"})), 401),
        (lambda hook: (hook.raw, forged(hook, **{"X-Hub-Signature": signature(hook.raw, "other")})), 401),
        (lambda hook: (hook.raw + b" ", hook.headers), 401),
        (lambda hook: (b"{}", {"X-Hub-Signature": signature(b"{}", WEBHOOK_SECRET)}), 400),
        (lambda hook: (b"no", {"X-Hub-Signature": signature(b"no", WEBHOOK_SECRET)}), 400),
    ],
)
def test_what_is_not_jiras_own_word_does_nothing(
    one: Both, change: Callable[[Hook], tuple[bytes, Mapping[str, str]]], status: int
) -> None:
    key = one.opened()
    raw, headers = change(one.jira.move_as_human(key, "Resolved", "Done"))
    answer = one.site.client.post("/webhook/jira", data=raw, headers=dict(headers))
    assert answer.status_code == status
    assert one.item().status is QueueStatus.OPEN


def test_unsigned_ones_are_taken_where_that_is_configured_and_other_events_are_thanked_for(one: Both) -> None:
    one.configure(allow_unsigned_webhooks=True)
    answer = one.site.client.post("/webhook/jira", json={"webhookEvent": "jira:issue_created"})
    assert (answer.status_code, answer.json) == (202, {"received": True, "outcome": "nothing to do"})


def test_where_no_jira_is_configured_or_the_agent_is_not_ready_it_says_so(site: Site) -> None:
    assert site.client.post("/webhook/jira", json={}).status_code == 404
    site.ready.clear()
    answer = site.client.post("/webhook/jira", json={})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")


def test_our_own_escalation_has_a_ticket_where_a_rule_says_so_and_closes_with_it(one: Both) -> None:
    one.site.settings["escalation"] = {
        "routing": [{"name": "all", "match": {"any": True}, "route_to": "jira:OPS", "on_breach": "jira"}]
    }
    one.site.store.queueing = queueing_of(one.site.config)
    incident = one.site.escalated()
    one.deliver()
    (issue,) = one.jira.issues()
    assert (issue.key, issue.fields["issuetype"]) == ("OPS-1", {"name": "Task"})
    assert issue.fields["summary"].endswith(": Nobody knows this")
    one.outcome(one.jira.move_as_human("OPS-1", "Closed", "False Positive"))
    settled = one.item(incident.id).resolution
    assert settled is not None
    assert settled.action is Action.FALSE_ALARM


def test_what_follows_on_an_escalation_is_a_comment_on_its_ticket(one: Both) -> None:
    one.site.settings["people"] = [{"name": "lead", "role": "approver"}]
    one.site.settings["escalation"] = {
        "routing": [{"name": "all", "match": {"any": True}, "route_to": "jira", "on_breach": "jira:OPS"}]
    }
    config = one.site.config
    one.site.store.queueing = queueing_of(config)
    incident = one.site.escalated()
    desk = desk_of(config, one.site.store, one.site.world.context.redactor)
    queueing.escalate_further(desk, one.item(incident.id).id, by(RESPONDER), now=one.site.store.clock.now())
    one.deliver()
    (issue,) = one.jira.issues()
    assert issue.key == "AIGOV-1"
    assert len(issue.comments) == 1


def test_action_items_of_a_post_mortem_are_tickets_that_settle_nothing(one: Both) -> None:
    incident = one.site.escalated()
    letters = [
        OpenTicket(f"postmortem-{incident.id}-{number}", "AIGOV", "Task", text)
        for number, text in enumerate(("Raise the limit", "Write a runbook"), 1)
    ]
    for _ in range(2):
        one.site.store.record(incident.id, (), messages=letters)
        one.deliver(6)
    assert [each.fields["summary"] for each in one.jira.issues()] == ["Raise the limit", "Write a runbook"]
    assert one.outcome(one.jira.move_as_human("AIGOV-1", "Resolved", "Done")) == "known"
    assert one.item(incident.id).status is QueueStatus.OPEN
