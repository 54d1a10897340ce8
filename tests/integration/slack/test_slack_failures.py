"""Every way that Slack or the way to it can fail, and what the outbox is told about it."""

from __future__ import annotations

import json
import time

import pytest

from agent.adapters.slack import SlackChat, SlackWebhookChat
from agent.domain.errors import Reason, ServiceError
from agent.simulators.server import Fault
from agent.simulators.slack import SlackSimulator

POST = "/api/chat.postMessage"


def failure(call, *args, **kwargs) -> ServiceError:
    with pytest.raises(ServiceError) as raised:
        call(*args, **kwargs)
    return raised.value


def expected(status: int) -> tuple[Reason, bool]:
    """The table: which statuses are worth asking again, and why they failed."""
    if status == 429:
        return Reason.RATE_LIMITED, True
    if status >= 500:
        return Reason.SERVER_ERROR, True
    if status == 408:
        return Reason.TIMEOUT, True
    if status < 400:
        return Reason.BAD_ANSWER, False
    named = {401: Reason.AUTH, 403: Reason.AUTH, 404: Reason.NOT_FOUND, 410: Reason.NOT_FOUND}
    return named.get(status, Reason.REJECTED), False


def test_every_http_status_has_one_meaning_for_the_bot(slack, bot, card):
    for status in (*range(201, 209), *range(300, 309), *range(400, 600)):
        slack.misbehave(Fault(status, body="" if status in {204, 205, 304} else "oops"))
        error = failure(bot.post_root, card)
        assert (error.reason, error.retryable) == expected(status), status
    assert slack.messages() == []


def test_every_http_status_has_one_meaning_for_the_webhook(slack, hook, card):
    for status in (*range(201, 209), *range(300, 309), *range(400, 600)):
        slack.misbehave(Fault(status, body="" if status in {204, 205, 304} else "<html>"))
        error = failure(hook.post_root, card)
        assert (error.reason, error.retryable) == expected(status), status
    assert slack.messages() == []


AUTH = (
    "not_authed",
    "invalid_auth",
    "account_inactive",
    "token_revoked",
    "token_expired",
    "missing_scope",
    "no_permission",
    "not_allowed_token_type",
    "access_denied",
    "ekm_access_denied",
    "restricted_action",
    "restricted_action_read_only_channel",
)
NOT_FOUND = (
    "channel_not_found",
    "not_in_channel",
    "is_archived",
    "message_not_found",
    "thread_not_found",
)
REJECTED = (
    "msg_too_long",
    "msg_blocks_too_long",
    "invalid_blocks",
    "no_text",
    "cant_update_message",
    "edit_window_closed",
    "too_many_attachments",
    "invalid_arguments",
    "a_code_of_tomorrow",
)
CODES = [
    *((code, Reason.AUTH, False) for code in AUTH),
    *((code, Reason.NOT_FOUND, False) for code in NOT_FOUND),
    *((code, Reason.REJECTED, False) for code in REJECTED),
    ("ratelimited", Reason.RATE_LIMITED, True),
    ("rate_limited", Reason.RATE_LIMITED, True),
    ("internal_error", Reason.SERVER_ERROR, True),
    ("fatal_error", Reason.SERVER_ERROR, True),
    ("service_unavailable", Reason.SERVER_ERROR, True),
    ("team_added_to_org", Reason.SERVER_ERROR, True),
    ("request_timeout", Reason.TIMEOUT, True),
]


@pytest.mark.parametrize(("code", "reason", "retryable"), CODES)
def test_every_error_code_has_one_meaning(slack, bot, card, code, reason, retryable):
    slack.misbehave(Fault(200, body=json.dumps({"ok": False, "error": code})))
    error = failure(bot.post_root, card)
    assert (error.reason, error.retryable) == (reason, retryable)
    assert code in str(error)


def test_a_missing_scope_in_half_characters_is_left_out(slack, bot, card):
    slack.misbehave(Fault(200, body='{"ok": false, "error": "missing_scope", "needed": "\\ud800"}'))
    assert failure(bot.post_root, card).reason is Reason.AUTH


def test_a_missing_scope_is_named(slack, bot, card):
    answer = {"ok": False, "error": "missing_scope", "needed": "chat:write", "provided": "none"}
    slack.misbehave(Fault(200, body=json.dumps(answer)))
    assert "missing_scope chat:write" in str(failure(bot.post_root, card))


@pytest.mark.parametrize(
    ("status", "words", "reason"),
    [
        (400, "invalid_payload", Reason.REJECTED),
        (400, "no_text", Reason.REJECTED),
        (400, "user_not_found", Reason.REJECTED),
        (403, "action_prohibited", Reason.AUTH),
        (403, "invalid_token", Reason.AUTH),
        (404, "channel_not_found", Reason.NOT_FOUND),
        (404, "no_service", Reason.NOT_FOUND),
        (404, "no_team", Reason.NOT_FOUND),
        (410, "channel_is_archived", Reason.NOT_FOUND),
    ],
)
def test_a_webhook_refuses_with_a_status_and_a_word(slack, hook, card, status, words, reason):
    slack.misbehave(Fault(status, body=words))
    error = failure(hook.post_root, card)
    assert (error.reason, error.retryable) == (reason, False)
    assert words in str(error)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("30", 30.0), ("0", 0.0), ("1.5", 1.5), ("", None), ("soon", None), ("-1", None), ("nan", None)],
)
def test_how_long_to_wait_is_passed_on(slack, bot, hook, card, header, seconds):
    headers = {"Retry-After": header} if header else {}
    slack.misbehave(Fault(429, times=2, headers=headers))
    for chat in (bot, hook):
        error = failure(chat.post_root, card)
        assert error.reason is Reason.RATE_LIMITED
        assert error.retry_after_s == seconds


def test_a_rate_limit_told_as_a_code_keeps_its_wait(slack, bot, card):
    body = json.dumps({"ok": False, "error": "ratelimited"})
    slack.misbehave(Fault(200, body=body, headers={"Retry-After": "7"}))
    assert failure(bot.post_root, card).retry_after_s == 7.0


def test_nothing_is_tried_twice_behind_the_outbox(slack, bot, hook, card):
    slack.misbehave(Fault(503, times=2), Fault(429, times=2, headers={"Retry-After": "60"}))
    for chat in (bot, hook, bot, hook):
        failure(chat.post_root, card)
    assert len(slack.requests("/")) == 4


JUNK = [
    '{"ok": false, "error": "\\ud800"}',
    '{"ok": false, "error": "two words"}',
    '{"ok": false, "error": {}}',
    "",
    "<html>sign in</html>",
    "null",
    "[]",
    '"ok"',
    "17",
    "{",
    '{"ok": true}',
    '{"ok": false}',
    "[" * 9999,
]


@pytest.mark.parametrize("body", JUNK)
def test_a_page_that_is_not_slacks_is_a_bad_answer(slack, bot, card, body):
    slack.misbehave(Fault(200, body=body))
    error = failure(bot.post_root, card)
    assert (error.reason, error.retryable) == (Reason.BAD_ANSWER, True)


@pytest.mark.parametrize("body", ["", "<html>sign in</html>", '{"ok": true}', "ok?"])
def test_a_page_that_is_not_the_webhooks_is_a_bad_answer(slack, hook, card, body):
    slack.misbehave(Fault(200, body=body))
    assert failure(hook.post_root, card).reason is Reason.BAD_ANSWER


def test_an_answer_in_no_encoding_is_a_bad_answer(raw_server, card):
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=klingon\r\nContent-Length: 3\r\n\r\n"
    server = raw_server(lambda peer, _: peer.sendall(head + b"\xff\xfe{"))
    for chat in chats(server.url):
        assert failure(chat.post_root, card).reason is Reason.BAD_ANSWER


def test_an_endless_answer_is_not_read_to_its_end(raw_server, card):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n"
    server = raw_server(lambda peer, _: peer.sendall(head + b" " * 9_000_000))
    for chat in chats(server.url, timeout_s=5.0):
        assert failure(chat.post_root, card).reason is Reason.BAD_ANSWER


def chats(url: str, timeout_s: float = 1.0) -> tuple[SlackChat, SlackWebhookChat]:
    return (
        SlackChat(f"{url}/api/", "xoxb-made-up", "#incidents", timeout_s=timeout_s),
        SlackWebhookChat(f"{url}/services/T/B/secret", timeout_s=timeout_s),
    )


def test_nobody_listening_is_unreachable(closed_port, card):
    for chat in chats(closed_port):
        error = failure(chat.post_root, card)
        assert (error.reason, error.retryable) == (Reason.UNREACHABLE, True)


def test_a_name_that_does_not_resolve_is_unreachable(card, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    for chat in chats("http://slack.invalid"):
        assert failure(chat.post_root, card).reason is Reason.UNREACHABLE


def test_silence_is_a_timeout(raw_server, card):
    server = raw_server(lambda _, over: over.wait(5))
    for chat in chats(server.url, timeout_s=0.1):
        error = failure(chat.post_root, card)
        assert (error.reason, error.retryable) == (Reason.TIMEOUT, True)


def test_a_body_that_never_comes_is_a_timeout(raw_server, card):
    def head_only(peer, over):
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        over.wait(5)

    for chat in chats(raw_server(head_only).url, timeout_s=0.1):
        assert failure(chat.post_root, card).reason is Reason.TIMEOUT


def test_a_body_that_drips_is_given_up_at_the_deadline(raw_server, card):
    def drip(peer, over):
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not over.wait(0.02):
            peer.sendall(b" ")

    server = raw_server(drip)
    for chat in chats(server.url, timeout_s=0.2):
        began = time.monotonic()
        assert failure(chat.post_root, card).reason is Reason.TIMEOUT
        assert time.monotonic() - began < 2.0


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
    ],
    ids=["before the answer", "in the body", "in a chunk"],
)
def test_a_connection_cut_half_way_is_unreachable(raw_server, card, sent):
    server = raw_server(lambda peer, _: peer.sendall(sent))
    for chat in chats(server.url):
        error = failure(chat.post_root, card)
        assert (error.reason, error.retryable) == (Reason.UNREACHABLE, True)


def test_something_that_is_not_http_is_a_bad_answer(raw_server, card):
    server = raw_server(lambda peer, _: peer.sendall(b"220 mail.example.com ESMTP\r\n\r\n"))
    for chat in chats(server.url):
        assert failure(chat.post_root, card).reason is Reason.BAD_ANSWER


def test_a_redirect_is_not_followed_so_the_token_stays_here(slack, card):
    with SlackSimulator() as elsewhere:
        slack.misbehave(Fault(302, times=2, headers={"Location": f"{elsewhere.api_url}chat.postMessage"}))
        for chat in (
            SlackChat(slack.api_url, slack.bot_token, "#incidents"),
            SlackWebhookChat(slack.webhook_url),
        ):
            assert failure(chat.post_root, card).reason is Reason.BAD_ANSWER
        assert elsewhere.requests() == []


def test_an_environment_proxy_is_not_used_for_this_machine(slack, card, monkeypatch, closed_port):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, closed_port)
    SlackChat(slack.api_url, slack.bot_token, "#incidents").post_root(card)
    SlackWebhookChat(slack.webhook_url).post_root(card)
    assert len(slack.messages()) == 2


def test_an_environment_proxy_is_used_for_the_world(slack, card, monkeypatch):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", slack.url)
    SlackChat("http://slack.example.com/api/", slack.bot_token, "#incidents").post_root(card)
    assert len(slack.messages()) == 1


def test_the_same_lines_posted_twice_on_purpose_appear_twice(slack, bot, card):
    ref = bot.post_root(card)
    bot.post_lines(ref, ["again"])
    bot.post_lines(ref, ["again"])
    assert [each.text for each in slack.thread(ref)[1:]] == ["again", "again"]
