"""How the story reads in Slack."""

from __future__ import annotations

import pytest

from agent.adapters.slack_text import (
    STATUS_EMOJI,
    card_message,
    cut,
    escape,
    link,
    plain,
    render_line,
    status_emoji,
    width,
)
from agent.domain.incident import Status
from agent.ports import ThreadCard
from tests.unit.slack.packing import packed

Z = "\u200b"


def test_every_status_has_its_sign():
    of_a_stop = {"stopped", "resumed"}
    assert set(STATUS_EMOJI) == {status.value for status in Status} | of_a_stop
    assert len({STATUS_EMOJI[status.value] for status in Status}) == len(Status)
    assert status_emoji("a status of tomorrow") == "•"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a & b", "a &amp; b"),
        ("a < b > c", "a &lt; b &gt; c"),
        ("&lt;", "&amp;lt;"),
        ("<!channel>", "&lt;!channel&gt;"),
        ("<@U012AB3CD>", "&lt;@U012AB3CD&gt;"),
        ("<https://evil.example|safe>", "&lt;https://evil.example|safe&gt;"),
        ("@here and @Channel", f"@{Z}here and @{Z}Channel"),
        ("ops@here.example", "ops@here.example"),
        ("@heretic", "@heretic"),
        ("```", f"`{Z}`{Z}`"),
        ("`name`", "`name`"),
        ("tab\tand\nline", "tab\tand\nline"),
        ("\x1b[31mred", "[31mred"),
        ("\ud83d", "\ufffd"),
    ],
)
def test_untrusted_text_becomes_text_that_does_nothing(text, shown):
    assert escape(text) == shown


def test_a_plain_text_header_keeps_its_characters_but_no_command():
    assert plain("latency > 500 ms & rising\nnow") == "latency > 500 ms & rising now"
    assert plain("<!channel> @here") == f"<{Z}!channel> @{Z}here"


def test_a_width_counts_an_emoji_twice():
    assert (width("a"), width("🚨"), width("")) == (1, 2, 0)


def test_a_cut_says_how_much_is_missing():
    assert cut("x" * 10, 10) == "x" * 10
    shown = cut("x" * 1_234, 100)
    assert width(shown) <= 100
    kept = shown.index("…")
    assert shown[kept:] == f"… ({1_234 - kept:,} more characters)"


def test_a_line_without_a_block_is_one_paragraph():
    assert render_line("▶️ step 1: <flush>") == "▶️ step 1: &lt;flush&gt;"


def test_rows_with_four_spaces_become_a_code_block():
    line = "❌ attempt 1 failed:\n    exit code 1\n      indented\n    \n    end\ntrying again"
    assert render_line(line) == "❌ attempt 1 failed:\n```\nexit code 1\n  indented\n\nend\n```\ntrying again"


def test_three_spaces_are_just_spaces():
    assert render_line("a\n   b") == "a\n   b"


def test_a_block_cannot_be_closed_by_what_is_in_it():
    shown = render_line("    ```\n    <!here> ````")
    assert shown.startswith("```\n")
    assert shown.endswith("\n```")
    assert shown.count("```") == 2
    assert "<!here>" not in shown


def test_lines_are_packed_into_as_few_messages_as_hold_them():
    assert packed(["a", "b", "c"]) == ["a\nb\nc"]
    assert packed(["a" * 10, "b" * 10, "c" * 10], limit=21) == ["a" * 10 + "\n" + "b" * 10, "c" * 10]


def test_a_block_too_long_for_a_message_is_closed_before_the_remark():
    (shown,) = packed(["out:\n    " + "x" * 500], limit=100)
    assert width(shown) <= 100
    head, inside, tail = shown.split("```")
    assert head == "out:\n"
    assert set(inside.strip()) == {"x"}
    assert tail == f"\n… ({509 - 9 - len(inside.strip()):,} more characters)"


def test_nothing_to_say_is_no_message():
    assert packed([]) == []
    assert packed(["", "  "]) == []


def test_a_card_tells_where_it_stands():
    card = ThreadCard("Redis timeout", "awaiting_approval", "high", "api", "redis", "1/2", "ask", "", "")
    message = card_message(card)
    header, fields, reason = message.blocks
    assert header["text"] == {"type": "plain_text", "text": "✋ Redis timeout", "emoji": True}
    assert [each["text"] for each in fields["fields"]] == [
        "*Status*\n✋ awaiting approval",
        "*Severity*\nhigh",
        "*Service*\napi",
        "*Runbook*\nredis",
        "*Progress*\n1/2",
    ]
    assert reason["text"]["text"] == "ask"
    assert message.text == "✋ awaiting approval: Redis timeout (high, api, 1/2)\nask"


def test_what_is_not_known_is_left_out_of_the_card():
    header, fields = card_message(ThreadCard("t", "received")).blocks
    assert len(fields["fields"]) == 1
    assert header["type"] == "header"


def test_a_link_names_the_host_it_leads_to():
    url = "https://acme.pagerduty.com/incidents/Q1?a=1&b=2"
    shown = "<https://acme.pagerduty.com/incidents/Q1?a=1&amp;b=2|Alert (acme.pagerduty.com)>"
    assert link("Alert", url) == shown
    assert link("Incident", "http://localhost:8080/x") == "<http://localhost:8080/x|Incident (localhost)>"
    assert link("Incident", "http://[::1]:8080/") == "<http://[::1]:8080/|Incident ([::1])>"
    assert link("Alert", " ") == ""


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "https://good.example@evil.example/",
        "https://good.example\\@evil.example/",
        "https://a.example/|label",
        "https://a.example/>x<!channel>",
        "https://a.example/ <!here>",
        "https://a.example/\nnext",
        "https:///path",
        "https://a.example/\ud800",
        "https://аcme.example/",
        "https://a.example/" + "x" * 2_000,
    ],
)
def test_what_is_no_plain_web_address_stays_text(url):
    shown = link("Alert", url)
    assert shown.startswith("Alert: ")
    assert "<" not in shown
    assert ">" not in shown
