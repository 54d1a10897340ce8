"""The simulated Slack refuses what Slack refuses, told by plain HTTP."""

from __future__ import annotations

import httpx
import pytest

from agent.simulators.server import Fault
from agent.simulators.slack import RateLimit, SlackSimulator


@pytest.fixture
def web(slack):
    headers = {"Authorization": f"Bearer {slack.bot_token}"}
    with httpx.Client(base_url=slack.api_url, headers=headers, trust_env=False) as client:
        yield client


def post(web, **body):
    return web.post("chat.postMessage", json={"channel": "#incidents", **body}).json()


def section(text: str) -> dict:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def test_json_and_form_bodies_do_the_same(slack, web):
    assert post(web, text="json")["ok"]
    form = {"channel": "incidents", "text": "form", "blocks": '[{"type": "divider"}]'}
    assert web.post("chat.postMessage", data=form).json()["ok"]
    with_token = {**form, "token": slack.bot_token, "text": "own token"}
    assert httpx.post(f"{slack.api_url}chat.postMessage", data=with_token, trust_env=False).json()["ok"]
    assert [each.text for each in slack.messages("incidents")] == ["json", "form", "own token"]


def test_no_token_and_a_wrong_token_are_told_apart(slack):
    url = f"{slack.api_url}auth.test"
    assert httpx.post(url, trust_env=False).json()["error"] == "not_authed"
    wrong = {"Authorization": "Bearer xoxb-wrong"}
    assert httpx.post(url, headers=wrong, trust_env=False).json()["error"] == "invalid_auth"


def test_a_body_that_is_no_json_object_is_refused(web):
    headers = {"Content-Type": "application/json"}
    assert web.post("chat.postMessage", content="{", headers=headers).json()["error"] == "invalid_json"
    assert web.post("chat.postMessage", content="[]", headers=headers).json()["error"] == "json_not_object"


def test_a_method_that_is_not_there_is_told(web):
    assert web.post("files.upload").json()["error"] == "unknown_method"


def test_every_ts_is_a_string_of_its_own_and_later_ones_are_greater(web):
    stamps = [post(web, text=str(number))["ts"] for number in range(30)]
    assert all(isinstance(ts, str) for ts in stamps)
    assert stamps == sorted(set(stamps))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "no_text"),
        ({"text": "  "}, "no_text"),
        ({"text": "x", "channel": "#nowhere"}, "channel_not_found"),
        ({"text": "x", "channel": ""}, "invalid_arguments"),
        ({"text": "x" * 40_001}, "msg_too_long"),
        ({"text": "x", "thread_ts": 1700000001.0001}, "invalid_arguments"),
        ({"text": "x", "thread_ts": "1700000001.000100"}, "thread_not_found"),
        ({"text": "x", "blocks": [{"type": "divider"}] * 51}, "invalid_blocks"),
        ({"text": "x", "blocks": [section("s" * 3_001)]}, "invalid_blocks"),
        ({"text": "x", "blocks": [section("s" * 2_900)] * 5}, "msg_blocks_too_long"),
        ({"text": "x", "blocks": "not a list"}, "invalid_blocks_format"),
        ({"text": "x", "blocks": {"type": "divider"}}, "invalid_blocks_format"),
    ],
)
def test_what_slack_refuses_is_refused_with_its_code(slack, web, body, code):
    answer = web.post("chat.postMessage", json={"channel": "#incidents", **body})
    assert answer.status_code == 200
    assert answer.json() | {"ok": False, "error": code} == answer.json()
    assert slack.messages() == []


def test_a_reply_to_a_reply_joins_the_parents_thread(slack, web):
    root = post(web, text="root")["ts"]
    reply = post(web, text="reply", thread_ts=root)["ts"]
    post(web, text="reply to the reply", thread_ts=reply, reply_broadcast=True)
    assert [each.text for each in slack.thread(root)] == ["root", "reply", "reply to the reply"]
    assert [each.thread_ts for each in slack.thread(root)] == ["", root, root]
    assert [each.text for each in slack.roots()] == ["root"]


def test_an_update_keeps_the_ts_and_counts(slack, web):
    made = post(web, text="before", blocks=[section("before")])
    where = {"channel": made["channel"], "ts": made["ts"]}
    assert web.post("chat.update", json={**where, "text": "between"}).json()["ok"]
    assert slack.messages()[0].blocks
    assert web.post("chat.update", json={**where, "text": "after", "blocks": []}).json()["ok"]
    (message,) = slack.messages()
    assert (message.text, message.edits, message.blocks) == ("after", 2, ())
    assert message.texts == ("before", "between", "after")


def test_updates_are_refused_with_their_codes(slack, web):
    made = post(web, text="mine")
    httpx.post(slack.webhook_url, json={"text": "the webhook's"}, trust_env=False)
    foreign = slack.messages()[1].ts
    channel = made["channel"]

    def refusal(**body):
        return web.post(
            "chat.update", json={"channel": channel, "ts": made["ts"], "text": "x", **body}
        ).json()["error"]

    assert refusal(channel="#incidents") == "channel_not_found"
    assert refusal(ts="1.1") == "message_not_found"
    assert refusal(ts=foreign) == "cant_update_message"
    assert refusal(text="x" * 4_001) == "msg_too_long"
    assert refusal(text="") == "no_text"
    slack.workspace.delete(made["ts"])
    assert refusal() == "message_not_found"


def test_channels_that_cannot_be_posted_to():
    with SlackSimulator(scopes=("chat:write",)) as slack:
        headers = {"Authorization": f"Bearer {slack.bot_token}"}
        slack.workspace.add_channel("old", is_archived=True)
        slack.workspace.add_channel("others", is_member=False)
        slack.workspace.add_channel("secret", is_member=False, is_private=True)
        url = f"{slack.api_url}chat.postMessage"
        told = {
            name: httpx.post(
                url, json={"channel": name, "text": "x"}, headers=headers, trust_env=False
            ).json()["error"]
            for name in ("old", "others", "secret")
        }
    assert told == {"old": "is_archived", "others": "not_in_channel", "secret": "channel_not_found"}


def test_a_missing_scope_is_refused_with_what_is_needed():
    with SlackSimulator(scopes=()) as slack:
        headers = {"Authorization": f"Bearer {slack.bot_token}"}
        answer = httpx.post(
            f"{slack.api_url}chat.postMessage",
            json={"channel": "incidents", "text": "x"},
            headers=headers,
            trust_env=False,
        ).json()
    assert answer["error"] == "missing_scope"
    assert answer["needed"] == "chat:write"


def test_more_than_a_message_a_second_is_429_for_that_channel_only():
    clock = [0.0]
    limit = RateLimit(per_s=1.0, burst=2, now=lambda: clock[0])
    with SlackSimulator(channels=("a", "b"), rate_limit=limit) as slack:
        headers = {"Authorization": f"Bearer {slack.bot_token}"}
        with httpx.Client(base_url=slack.api_url, headers=headers, trust_env=False) as web:
            assert [post(web, channel="a", text="x")["ok"] for _ in range(2)] == [True, True]
            refused = web.post("chat.postMessage", json={"channel": "a", "text": "x"})
            assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
            assert refused.json()["error"] == "ratelimited"
            assert post(web, channel="b", text="x")["ok"]
            clock[0] += 1.0
            assert post(web, channel="a", text="x")["ok"]
        assert httpx.post(slack.webhook_url, json={"text": "x"}, trust_env=False).status_code == 429


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        ('{"text": "hello"}', 200, "ok"),
        ('{"blocks": [{"type": "divider"}]}', 200, "ok"),
        ("{}", 400, "no_text"),
        ("hello", 400, "invalid_payload"),
        ("[]", 400, "invalid_payload"),
        ('{"text": "x", "blocks": [{"type": "nonsense"}]}', 400, "invalid_blocks"),
    ],
)
def test_the_webhook_answers_in_words(slack, content, status, words):
    answer = httpx.post(slack.webhook_url, content=content, trust_env=False)
    assert (answer.status_code, answer.text) == (status, words)


def test_the_webhook_takes_the_old_payload_form(slack):
    assert httpx.post(slack.webhook_url, data={"payload": '{"text": "x"}'}, trust_env=False).text == "ok"
    assert slack.messages()[0].via == "webhook"


def test_a_webhook_that_is_gone_and_one_into_an_archive(slack):
    assert httpx.post(f"{slack.url}/services/T/B/X", json={"text": "x"}, trust_env=False).text == "no_service"
    slack.workspace.add_channel("incidents", is_archived=True)
    answer = httpx.post(slack.webhook_url, json={"text": "x"}, trust_env=False)
    assert (answer.status_code, answer.text) == (410, "channel_is_archived")


def test_the_state_can_be_read_from_another_process(slack, web):
    root = post(web, text="root &amp; more")["ts"]
    post(web, text="a\nreply", thread_ts=root)
    listed = httpx.get(f"{slack.url}/_sim/messages?channel=incidents", trust_env=False).json()
    assert [each["shown"] for each in listed] == ["root & more", "a\nreply"]
    told = httpx.get(f"{slack.url}/_sim/transcript", trust_env=False).text
    assert told == "#incidents\n  root & more\n    ↳ a\n      reply\n" == slack.transcript()
    assert httpx.get(f"{slack.url}/_sim/messages?channel=nowhere", trust_env=False).status_code == 404
    httpx.delete(f"{slack.url}/_sim/messages", trust_env=False)
    assert slack.messages() == []


def test_scripted_faults_come_before_the_workspace(slack, web):
    slack.misbehave(Fault(429, path="/api/chat.postMessage", headers={"Retry-After": "5"}))
    refused = web.post("chat.postMessage", json={"channel": "incidents", "text": "x"})
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "5")
    assert post(web, text="x")["ok"]


def test_many_posts_at_once_lose_nothing(slack, bot, card):
    from concurrent.futures import ThreadPoolExecutor

    ref = bot.post_root(card)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: bot.post_lines(ref, [str(number)]), range(40)))
    replies = slack.thread(ref)[1:]
    assert sorted(int(each.text) for each in replies) == list(range(40))
    assert len({each.ts for each in replies}) == 40


def test_a_person_at_a_terminal_presses_and_is_told_when_there_is_no_button(slack):
    answer = httpx.post(f"{slack.url}/_sim/press", data={"action": "approve"})
    assert answer.status_code == 404
    assert "no message has a button oncall:approve" in answer.text
