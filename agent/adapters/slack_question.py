"""A question to a human as Slack shows it: Block Kit inside Slack's limits, from untrusted text.

A button carries what it answers in its `value`, and nothing else of it is believed when it comes back.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from agent.adapters.slack_text import Json, Message, clean, cut, escape, link, plain, width
from agent.domain.presses import Button, PressAction
from agent.ports import QuestionCard

#: Starts the action_id of every button of ours; a number makes each unique in its block (Block Kit).
ACTION_PREFIX = "oncall:"

# Block Kit reference: a section's text 3,000, a button's text 75 and value 2,000, 25 of them in a block;
# all blocks of a message together about 13,000 characters (msg_blocks_too_long).
_CODE_LIMIT, _CODE_BLOCKS = 2_800, 2
_FACT_LIMIT = 300
_MOST_FACTS = 10
_LABEL_LIMIT, _VALUE_LIMIT = 75, 2_000
_MOST_BUTTONS = 25
_TEXT_LIMIT = 700


@dataclass(frozen=True, slots=True)
class Pressed:
    """What a button of ours says it is the answer to."""

    action: PressAction
    incident_id: str
    answers: str


def question_message(card: QuestionCard) -> Message:
    """The question with its buttons, or with what became of it."""
    sign = "✋" if not card.outcome else "☑️"
    title = {"type": "plain_text", "text": f"{sign} {plain(card.title)[:140]}", "emoji": True}
    blocks: list[Json] = [{"type": "header", "text": title}, _section(_words(card.question, _TEXT_LIMIT))]
    if card.outcome:
        blocks.append(_section(f"*{cut(card.outcome, _TEXT_LIMIT)}*"))
    blocks += [_section(text) for text in _runs(card)]
    blocks += [_section(f"*{cut(name, 100)}*\n{cut(value, _FACT_LIMIT)}") for name, value in _facts(card)]
    if card.buttons:
        blocks.append(_actions(card))
    blocks.append({"type": "context", "elements": [_mrkdwn(" · ".join(_footer(card)))]})
    return Message(text=_plain_text(card, sign), blocks=tuple(blocks))


def pressed(action_id: str, value: str) -> Pressed | None:
    """What a press that came back means; None if it is no button of ours."""
    name = action_id.removeprefix(ACTION_PREFIX).partition(":")[0]
    if not action_id.startswith(ACTION_PREFIX) or name not in [each.value for each in PressAction]:
        return None
    try:
        given = json.loads(value)
    except (ValueError, RecursionError):
        return None
    if not isinstance(given, dict):
        return None
    incident, answers = given.get("i"), given.get("a", "")
    if not isinstance(incident, str) or not isinstance(answers, str):
        return None
    return Pressed(PressAction(name), incident, answers)


def _facts(card: QuestionCard) -> Sequence[tuple[str, str]]:
    return [(name, value) for name, value in card.facts if value.strip()][:_MOST_FACTS]


def _runs(card: QuestionCard) -> Iterator[str]:
    """The commands in code blocks that their content cannot close; what does not fit is counted."""
    lines = clean(card.runs).splitlines()
    for number in range(_CODE_BLOCKS):
        if not lines:
            return
        count = _as_many_as_fit(lines)
        lead = "*What a yes lets run, word by word*\n" if number == 0 else ""
        yield f"{lead}```\n{_words(chr(10).join(lines[:count]), _CODE_LIMIT)}\n```"
        lines = lines[count:]
    if lines:
        yield f"⚠️ *{len(lines)} more commands are not shown here: read the whole plan before a yes*"


def _as_many_as_fit(lines: Sequence[str]) -> int:
    size = 0
    for count, line in enumerate(lines):
        size += width(escape(line)) + 1
        if size > _CODE_LIMIT:
            return max(count, 1)
    return len(lines)


def _actions(card: QuestionCard) -> Json:
    buttons = card.buttons[:_MOST_BUTTONS]
    return {
        "type": "actions",
        "elements": [_button(each, card.incident_id, number) for number, each in enumerate(buttons)],
    }


def _button(button: Button, incident_id: str, number: int) -> Json:
    value = json.dumps({"i": incident_id, "a": button.answers}, separators=(",", ":"))
    label = plain(button.label)
    shown: Json = {
        "type": "button",
        "action_id": f"{ACTION_PREFIX}{button.action}:{number}",
        "text": {"type": "plain_text", "text": label[: _LABEL_LIMIT // 2] or "–", "emoji": True},
        "value": value[:_VALUE_LIMIT],
    }
    style = "primary" if button.is_first else "danger" if button.is_grave else ""
    return shown | ({"style": style} if style else {})


def _footer(card: QuestionCard) -> Iterator[str]:
    if card.expires_at is not None and not card.outcome:
        yield f"Expires {when(card.expires_at)}"
    if card.hint and not card.outcome:
        yield cut(card.hint, 300)
    yield link("Incident", card.url) if card.url else cut(card.incident_id, 100)


def when(moment: datetime) -> str:
    """A moment that Slack shows in each reader's own time (mrkdwn, "Date formatting")."""
    in_utc = f"{moment:%Y-%m-%d %H:%M:%S} UTC"
    return f"<!date^{int(moment.timestamp())}^{{date_short_pretty}} {{time_secs}}|{in_utc}>"


def _plain_text(card: QuestionCard, sign: str) -> str:
    what = f"{sign} {cut(card.title, 200)}: {cut(card.question, _TEXT_LIMIT)}"
    return f"{what}\n{cut(card.outcome or card.hint, _TEXT_LIMIT)}"


def _words(text: str, limit: int) -> str:
    """A section without a text is refused."""
    return cut(text, limit).strip() or "–"


def _section(text: str) -> Json:
    return {"type": "section", "text": _mrkdwn(text)}


def _mrkdwn(text: str) -> Json:
    # verbatim: names such as @here or #channel in plain text are not turned into live ones (text object)
    return {"type": "mrkdwn", "text": text, "verbatim": True}
