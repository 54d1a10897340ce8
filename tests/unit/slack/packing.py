"""Lines as all the messages that they become."""

from __future__ import annotations

from collections.abc import Sequence

from agent.adapters.slack_text import MESSAGE_LIMIT, first_message


def packed(lines: Sequence[str], limit: int = MESSAGE_LIMIT) -> list[str]:
    texts = []
    while lines:
        text, count = first_message(lines, limit)
        assert count > 0
        texts.append(text)
        lines = lines[count:]
    return [each for each in texts if each.strip()]
