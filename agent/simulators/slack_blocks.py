"""Slack's limits on a message's blocks, and how its texts read: used by the simulated Slack.

Numbers: Slack's Block Kit reference; the 13,000 for all blocks together is observed, not documented.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

Block = Mapping[str, object]

MAX_BLOCKS = 50
MAX_TOTAL_CHARS = 13_000
_HEADER, _SECTION, _FIELD, _FIELDS = 150, 3_000, 2_000, 10
_ELEMENTS = {"context": 10, "actions": 25, "context_actions": 5}
_MARKDOWN = 12_000
_BLOCK_ID = 255
_BUTTON, _VALUE = 75, 2_000
_TYPES = frozenset(
    {
        *("actions", "alert", "card", "carousel", "container", "context", "context_actions", "divider"),
        *("file", "header", "image", "input", "markdown", "plan", "rich_text", "section", "table"),
        *("task_card", "video"),
    }
)
_TEXT_KINDS = frozenset({"plain_text", "mrkdwn"})


def blocks_error(blocks: object) -> tuple[str, tuple[str, ...]]:
    """The error code that Slack refuses these blocks with and its remarks; ("", ()) when they are fine."""
    if not isinstance(blocks, list):
        return "invalid_blocks_format", ()
    remarks = tuple(_remarks(blocks))
    if remarks:
        return "invalid_blocks", remarks
    if sum(len(text) for text in texts_of(blocks)) > MAX_TOTAL_CHARS:
        return "msg_blocks_too_long", ()
    return "", ()


def texts_of(blocks: object) -> Iterator[str]:
    """Every text in the blocks, in reading order."""
    if isinstance(blocks, list):
        for each in blocks:
            yield from texts_of(each)
    elif isinstance(blocks, Mapping):
        text = blocks.get("text")
        if isinstance(text, str):
            yield text
        for key in ("text", "fields", "elements", "title"):
            yield from texts_of(blocks.get(key))


def screen_text(blocks: Sequence[Block]) -> str:
    """The blocks as lines of mrkdwn: a section's fields on one line, the rest as it stands."""
    lines: list[str] = []
    for block in blocks:
        fields = block.get("fields")
        lines += texts_of([{**block, "fields": None}])
        if fields:
            lines.append(" | ".join(text.replace("\n", " ", 1) for text in texts_of(fields)))
    return "\n".join(lines)


def readable(text: str) -> str:
    """mrkdwn as a person reads it: links as `label <url>`, entities as characters."""
    opened = text.replace("<", "").replace(">", "").replace("\u200b", "")
    return opened.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _remarks(blocks: list[object]) -> Iterator[str]:
    if len(blocks) > MAX_BLOCKS:
        yield f"no more than {MAX_BLOCKS} items allowed [json-pointer:/blocks]"
    for number, block in enumerate(blocks):
        for remark in _block_remarks(block):
            yield f"{remark} [json-pointer:/blocks/{number}]"


def _block_remarks(block: object) -> Iterator[str]:
    if not isinstance(block, Mapping):
        yield "must be an object"
        return
    kind = block.get("type")
    if kind not in _TYPES:
        yield f"unsupported type: {kind}"
        return
    if len(str(block.get("block_id", ""))) > _BLOCK_ID:
        yield "block_id is too long"
    if kind == "header":
        yield from _text_remarks(block.get("text"), _HEADER, kinds=frozenset({"plain_text"}))
    elif kind == "section":
        yield from _section_remarks(block)
    elif kind == "markdown":
        yield from _length_remarks(block.get("text"), _MARKDOWN)
    elif kind in _ELEMENTS:
        yield from _elements_remarks(block.get("elements"), _ELEMENTS[str(kind)])


def _section_remarks(block: Block) -> Iterator[str]:
    text, fields = block.get("text"), block.get("fields")
    if text is None and fields is None:
        yield "missing required field: text"
    if text is not None:
        yield from _text_remarks(text, _SECTION)
    if fields is None:
        return
    if not isinstance(fields, list) or not fields:
        yield "fields must be a list with at least one item"
        return
    if len(fields) > _FIELDS:
        yield f"no more than {_FIELDS} items allowed in fields"
    for each in fields:
        yield from _text_remarks(each, _FIELD)


def _elements_remarks(elements: object, limit: int) -> Iterator[str]:
    if not isinstance(elements, list) or not 1 <= len(elements) <= limit:
        yield f"elements must be a list of 1 to {limit} items"
        return
    for each in elements:
        if isinstance(each, Mapping) and each.get("type") in _TEXT_KINDS:
            yield from _text_remarks(each, _SECTION)
        if isinstance(each, Mapping) and each.get("type") == "button":
            yield from _button_remarks(each)
    names = [each.get("action_id") for each in elements if isinstance(each, Mapping) and "action_id" in each]
    if len(names) != len(set(names)):
        yield "action_id must be unique within a block"


def _button_remarks(button: Block) -> Iterator[str]:
    yield from _text_remarks(button.get("text"), _BUTTON, kinds=frozenset({"plain_text"}))
    if len(str(button.get("value", ""))) > _VALUE:
        yield f"value must be less than {_VALUE + 1} characters"
    if len(str(button.get("action_id", ""))) > _BLOCK_ID:
        yield "action_id is too long"
    if button.get("style", "primary") not in ("primary", "danger"):
        yield "style must be primary or danger"


def _text_remarks(value: object, limit: int, *, kinds: frozenset[str] = _TEXT_KINDS) -> Iterator[str]:
    if not isinstance(value, Mapping) or value.get("type") not in kinds:
        yield f"text must be an object of type {' or '.join(sorted(kinds))}"
        return
    wrong_flag = "verbatim" if value["type"] == "plain_text" else "emoji"
    if wrong_flag in value:
        yield f"additional property {wrong_flag} is not allowed with {value['type']}"
    yield from _length_remarks(value.get("text"), limit)


def _length_remarks(text: object, limit: int) -> Iterator[str]:
    if not isinstance(text, str) or not text:
        yield "must be more than 0 characters"
    elif len(text) > limit:
        yield f"must be less than {limit + 1} characters"
