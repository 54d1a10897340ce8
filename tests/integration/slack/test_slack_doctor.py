"""What `doctor` is told about Slack before the first incident comes."""

from __future__ import annotations

import pytest

from agent.adapters.slack import SlackChat, SlackWebhookChat
from agent.simulators.server import Fault
from agent.simulators.slack import SlackSimulator


def check(slack: SlackSimulator, channel: str = "#incidents", token: str | None = None):
    return SlackChat(slack.api_url, token or slack.bot_token, channel).check()


def test_all_is_well(slack):
    told = check(slack)
    assert (told.team, told.bot_user) == ("simulated", "oncall")
    assert told.channel_id == slack.workspace.channel("incidents").id
    assert told.ok
    assert told.unchecked == ()
    assert slack.messages() == []


def test_the_channel_may_be_given_by_its_id(slack):
    told = check(slack, slack.workspace.channel("incidents").id)
    assert told.ok
    assert told.channel_id


def test_a_wrong_token_is_told(slack):
    (problem,) = check(slack, token="xoxb-other").problems
    assert "invalid_auth" in problem
    assert "slack.bot_token" in problem


def test_a_token_that_may_not_write_is_told_with_the_scope_to_add():
    with SlackSimulator(scopes=("channels:read",)) as slack:
        (problem,) = check(slack).problems
    assert "chat:write" in problem


def test_what_cannot_be_looked_up_is_said_and_is_no_problem():
    with SlackSimulator(scopes=("chat:write", "chat:write.public")) as slack:
        for channel in ("#incidents", "C000000001"):
            told = check(slack, channel)
            assert told.ok
            assert "channels:read" in told.unchecked[0]


def test_a_channel_that_does_not_exist_is_told(slack):
    assert "#nowhere" in check(slack, "#nowhere").problems[0]
    assert "channel_not_found" in check(slack, "C0NOWHERE1").problems[0]


def test_an_archived_channel_is_told(slack):
    slack.workspace.add_channel("incidents", is_archived=True)
    assert "archived" in check(slack).problems[0]


def test_a_channel_that_the_bot_is_not_in_is_fine_with_the_public_scope(slack):
    slack.workspace.add_channel("incidents", is_member=False)
    assert check(slack).ok


def test_a_channel_that_the_bot_is_not_in_needs_an_invitation_without_it():
    with SlackSimulator(scopes=("chat:write", "channels:read")) as slack:
        slack.workspace.add_channel("incidents", is_member=False)
        assert "/invite @oncall" in check(slack).problems[0]


def test_a_private_channel_is_found_with_its_own_scope():
    with SlackSimulator(scopes=("chat:write", "channels:read", "groups:read")) as slack:
        slack.workspace.add_channel("secret", is_private=True)
        assert check(slack, "#secret").ok
        slack.workspace.add_channel("secret", is_private=True, is_member=False)
        assert not check(slack, "#secret").ok


def test_a_channel_on_a_later_page_is_found():
    with SlackSimulator(channels=[f"team-{number}" for number in range(450)]) as slack:
        assert check(slack, "#team-449").ok
        assert len(slack.requests("/api/conversations.list")) == 3


@pytest.mark.parametrize("body", ['{"ok": true}', '{"ok": true, "channels": [1, null, {"name": 5}]}'])
def test_a_strange_list_of_channels_is_a_channel_not_found(slack, body):
    slack.misbehave(Fault(200, path="/api/conversations.list", body=body))
    assert "#incidents" in check(slack).problems[0]


def test_slack_in_trouble_while_looking_is_told(slack):
    slack.misbehave(Fault(503, path="/api/conversations.list"))
    assert "503" in check(slack).problems[0]


def test_a_live_webhook_is_told_from_a_dead_one_without_posting(slack):
    assert SlackWebhookChat(slack.webhook_url).check().ok
    dead = SlackWebhookChat(f"{slack.url}/services/T/B/gone").check()
    assert "no_service" in dead.problems[0]
    assert slack.messages() == []


def test_a_webhook_of_an_archived_channel_is_told(slack, hook):
    slack.workspace.add_channel("incidents", is_archived=True)
    assert "archived" in hook.check().problems[0]


def test_a_webhook_address_that_is_none_is_told():
    assert not SlackWebhookChat("not an address").check().ok
