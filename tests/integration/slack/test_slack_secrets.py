"""Neither the bot token nor a webhook's address may be seen in a repr, an error or a log."""

from __future__ import annotations

import logging
import traceback

import pytest

from agent.adapters.slack import SlackChat, SlackWebhookChat
from agent.domain.errors import ServiceError
from agent.simulators.server import Fault

TOKEN = "xoxb-very-secret-1234"
HOOK_SECRET = "T0AAAA/B0BBBB/veryVerySecret"


def assert_silent(text: str) -> None:
    for secret in (TOKEN, "very-secret", HOOK_SECRET, "veryVerySecret"):
        assert secret not in text


def broken_addresses(url: str) -> list[str]:
    return [url, url.replace("http://", "htp://"), url.replace("http://", ""), "", f"{url}/\x00 ", f"{url}\n"]


@pytest.fixture
def every_log(caplog):
    caplog.set_level(logging.DEBUG)
    for name in ("slack_sdk", "slack_sdk.web", "slack_sdk.web.base_client", "slack_sdk.webhook.client"):
        caplog.set_level(logging.DEBUG, logger=name)
    return caplog


def our_log(caplog) -> str:
    # The simulator logs what it was asked, as any server does; that is the other side.
    ours = (each for each in caplog.records if not each.name.startswith("agent.simulators"))
    return "\n".join(each.getMessage() for each in ours)


FAULTS = [
    Fault(401),
    Fault(404),
    Fault(429),
    Fault(500),
    Fault(302, headers={"Location": "http://127.0.0.1:1/"}),
    Fault(200, body="junk"),
    Fault(200, body='{"ok": false, "error": "invalid_auth"}'),
    Fault(200, body=f'{{"ok": false, "error": "{TOKEN}"}}'),
    Fault(200, body=f'{{"ok": false, "error": "missing_scope", "needed": "{HOOK_SECRET}"}}'),
    Fault(400, body=HOOK_SECRET),
    Fault(200, body=HOOK_SECRET),
]


@pytest.mark.parametrize("number", range(len(FAULTS)))
def test_no_failure_tells_a_secret(slack, card, every_log, number):
    fault = FAULTS[number]
    for chat in (
        SlackChat(slack.api_url, TOKEN, "#incidents"),
        SlackWebhookChat(f"{slack.url}/services/{HOOK_SECRET}"),
    ):
        slack.misbehave(Fault(fault.status, body=fault.body, headers=fault.headers))
        tell_all(chat, card, every_log)


def tell_all(chat, card, every_log) -> None:
    with pytest.raises(ServiceError) as raised:
        chat.post_root(card)
    assert_silent(repr(chat) + str(chat))
    assert_silent("".join(traceback.format_exception(raised.value)) + repr(raised.value))
    assert raised.value.__context__ is None or not str(raised.value.__context__)
    assert_silent(our_log(every_log))


def test_no_broken_address_is_shown(closed_port, card, every_log):
    for url in broken_addresses(f"{closed_port}/services/{HOOK_SECRET}"):
        tell_all(SlackWebhookChat(url, timeout_s=0.5), card, every_log)


@pytest.mark.parametrize("token", [f"{TOKEN}\nX-Evil: 1", f"{TOKEN}\x00", f"{TOKEN}…"])
def test_a_token_that_no_header_can_carry_is_not_shown(slack, card, every_log, token):
    tell_all(SlackChat(slack.api_url, token, "#incidents"), card, every_log)


def test_a_success_logs_nothing_either(slack, bot, hook, card, every_log):
    bot.post_root(card)
    hook.post_root(card)
    assert our_log(every_log) == ""
    assert slack.bot_token not in repr(bot)
    assert slack.webhook_url not in repr(hook)


def test_the_token_travels_in_the_header_only(slack, bot, card):
    bot.post_root(card)
    (request,) = slack.requests("/api/")
    assert request.headers["Authorization"] == f"Bearer {slack.bot_token}"
    assert slack.bot_token not in request.body + request.path


def test_a_doctor_that_finds_problems_tells_no_secret(slack, closed_port):
    checks = [
        SlackChat(slack.api_url, TOKEN, "#incidents").check(),
        SlackChat(f"{closed_port}/api/", TOKEN, "#incidents").check(),
        SlackWebhookChat(f"{slack.url}/services/{HOOK_SECRET}").check(),
        SlackWebhookChat(f"{closed_port}/services/{HOOK_SECRET}").check(),
    ]
    for check in checks:
        assert not check.ok
        assert_silent(repr(check))
