"""`## Blast Radius` → limits; what is not understood would be a limit that nobody holds."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from agent.domain.approvals import Demand
from agent.domain.effects import BlastRadius, EffectClass
from agent.library.keys import Entry, entries_of
from agent.library.outline import Name, Section
from agent.library.problems import NotUnderstoodError, Problems
from agent.library.radius_keys import CLASSES
from agent.library.values import duration_s, listed, shown, whole_number, yes_or_no

MAX_LIMIT = 100_000
MAX_APPROVALS = 10
MAX_DURATION_S = 86_400.0
_NAMESPACE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_ALLOWANCE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,62}[A-Za-z0-9])?")
_APPROVER = re.compile(r"(?:team:)?[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?(?::[0-9]{1,5})?")


def parse_section(section: Section, problems: Problems) -> BlastRadius:
    """The limits of one incident."""
    radius = BlastRadius()
    seen: dict[str, int] = {}
    for entry in entries_of(section.blocks, problems, section=Name.BLAST_RADIUS):
        key = entry.key.lower().replace(" ", "_").replace("-", "_")
        if key in seen:
            problems.add(
                entry.line, f"{key} is written twice (first in line {seen[key]})", fix="keep one of them"
            )
            continue
        seen[key] = entry.line
        try:
            radius = _with_entry(radius, key, entry)
        except NotUnderstoodError as error:
            problems.add(entry.line, f"{key}: {error.message}", fix=error.fix)
    if radius.demand is not None and radius.requires_human_approval is False:
        problems.add(
            seen["requires_human_approval"],
            "requires_human_approval: false, but another line says whose yes it takes",
            fix="remove one of the two",
        )
    return radius


def _with_entry(radius: BlastRadius, key: str, entry: Entry) -> BlastRadius:
    if key in CLASSES:
        number = whole_number(entry.value)
        if number > MAX_LIMIT:
            raise NotUnderstoodError(f"{number} is no limit", f"write at most {MAX_LIMIT}")
        return replace(radius, limits={**radius.limits, CLASSES[key]: number})
    if key not in _READERS:
        raise NotUnderstoodError("is not known in Blast Radius", _suggestion(key))
    return _READERS[key](radius, entry.value)


def _suggestion(key: str) -> str:
    if key == EffectClass.READ.limit_key:
        return "remove it: reads are free"
    known: Sequence[str] = [*CLASSES, *_READERS]
    near = difflib.get_close_matches(key[:60], known, n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else f"use one of {', '.join(known)}"


def _approval(radius: BlastRadius, value: str) -> BlastRadius:
    return replace(radius, requires_human_approval=yes_or_no(value))


def _approvals(radius: BlastRadius, value: str) -> BlastRadius:
    number = whole_number(value)
    if not 1 <= number <= MAX_APPROVALS:
        raise NotUnderstoodError(f"{number} people cannot be asked", f"write 1 to {MAX_APPROVALS}")
    return replace(radius, demand=replace(radius.demand or Demand(), approvals=number))


def _approvers(radius: BlastRadius, value: str) -> BlastRadius:
    names = tuple(listed(value))
    wrong = next((name for name in names if _APPROVER.fullmatch(name) is None), None)
    if wrong is not None:
        fix = "write names of `people` or team:NAME, with commas between"
        raise NotUnderstoodError(f"{shown(wrong)} is neither a person nor a team", fix)
    return replace(radius, demand=replace(radius.demand or Demand(), approvers=names))


def _four_eyes(radius: BlastRadius, value: str) -> BlastRadius:
    if not yes_or_no(value):
        return radius
    return replace(radius, demand=replace(radius.demand or Demand(), four_eyes=True))


def _max_duration(radius: BlastRadius, value: str) -> BlastRadius:
    seconds = duration_s(value)
    if not 0 < seconds <= MAX_DURATION_S:
        raise NotUnderstoodError(f"{shown(value)} is out of range", "write more than 0s and at most 24h")
    return replace(radius, max_duration_s=seconds)


def _max_commands(radius: BlastRadius, value: str) -> BlastRadius:
    number = whole_number(value)
    if number > MAX_LIMIT:
        raise NotUnderstoodError(f"{number} is no limit", f"write at most {MAX_LIMIT}")
    return replace(radius, max_commands=number)


def _allowance(radius: BlastRadius, value: str) -> BlastRadius:
    if _ALLOWANCE.fullmatch(value) is None:
        fix = "write a name below `execution.allowances` in the configuration"
        raise NotUnderstoodError(f"{shown(value)} is not the name of an allowance", fix)
    return replace(radius, allowance=value)


def _namespaces(radius: BlastRadius, value: str) -> BlastRadius:
    return replace(radius, namespaces=_names(value, _NAMESPACE, "the name of a namespace"))


def _hosts(radius: BlastRadius, value: str) -> BlastRadius:
    return replace(radius, hosts=_names(value, _HOST, "the name of a host"))


def _names(value: str, form: re.Pattern[str], what: str) -> tuple[str, ...]:
    names = tuple(listed(value))
    wrong = next((name for name in names if form.fullmatch(name) is None), None)
    if wrong is not None:
        raise NotUnderstoodError(
            f"{shown(wrong)} is not {what}", "write full names with commas between; no globs"
        )
    return names


_READERS: Mapping[str, Callable[[BlastRadius, str], BlastRadius]] = {
    "requires_human_approval": _approval,
    "approvals": _approvals,
    "approvers": _approvers,
    "four_eyes": _four_eyes,
    "max_duration": _max_duration,
    "max_commands": _max_commands,
    "allowance": _allowance,
    "namespaces": _namespaces,
    "hosts": _hosts,
}
