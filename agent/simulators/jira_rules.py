"""What Jira answers 400 to, and in which words: the rules that a request is held to."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from agent.simulators.jira_state import FIELDS, ISSUE_TYPES, PRIORITIES, JiraState

#: Nodes of a document and what may stand in them, as far as anybody sends them here.
_INSIDE: Mapping[str, frozenset[str]] = {
    "doc": frozenset({"heading", "paragraph", "table", "orderedList", "bulletList"}),
    "heading": frozenset({"text", "hardBreak"}),
    "paragraph": frozenset({"text", "hardBreak"}),
    "table": frozenset({"tableRow"}),
    "tableRow": frozenset({"tableHeader", "tableCell"}),
    "tableHeader": frozenset({"paragraph"}),
    "tableCell": frozenset({"paragraph"}),
    "orderedList": frozenset({"listItem"}),
    "bulletList": frozenset({"listItem"}),
    "listItem": frozenset({"paragraph"}),
}

_MUST_HOLD_SOMETHING = frozenset({"table", "tableRow", "tableHeader", "tableCell", "orderedList", "listItem"})
_DOCUMENT_WANTED = "Operation value must be an Atlassian Document (see the Atlassian Document Format)"
_TEXT_WANTED = "Operation value must be a string"
_TEXT_MAX = 32_767
_LINE_MAX = 255


def refused(state: JiraState, fields: Mapping[str, Any], *, is_cloud: bool) -> dict[str, str]:
    """What is wrong with an issue, by field; empty if it may be created."""
    checks: Mapping[str, Callable[[Any], str]] = {
        "project": lambda it: "" if _named(it, "key") in state.projects else "valid project is required",
        "summary": _summary,
        "issuetype": lambda it: "" if _named(it, "name") in ISSUE_TYPES else "Specify a valid issue type",
        "priority": lambda it: (
            "" if _named(it, "name") in PRIORITIES else "The priority selected is invalid."
        ),
        "labels": _labels,
        "description": lambda it: text_problem(it, is_cloud=is_cloud),
    }
    problems = {name: "is required." for name in ("project", "summary", "issuetype") if name not in fields}
    for name, value in fields.items():
        if name in checks:
            words = checks[name](value)
        elif name in FIELDS:
            words = _custom(name, value)
        else:
            words = f"Field '{name}' cannot be set. It is not on the appropriate screen, or unknown."
        if words:
            problems[name] = words
    return problems


def text_problem(value: object, *, is_cloud: bool) -> str:
    """What is wrong with a description or a comment: v3 wants a document, v2 a text."""
    if not is_cloud:
        return "" if isinstance(value, str) and len(value) <= _TEXT_MAX else _TEXT_WANTED
    if not isinstance(value, dict) or value.get("type") != "doc" or value.get("version") != 1:
        return _DOCUMENT_WANTED
    return "" if _node_holds(value) else _DOCUMENT_WANTED


def _node_holds(node: Mapping[str, Any]) -> bool:
    kind = str(node.get("type"))
    if kind == "text":
        return isinstance(node.get("text"), str) and bool(node["text"]) and _marks_hold(node)
    if kind == "hardBreak":
        return True
    if kind not in _INSIDE:
        return False
    if kind == "heading" and node.get("attrs", {}).get("level") not in range(1, 7):
        return False
    content = node.get("content", [])
    if not isinstance(content, list) or (kind in _MUST_HOLD_SOMETHING and not content):
        return False
    return all(
        isinstance(each, dict) and each.get("type") in _INSIDE[kind] and _node_holds(each) for each in content
    )


def _marks_hold(node: Mapping[str, Any]) -> bool:
    return all(
        mark.get("type") == "link" and str(mark.get("attrs", {}).get("href", "")).startswith("http")
        for mark in node.get("marks", ())
    )


def _summary(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        return "You must specify a summary of the issue."
    if re.search(r"[\r\n]", value):
        return "The summary is invalid because it contains newline characters."
    return "" if len(value) <= _LINE_MAX else "Summary must be less than 255 characters."


def _labels(value: object) -> str:
    if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
        return "data was not an array of strings"
    spaced = next((each for each in value if re.search(r"\s", each)), None)
    return f"The label '{spaced}' contains spaces which is invalid." if spaced is not None else ""


def _custom(name: str, value: object) -> str:
    if not isinstance(value, str):
        return _TEXT_WANTED
    if FIELDS[name][1] == "url" and not re.match(r"https?://\S+$", value):
        return "The URL is not valid."
    return "" if len(value) <= _LINE_MAX else "The entered text is too long. It exceeds 255 characters."


def _named(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None
