"""A channel that is not the incidents' own is told by the bot, in plain words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from agent.adapters.slack_notices import SlackNotices
from agent.domain.errors import Reason, ServiceError
from agent.ports import Notification
from agent.simulators.slack import SlackSimulator


def said(channel: str, text: str) -> Notification:
    return Notification((channel,), "", text, "esc-1-created-0")


def test_another_channel_is_told_and_nothing_in_the_text_calls_everybody() -> None:
    with SlackSimulator(channels=("incidents", "payments")) as slack:
        SlackNotices(slack.api_url, slack.bot_token).notify(said("#payments", "Redis <!channel> is down"))
        (message,) = slack.messages()
        told = slack.transcript()
    assert told.index("#payments") < told.index("Redis")
    assert "&lt;!channel&gt;" in message.text


def test_a_channel_that_is_not_there_is_said_so() -> None:
    with SlackSimulator() as slack:
        notices = SlackNotices(slack.api_url, slack.bot_token)
        with pytest.raises(ServiceError) as caught:
            notices.notify(said("#nobody", "Redis is down"))
    assert caught.value.reason in (Reason.NOT_FOUND, Reason.REJECTED)
    assert not caught.value.retryable
    assert slack.bot_token not in f"{caught.value} {notices!r}"


def test_what_may_stand_there_already_is_looked_for_and_not_said_twice() -> None:
    with SlackSimulator(channels=("incidents", "payments")) as slack:
        notices = SlackNotices(slack.api_url, slack.bot_token)
        notices.notify(said("#payments", "Redis is down"))
        again = datetime.now(UTC) - timedelta(minutes=1)
        notices.notify(replace(said("#payments", "Redis is down"), tried_since=again))
        assert len(slack.messages("payments")) == 1
        notices.notify(replace(said("#payments", "Redis is up"), key="esc-2", tried_since=again))
        assert len(slack.messages("payments")) == 2


def test_a_channel_that_may_not_be_read_is_rather_told_twice_than_never() -> None:
    with SlackSimulator(channels=("incidents", "payments"), scopes=("chat:write", "channels:read")) as slack:
        notices = SlackNotices(slack.api_url, slack.bot_token)
        again = datetime.now(UTC) - timedelta(minutes=1)
        notices.notify(replace(said("#payments", "Redis is down"), tried_since=again))
        assert len(slack.messages("payments")) == 1
