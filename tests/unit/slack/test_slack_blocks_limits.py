"""The simulated Slack's limits on blocks, one beyond each."""

from __future__ import annotations

import pytest

from agent.simulators.slack_blocks import blocks_error, readable, screen_text


def text(size: int, kind: str = "mrkdwn") -> dict:
    return {"type": kind, "text": "x" * size}


def header(size: int) -> dict:
    return {"type": "header", "text": text(size, "plain_text")}


def section(**more) -> dict:
    return {"type": "section", **more}


def context(count: int) -> dict:
    return {"type": "context", "elements": [text(1)] * count}


def buttons(count: int, size: int = 5, **more) -> dict:
    """An actions block."""
    made = [
        {"type": "button", "text": text(size, "plain_text"), "action_id": f"a{n}", **more}
        for n in range(count)
    ]
    return {"type": "actions", "elements": made}


@pytest.mark.parametrize(
    "block",
    [
        header(150),
        section(text=text(3_000)),
        section(fields=[text(1_000)] * 10),
        section(fields=[text(2_000)]),
        context(10),
        {"type": "markdown", "text": "x" * 12_000},
        {"type": "divider", "block_id": "b" * 255},
        buttons(25),
        buttons(1, 75, value="v" * 2_000, style="danger"),
    ],
)
def test_what_just_fits_is_taken(block):
    assert blocks_error([block]) == ("", ())


@pytest.mark.parametrize(
    "block",
    [
        header(151),
        header(0),
        {"type": "header", "text": text(5)},
        {"type": "header"},
        section(),
        section(text="a mere string"),
        section(text=text(3_001)),
        section(text=text(0)),
        section(fields=[]),
        section(fields=[text(1)] * 11),
        section(fields=[text(2_001)]),
        section(text={**text(5), "emoji": True}),
        section(text={**text(5, "plain_text"), "verbatim": True}),
        context(0),
        context(11),
        {"type": "context", "elements": [text(0)]},
        buttons(26),
        buttons(1, 76),
        buttons(1, 0),
        buttons(1, value="v" * 2_001),
        buttons(1, style="green"),
        buttons(2, action_id="the same"),
        buttons(1, action_id="a" * 256),
        {"type": "actions", "elements": [{"type": "button"}]},
        {"type": "markdown", "text": "x" * 12_001},
        {"type": "divider", "block_id": "b" * 256},
        {"type": "nonsense"},
        {},
        "no object",
    ],
)
def test_one_beyond_a_limit_is_invalid_with_a_pointer(block):
    code, remarks = blocks_error([{"type": "divider"}, block])
    assert code == "invalid_blocks"
    assert "[json-pointer:/blocks/1]" in remarks[0]


def test_the_number_of_blocks_and_their_sum():
    assert blocks_error([{"type": "divider"}] * 50) == ("", ())
    assert blocks_error([{"type": "divider"}] * 51)[0] == "invalid_blocks"
    assert blocks_error([section(text=text(2_600))] * 5) == ("", ())
    assert blocks_error([section(text=text(2_601))] * 5)[0] == "msg_blocks_too_long"


def test_what_is_no_list_has_no_format():
    assert blocks_error({"type": "divider"})[0] == "invalid_blocks_format"


def test_the_screen_shows_fields_on_one_line_and_entities_as_characters():
    blocks = [section(text={"type": "mrkdwn", "text": "a &lt;b&gt; &amp; c"}, fields=[text(1), text(2)])]
    assert readable(screen_text(blocks)) == "a <b> & c\nx | xx"
