"""Label and field selectors, as list, watch and the controllers use them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from agent.simulators.kubernetes.errors import bad_request
from agent.simulators.kubernetes.objects import Object, labels_of

Requirement = Callable[[Mapping[str, str]], bool]

_IN = re.compile(r"^(?P<key>[\w./-]+)\s+(?P<how>in|notin)\s*\((?P<values>[^)]*)\)$")
_PAIR = re.compile(r"^(?P<key>[\w./-]+)\s*(?P<how>==|=|!=)\s*(?P<value>[\w.-]*)$")
_EXISTS = re.compile(r"^(?P<absent>!?)\s*(?P<key>[\w./-]+)$")
_COMMA = re.compile(r",(?![^(]*\))")


def label_selector(text: str) -> Callable[[Object], bool]:
    """`app=api,tier in (web,edge),!canary` as a question to an object."""
    requirements = [_requirement(part.strip()) for part in _COMMA.split(text) if part.strip()]
    return lambda document: all(each(labels_of(document)) for each in requirements)


def _requirement(text: str) -> Requirement:
    if found := _IN.match(text):
        values = {each.strip() for each in found["values"].split(",")}
        return _membership(found["key"], values, wanted=found["how"] == "in")
    if found := _PAIR.match(text):
        return _membership(found["key"], {found["value"]}, wanted=found["how"] != "!=")
    if found := _EXISTS.match(text):
        key, absent = found["key"], bool(found["absent"])
        return lambda labels: (key in labels) is not absent
    raise bad_request(f"unable to parse requirement: {text!r}")


def _membership(key: str, values: set[str], *, wanted: bool) -> Requirement:
    if wanted:
        return lambda labels: labels.get(key) in values
    return lambda labels: labels.get(key) not in values


def matches_selector(selector: Object | None, labels: Mapping[str, str]) -> bool:
    """A workload's `spec.selector` (matchLabels, matchExpressions); an absent one matches nothing."""
    if selector is None:
        return False
    pairs = selector.get("matchLabels") or {}
    rest = selector.get("matchExpressions") or []
    return all(labels.get(key) == value for key, value in pairs.items()) and all(
        _expression(each)(labels) for each in rest
    )


def _expression(each: Object) -> Requirement:
    key, values = each["key"], set(each.get("values") or [])
    match each["operator"]:
        case "In" | "NotIn" as operator:
            return _membership(key, values, wanted=operator == "In")
        case "Exists":
            return lambda labels: key in labels
        case "DoesNotExist":
            return lambda labels: key not in labels
    raise bad_request(f"{each['operator']!r} is not a valid label selector operator")


def field_selector(text: str) -> Callable[[Object], bool]:
    """`metadata.name=api,status.phase!=Failed` as a question to an object."""
    tests = [_field(part) for part in text.split(",") if part]
    return lambda document: all(each(document) for each in tests)


def _field(text: str) -> Callable[[Object], bool]:
    found = re.match(r"^([\w.]+)(==|=|!=)(.*)$", text)
    if not found:
        raise bad_request(f"invalid selector: {text!r}; can't understand {text!r}")
    path, how, value = found.groups()
    return lambda document: (_look_up(document, path) == value) is (how != "!=")


def _look_up(document: Object, path: str) -> str:
    here: object = document
    for part in path.split("."):
        here = here.get(part) if isinstance(here, dict) else None
    if isinstance(here, bool):
        return str(here).lower()
    return "" if here is None else str(here)


def name_in_field_selector(text: str) -> str:
    """The one name that `metadata.name=NAME` asks for: RBAC's resourceNames count for it."""
    found = re.search(r"(?:^|,)metadata\.name==?([^,]+)", text)
    return found[1] if found else ""
