"""What was posted is found again: by marks that nobody sees, within Slack's rules for reading back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from agent.adapters.slack import SlackChat
from agent.domain.errors import Reason, ServiceError
from agent.simulators.slack import SCOPES, RateLimit, SlackSimulator

NOW = datetime.now(UTC)


def test_marks_are_seen_by_nobody(slack, bot, card):
    ref = bot.post_root(card, key="inc-1")
    bot.post_lines(ref, ["one"], keys=["17"])
    assert "inc-1" not in slack.transcript()
    assert "17" not in slack.transcript()


def test_a_channel_that_is_named_is_found_before_its_history_is_read(slack, card):
    ref = SlackChat(slack.api_url, slack.bot_token, "#incidents").post_root(card, key="inc-1")
    again = SlackChat(slack.api_url, slack.bot_token, "#incidents")
    assert again.find_root("inc-1", since=NOW) == ref
    assert again.find_root("inc-1", since=NOW) == ref
    assert len(slack.requests("/api/conversations.list")) == 1


def test_a_channel_given_by_its_id_needs_no_list(slack, card):
    chat = SlackChat(slack.api_url, slack.bot_token, slack.workspace.channel("incidents").id)
    assert chat.find_root("inc-1", since=NOW) == ""
    assert slack.requests("/api/conversations.list") == []


def test_what_stands_on_a_later_page_is_found(card):
    with SlackSimulator(history_page=15) as slack:
        chat = SlackChat(slack.api_url, slack.bot_token, "#incidents")
        ref = chat.post_root(card, key="inc-1")
        for number in range(40):
            chat.post_lines(ref, [f"line {number}"], keys=[str(number)], broadcast=True)
        assert chat.find_root("inc-1", since=NOW) == ref
        assert chat.find_lines(ref, since=NOW) == {str(number) for number in range(40)}


def test_only_what_is_young_enough_is_read(slack, bot, card):
    bot.post_root(card, key="inc-1")
    assert bot.find_root("inc-1", since=NOW + timedelta(hours=1)) == ""


@pytest.mark.parametrize(
    ("scopes", "is_member", "told"),
    [
        (("chat:write", "chat:write.public", "channels:read"), True, "channels:history"),
        (("chat:write", "chat:write.public", "channels:history"), True, "channels:read"),
        (SCOPES, False, "not_in_channel"),
    ],
)
def test_who_may_not_read_back_is_told_and_need_not_ask_again(card, scopes, is_member, told):
    with SlackSimulator(scopes=scopes) as slack:
        slack.workspace.add_channel("incidents", is_member=is_member)
        SlackChat(slack.api_url, slack.bot_token, "#incidents").post_root(card, key="inc-1")
        with pytest.raises(ServiceError) as raised:
            SlackChat(slack.api_url, slack.bot_token, "#incidents").find_root("inc-1", since=NOW)
    assert told in str(raised.value)
    assert not raised.value.retryable


def test_too_many_looks_are_told_with_the_wait(card):
    clock = [0.0]
    limit = RateLimit(per_s=1 / 60, burst=1, now=lambda: clock[0])
    with SlackSimulator(history_limit=limit) as slack:
        chat = SlackChat(slack.api_url, slack.bot_token, "#incidents")
        ref = chat.post_root(card, key="inc-1")
        chat.find_lines(ref, since=NOW)
        with pytest.raises(ServiceError) as raised:
            chat.find_lines(ref, since=NOW)
        assert chat.find_root("inc-1", since=NOW) == ref
    assert raised.value.reason is Reason.RATE_LIMITED
    assert raised.value.retry_after_s == 60


def test_the_doctor_says_what_a_crash_could_then_double():
    with SlackSimulator(scopes=SCOPES[:3]) as slack:
        told = SlackChat(slack.api_url, slack.bot_token, "#incidents").check()
    assert told.ok
    assert "channels:history" in told.notes[0]
    with SlackSimulator() as slack:
        slack.workspace.add_channel("incidents", is_member=False)
        told = SlackChat(slack.api_url, slack.bot_token, "#incidents").check()
    assert told.ok
    assert "/invite @oncall" in told.notes[0]


@pytest.fixture
def web(slack):
    headers = {"Authorization": f"Bearer {slack.bot_token}"}
    with httpx.Client(base_url=slack.api_url, headers=headers, trust_env=False) as client:
        yield client


MARK = {"event_type": "made_up", "event_payload": {"id": "1"}}


def test_a_payload_is_given_back_only_when_asked_for(slack, web):
    made = web.post("chat.postMessage", json={"channel": "incidents", "text": "x", "metadata": MARK}).json()
    asked = {"channel": made["channel"]}
    (short,) = web.get("conversations.history", params=asked).json()["messages"]
    (whole,) = web.get("conversations.history", params={**asked, "include_all_metadata": "1"}).json()[
        "messages"
    ]
    assert short["metadata"] == {"event_type": "made_up"}
    assert whole["metadata"] == MARK


def test_metadata_stays_through_an_update_until_it_is_taken_away(slack, web):
    made = web.post("chat.postMessage", json={"channel": "incidents", "text": "x", "metadata": MARK}).json()
    change = {"channel": made["channel"], "ts": made["ts"], "text": "y"}
    web.post("chat.update", json=change)
    assert slack.messages()[0].metadata == MARK
    web.post("chat.update", json={**change, "metadata": {}})
    assert slack.messages()[0].metadata is None


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        ("{", "invalid_metadata_format"),
        ({"event_type": "x"}, "invalid_metadata_format"),
        ({"event_type": "x", "event_payload": {"list": [1]}}, "invalid_metadata_schema"),
        ({"event_type": "x", "event_payload": {"long": "x" * 9_000}}, "metadata_too_large"),
    ],
)
def test_metadata_that_slack_would_not_take_is_refused(web, metadata, code):
    body = {"channel": "incidents", "text": "x", "metadata": metadata}
    assert web.post("chat.postMessage", json=body).json()["error"] == code


def test_a_channel_is_read_newest_first_and_a_thread_oldest_first(slack, web):
    root, other = (
        web.post("chat.postMessage", json={"channel": "incidents", "text": text}).json() for text in "ab"
    )
    reply = {"channel": root["channel"], "text": "c", "thread_ts": root["ts"]}
    web.post("chat.postMessage", json=reply)
    web.post("chat.postMessage", json={**reply, "text": "d", "reply_broadcast": True})
    channel = web.get("conversations.history", params={"channel": root["channel"]}).json()["messages"]
    thread = web.get("conversations.replies", params={"channel": root["channel"], "ts": root["ts"]}).json()
    assert [each["text"] for each in channel] == ["d", "b", "a"]
    assert [each["text"] for each in thread["messages"]] == ["a", "c", "d"]
    missing = {"channel": root["channel"], "ts": "1.1"}
    assert web.get("conversations.replies", params=missing).json()["error"] == "thread_not_found"
    assert other["ok"]
