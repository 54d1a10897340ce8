"""Laws of the texts: nothing alive, nothing over a limit, nothing lost that is short."""

from __future__ import annotations

import html
import re
from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.adapters.slack_text import (
    HEADER_LIMIT,
    MESSAGE_LIMIT,
    card_message,
    clean,
    escape,
    render_line,
    width,
)
from agent.ports import ThreadCard
from agent.simulators.slack_blocks import blocks_error, texts_of
from tests.unit.slack.packing import packed

NASTY = st.sampled_from(
    [
        *(
            "<!channel>",
            "<!here|x>",
            "<@U012AB3CD>",
            "<#C012AB3CD>",
            "<https://e.example|x>",
            "@here",
            "@CHANNEL",
        ),
        *(
            "@everyone",
            "```",
            "``",
            "`",
            "&",
            "&lt;",
            "<",
            ">",
            "\n",
            "\n    ",
            "    ",
            "   ",
            "\r\n",
            "*b*",
            " ",
        ),
        *("\x00", "\ud800", "🔥", "https://e.example/", "javascript:", "|", "\u2028", "\u200b"),
    ]
)
UNTRUSTED = st.lists(NASTY | st.text(alphabet=st.characters(), max_size=12), max_size=12).map("".join)
LONG = st.builds(lambda text, times: text * times, UNTRUSTED, st.integers(1, 120))
ANY = UNTRUSTED | LONG

# What Slack would act upon: its own bracket sequences, and the words that wake a channel.
LIVE = re.compile(r"<[!@#]|<[a-z]+:|\B@(channel|here|everyone|group)\b", re.I | re.A)
OWN_LINK = re.compile(r"<https?://[^<>|\s]+\|(Incident|Alert) \([^<>|\s()]+\)>", re.I)


@given(ANY)
def test_no_text_is_alive(text):
    for shown in (escape(text), render_line(text), *packed([text])):
        assert not LIVE.search(shown)
        assert "<" not in shown


@given(ANY)
def test_escaped_text_reads_as_it_was(text):
    assert html.unescape(escape(text).replace("\u200b", "")) == html.unescape(
        html.escape(clean(text).replace("\u200b", ""), quote=False)
    )


@given(st.lists(ANY, max_size=8))
@settings(max_examples=60)
def test_no_message_is_longer_than_slack_takes(lines):
    for message in packed(lines):
        assert 0 < width(message) <= MESSAGE_LIMIT
        assert message.strip()


@given(st.lists(ANY, max_size=8))
@settings(max_examples=60)
def test_every_code_block_that_is_opened_is_closed(lines):
    for message in packed(lines):
        assert message.count("```") % 2 == 0
        assert len(re.findall(r"^```$", message, re.M)) == message.count("```")


@given(st.lists(UNTRUSTED, max_size=40))
def test_no_short_line_is_lost_or_moved(lines):
    whole = "\n".join(packed(lines))
    at = 0
    for line in lines:
        shown = render_line(line)
        if shown.strip():
            at = whole.index(shown, at) + len(shown)


@given(st.lists(st.integers(0, 3_000), max_size=30))
def test_lines_are_never_parted_needlessly(sizes):
    lines = ["x" * size for size in sizes]
    messages = packed(lines)
    for one, following in pairwise(messages):
        assert width(one) + 1 + width(following.split("\n")[0]) > MESSAGE_LIMIT


@example(ThreadCard("", "", reason="\x00"))
@given(st.lists(ANY, min_size=9, max_size=9).map(lambda texts: ThreadCard(*texts)))
@settings(max_examples=60)
def test_every_card_is_a_message_that_slack_takes(card):
    message = card_message(card)
    blocks = list(message.blocks)
    assert blocks_error(blocks) == ("", ())
    assert 0 < width(message.text) <= MESSAGE_LIMIT
    assert width(blocks[0]["text"]["text"]) <= HEADER_LIMIT
    for text in (message.text, *texts_of(blocks)):
        assert not LIVE.search(OWN_LINK.sub("", text))
