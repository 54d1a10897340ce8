"""The configuration of a gateway, read strictly: what is not understood is not applied.

Published is its form: `gateway`, and `policies` with a name and rules for input and output, each with a type
and an action. That is checked here, whole and before anything is sent; what else stands in it is left.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import yaml

from agent.domain.command import Refusal

#: Far above the published examples; beyond it nobody has read it either.
MOST_CHARS = 256 * 1024
#: What a rule may do, as published (`flag`: logged, not blocked).
ACTIONS = ("allow", "log", "flag", "redact", "escalate", "block")
#: What keeps a request from its answer. `redact` does not: it stays in force in a bypass too.
_HOLDS_UP = frozenset({"block", "escalate"})
_SIDES = ("input", "output")
#: What the library raises over a text, beside its own errors: `!!bool maybe`, `!!timestamp soon`, `!!int ''`.
_NOT_READ = (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, RecursionError)


class _StrictLoader(yaml.SafeLoader):
    """No key twice: the second one would count, and nobody would see it."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for written, _ in node.value:
            key = self.construct_object(written, deep=True)
            if key in seen:
                line = written.start_mark.line + 1
                raise yaml.YAMLError(f"the key {key} stands there twice, again in line {line}")
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def lint(content: str) -> tuple[str, ...]:
    """What is wrong with it, in words; empty if it may be applied."""
    found = _loaded(content)
    return (found.reason,) if isinstance(found, Refusal) else tuple(_problems(found))


def flagged(content: str, *, policy: str, until: datetime, why: str) -> str | Refusal:
    """The same configuration, but what blocks or escalates only flags; of one policy, or of all ("")."""
    problems = lint(content)
    if problems:
        return Refusal(
            f"what is in force now is not understood: {problems[0]}", "a human has to look at it first"
        )
    document: Any = _loaded(content)
    names = [each["name"] for each in document["policies"]]
    if policy and policy not in names:
        return Refusal(f"there is no policy {policy}", f"there are: {', '.join(names)}")
    changed = 0
    for each in document["policies"]:
        for rule in _rules(each):
            if each["name"] == (policy or each["name"]) and rule["action"] in _HOLDS_UP:
                rule["action"] = "flag"
                changed += 1
    if not changed:
        return Refusal(
            "nothing in it blocks or escalates: a bypass would change nothing",
            "look for another cause, such as the provider",
        )
    head = f"# EMERGENCY BYPASS until {until.isoformat()}, {why}; it is taken back by itself\n"
    return head + yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


def same(one: str, other: str) -> bool:
    """Whether two texts say the same; comments, order of keys and line ends do not count."""
    if one.strip() == other.strip():
        return True
    left, right = _loaded(one), _loaded(other)
    return not isinstance(left, Refusal) and not isinstance(right, Refusal) and bool(left == right)


def _loaded(content: str) -> object:
    """What the text says, or a Refusal."""
    if len(content) > MOST_CHARS:
        return Refusal(f"more than {MOST_CHARS} characters", "split it")
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(content, yaml.SafeLoader)):
            return Refusal("it uses aliases (*name)", "write them out")
        document: object = yaml.load(content, _StrictLoader)  # noqa: S506  (a SafeLoader, stricter still)
    except _NOT_READ as error:
        return Refusal(f"it is not valid YAML: {' '.join(str(error).split())}"[:400], "mend it first")
    return document


def _problems(document: object) -> Iterator[str]:
    if not isinstance(document, Mapping):
        yield "it is not a mapping with `gateway` and `policies`"
        return
    if not isinstance(document.get("gateway"), Mapping):
        yield "`gateway` is missing, or no mapping"
    policies = document.get("policies")
    if not isinstance(policies, list) or not policies:
        yield "`policies` is missing, or no list, or empty: nothing would be governed"
        return
    seen: set[str] = set()
    for at, policy in enumerate(policies, 1):
        yield from _policy_problems(at, policy, seen)


def _policy_problems(at: int, policy: object, seen: set[str]) -> Iterator[str]:
    name = policy.get("name") if isinstance(policy, Mapping) else None
    if not isinstance(policy, Mapping) or not isinstance(name, str) or not name:
        yield f"policy {at} has no name"
        return
    if name in seen:
        yield f"two policies are called {name}"
    seen.add(name)
    if not any(side in policy for side in _SIDES):
        yield f"policy {name} has neither input nor output rules"
    for side in _SIDES:
        rules = policy.get(side, [])
        if not isinstance(rules, list) or not all(isinstance(rule, Mapping) for rule in rules):
            yield f"policy {name}: `{side}` is not a list of rules"
            continue
        for number, rule in enumerate(rules, 1):
            if not isinstance(rule.get("type"), str):
                yield f"policy {name}: {side} rule {number} has no type"
            if rule.get("action") not in ACTIONS:
                known = ", ".join(ACTIONS)
                yield f"policy {name}: {side} rule {number} does {rule.get('action')!r}, not one of {known}"


def _rules(policy: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for side in _SIDES:
        yield from policy.get(side, [])
