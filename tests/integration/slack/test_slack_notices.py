"""A channel that is not the incidents' own is told by the bot, in plain words."""

from __future__ import annotations

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
