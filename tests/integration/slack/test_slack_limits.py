"""Long and hostile texts reach Slack whole enough to help and harmless enough to be shown."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

ZERO_WIDTH = "\u200b"
HOSTILE = "<!channel> <@U012AB3CD> <https://evil.example|click> ``` & @here *"


def test_a_card_full_of_too_long_texts_is_accepted(slack, bot, hook, card):
    long = replace(
        card,
        title="T" * 5_000,
        status="escalated",
        severity="s" * 5_000,
        service="&" * 5_000,
        runbook="<" * 5_000,
        progress="🔥" * 5_000,
        reason="&<>" * 50_000,
        url="http://localhost/" + "u" * 5_000,
        source_url="https://localhost/" + "&" * 900,
    )
    ref = bot.post_root(long)
    bot.update_root(ref, long)
    hook.post_root(long)
    header = slack.messages()[0].blocks[0]["text"]["text"]
    assert len(header) <= 150
    assert header.endswith("…")
    assert "more characters" in slack.messages()[0].text


def test_a_title_that_just_fits_is_not_cut(slack, bot, card):
    bot.post_root(replace(card, title="T" * 146))
    assert slack.messages()[0].blocks[0]["text"]["text"] == "🚨 " + "T" * 146


def test_a_card_with_nothing_but_a_status_is_accepted(slack, bot, card):
    bot.post_root(type(card)(title="", status="received"))
    assert "(no title)" in slack.messages()[0].shown


def test_100_kb_of_output_becomes_one_message_that_says_what_is_missing(slack, bot, card):
    ref = bot.post_root(card)
    bot.post_lines(ref, ["output:\n" + "\n".join("    " + "x" * 99 for _ in range(1_000))])
    (message,) = slack.thread(ref)[1:]
    assert len(message.text) <= 3_900
    assert message.text.startswith("output:\n```\nxxx")
    assert message.text.endswith(" more characters)")
    assert message.text.count("```") == 2


def test_60_long_lines_become_several_messages_and_none_is_lost(slack, bot, card):
    ref = bot.post_root(card)
    lines = [f"line {number:02d} " + "y" * 400 for number in range(60)]
    left = lines
    while left:
        left = left[bot.post_lines(ref, left) :]
    replies = slack.thread(ref)[1:]
    assert 6 <= len(replies) <= 8
    assert "\n".join(each.text for each in replies).split("\n") == lines


def test_60_short_lines_stay_one_message(slack, bot, card):
    ref = bot.post_root(card)
    bot.post_lines(ref, [f"line {number}" for number in range(60)])
    assert len(slack.thread(ref)) == 2


def test_hostile_text_is_shown_but_does_nothing(slack, bot, hook, card):
    hostile = replace(card, title=HOSTILE, service=HOSTILE, reason=HOSTILE, runbook=HOSTILE)
    ref = bot.post_root(hostile)
    bot.update_root(ref, hostile)
    bot.post_lines(ref, [HOSTILE, f"said:\n    {HOSTILE}\n    ```\n    <!here>"])
    hook.post_root(hostile)
    hook.post_lines("", [HOSTILE])
    for request in (*slack.requests("/api/"), *slack.requests("/services/")):
        said = json.dumps(json.loads(request.body), ensure_ascii=False)
        for live in ("<!", "<@", "<https://evil", "@here"):
            assert live not in said
    assert "<!channel>" in slack.thread(ref)[1].shown


def test_output_cannot_close_its_code_block(slack, bot, card):
    ref = bot.post_root(card)
    bot.post_lines(ref, ["said:\n    ok\n    ```\n    *free*", "next"])
    text = slack.thread(ref)[1].text
    before, inside, after = text.split("```")
    assert before == "said:\n"
    assert inside.replace(ZERO_WIDTH, "") == "\nok\n```\n*free*\n"
    assert after == "\nnext"


def test_links_and_previews_are_not_unfolded(slack, bot, hook, card):
    ref = bot.post_root(card)
    bot.post_lines(ref, ["see https://example.com"])
    hook.post_lines("", ["see https://example.com"])
    for request in (*slack.requests("/api/chat.postMessage"), *slack.requests("/services/")):
        body = json.loads(request.body)
        assert body["unfurl_links"] is False
        assert body["unfurl_media"] is False


def test_text_stands_beside_the_blocks(slack, bot, hook, card):
    bot.post_root(card)
    hook.post_root(card)
    for message in slack.messages():
        assert message.text == "🚨 received: Redis connection timeout (critical, api-gateway, 0/2 steps)"
        assert message.blocks


@pytest.mark.parametrize("odd", ["a\x00b", "\ud83d", "line\r\nline", "\u2028", "\x1b[31mred\x1b[0m"])
def test_characters_that_no_json_or_screen_can_hold_do_not_stop_a_message(slack, bot, card, odd):
    ref = bot.post_root(replace(card, title=odd, reason=odd))
    bot.post_lines(ref, [f"said: {odd}", f"said:\n    {odd}"])
    assert len(slack.thread(ref)) == 2
    slack.transcript().encode()
