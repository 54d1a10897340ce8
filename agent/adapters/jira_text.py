"""What a ticket says, in Jira's two written forms: documents (v3, Cloud) and wiki markup (v2, Data Center).

v3 answers 400 to a text where it wants a document; v2 shows a document as raw JSON (Jira Cloud platform REST
API v3, "Atlassian Document Format"). Values come from outside: in both forms they are text and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from agent.adapters.json_view import child, clean, items_at
from agent.domain.outbox import OpenTicket

#: Jira's own bound for a description or comment is 32,767 by default (`jira.text.field.character.limit`);
#: what is escaped may be twice as long, and beside the text there are a table and steps.
TEXT_MAX = 8_000
FACT_MAX = 500

#: Reference "Create issue": a summary is one line of at most 255 characters; a label and a short text too.
LINE_MAX = 255

STEPS_HEADING = "Investigation Steps"

#: What begins a macro, a link, an image, a cell of a table, or takes the meaning of the next character.
_MARKUP = re.compile(r"([\\{}\[\]|!])")

#: What would begin a heading, a list or a quote if it stood at the beginning of a line.
_LINE_MARKUP = re.compile(r"^(\s*)(h[1-6]\.|bq\.|[*#-]+\s)", re.MULTILINE)

Node = dict[str, Any]


def one_line(text: str, most: int = LINE_MAX) -> str:
    """Text without line breaks, cut to what Jira takes."""
    flat = " ".join(clean(text).split())
    return flat if len(flat) <= most else flat[: most - 1] + "…"


def label(text: str) -> str:
    """A label may hold no space (400); "" if nothing is left."""
    return "-".join(clean(text).split())[:LINE_MAX]


def labels(texts: Sequence[str]) -> list[str]:
    """Legal ones, each once."""
    return list(dict.fromkeys(filter(None, map(label, texts))))


def document(ticket: OpenTicket) -> Node:
    """The description as an Atlassian document."""
    content: list[Node] = []
    if ticket.heading:
        content.append(_heading(2, ticket.heading))
    if ticket.facts:
        content.append(_table(ticket.facts))
    content += _paragraphs(ticket.text)
    content += [_paragraph([_link(url, words)]) for url, words in ticket.links if _is_web(url)]
    if ticket.steps:
        items = [
            {"type": "listItem", "content": [_paragraph([_text(one_line(each, FACT_MAX))])]}
            for each in _said(ticket.steps)
        ]
        content += [_heading(3, STEPS_HEADING), {"type": "orderedList", "content": items}]
    return _document(content)


def wiki(ticket: OpenTicket) -> str:
    """The description as wiki markup."""
    parts: list[str] = []
    if ticket.heading:
        parts.append(f"h2. {_escaped(one_line(ticket.heading))}")
    if ticket.facts:
        rows = [f"|{_cell(name)}|{_cell(value)}|" for name, value in ticket.facts]
        parts.append("\n".join(["||Field||Value||", *rows]))
    if ticket.text.strip():
        parts.append(wiki_text(ticket.text))
    parts += [f"[{_escaped(one_line(words))}|{_address(url)}]" for url, words in ticket.links if _is_web(url)]
    if ticket.steps:
        steps = [f"# {_escaped(one_line(each, FACT_MAX))}" for each in _said(ticket.steps)]
        parts.append("\n".join([f"h3. {STEPS_HEADING}", *steps]))
    return "\n\n".join(parts)


def comment_document(text: str) -> Node:
    """A comment as an Atlassian document."""
    return _document(_paragraphs(text))


def wiki_text(text: str) -> str:
    """Lines of plain text as wiki markup."""
    escaped = _escaped(_bounded(text))
    return _LINE_MARKUP.sub(r"\1\\\2", escaped)


def plain(body: object) -> str:
    """What a document or wiki text says, to be compared: markup and spaces aside."""
    words = _words(body) if isinstance(body, Mapping) else str(body or "")
    return " ".join(words.replace("\\", "").split())


def _words(node: object) -> str:
    if child(node, "type") == "hardBreak":
        return "\n"
    text = child(node, "text")
    if isinstance(text, str):
        return text
    inner = "".join(_words(each) for each in items_at(node, "content"))
    return inner + ("\n" if child(node, "type") == "paragraph" else "")


def _document(content: list[Node]) -> Node:
    return {"type": "doc", "version": 1, "content": content or [_paragraph([_text("-")])]}


def _heading(level: int, text: str) -> Node:
    return {"type": "heading", "attrs": {"level": level}, "content": [_text(one_line(text))]}


def _paragraphs(text: str) -> list[Node]:
    lines = [line for line in _bounded(text).splitlines() if line.strip()]
    return [_paragraph([_text(line)]) for line in lines]


def _paragraph(content: list[Node]) -> Node:
    return {"type": "paragraph", "content": content}


def _text(text: str) -> Node:
    """A text node is never empty: Jira answers 400."""
    return {"type": "text", "text": _bounded(text).strip() or "-"}


def _link(url: str, words: str) -> Node:
    return {**_text(one_line(words or url)), "marks": [{"type": "link", "attrs": {"href": clean(url)}}]}


def _table(facts: Sequence[tuple[str, str]]) -> Node:
    head = _row("tableHeader", "Field", "Value")
    return {"type": "table", "content": [head, *(_row("tableCell", *each) for each in facts)]}


def _row(kind: str, *texts: str) -> Node:
    cells = [
        {"type": kind, "attrs": {}, "content": [_paragraph([_text(one_line(each, FACT_MAX))])]}
        for each in texts
    ]
    return {"type": "tableRow", "content": cells}


def _cell(text: str) -> str:
    return _escaped(one_line(text, FACT_MAX)) or " "


def _escaped(text: str) -> str:
    return _MARKUP.sub(r"\\\1", text)


def _address(url: str) -> str:
    """An address that ends where it ends: a bracket or bar in it is written as its number."""
    return re.sub(r"[\[\]|{}\s\\]", lambda found: f"%{ord(found[0]):02X}", clean(url))


def _is_web(url: str) -> bool:
    return url.startswith(("https://", "http://"))


def _said(texts: Sequence[str]) -> list[str]:
    return [each for each in texts if each.strip()]


def _bounded(text: str) -> str:
    plain_text = clean(text).replace("\r\n", "\n")
    return plain_text if len(plain_text) <= TEXT_MAX else plain_text[: TEXT_MAX - 1] + "…"
