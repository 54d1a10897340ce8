"""The clauses of a `## Watch` item: how often, what is too much, for how long, and when it is over."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from agent.domain.alert import Severity
from agent.domain.probing import Bound, Probe, ProbeKind, Sign, Threshold, span
from agent.domain.trends import LEAST_READINGS
from agent.library import json_paths
from agent.library.problems import NotUnderstoodError
from agent.library.values import duration_s, shown, word_or_quoted

LEAST_EVERY_S, MOST_EVERY_S = 10.0, 86_400.0
MOST_TIMEOUT_S = 30.0
MOST_LOOKS = 10
#: So far ahead, 30 days, a straight line may be drawn at all.
MOST_WITHIN_S = 2_592_000.0
#: So many values are remembered of one probe at most.
MOST_READINGS = 720

_SEVERITIES = tuple(severity.value for severity in Severity)
_THRESHOLD = re.compile(
    rf"({'|'.join(_SEVERITIES)})(?: +when)?(?: +|(?=[<>]))([<>]=?|==?|!=) *([^ ]+)(?: +within +(.+))?",
    re.IGNORECASE,
)
_BOUND = re.compile(r"([<>]=?|==?|!=) *([^ ]+)")
_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(?:\.[0-9]{1,15})?(?:e[+-]?[0-9]{1,2})?", re.IGNORECASE)
_LOOKS = re.compile(r"([0-9]{1,3}) +looks?", re.IGNORECASE)
_CLAUSE = re.compile(r"([a-z]+)(?: +(.*))?", re.IGNORECASE | re.DOTALL)


def read(probe: Probe, clauses: Sequence[str]) -> Probe:
    """The probe with all that its clauses say, held to what they must say together."""
    seen: set[str] = set()
    for clause in (each for each in clauses if each):
        threshold = _THRESHOLD.fullmatch(clause)
        if threshold is not None:
            probe = _with_threshold(probe, threshold)
            continue
        word, rest = _split(clause)
        if word in seen:
            raise NotUnderstoodError(f"a second {word} clause: {shown(clause)}", "keep one of them")
        seen.add(word)
        probe = _CLAUSES[word](probe, rest)
    _check_whole(probe)
    return replace(probe, thresholds=_worst_first(probe.thresholds))


def _split(clause: str) -> tuple[str, str]:
    found = _CLAUSE.fullmatch(clause)
    word = found[1].lower() if found is not None else ""
    if word in _SEVERITIES:
        raise NotUnderstoodError(
            f"{shown(clause)} is not a threshold",
            f"write `{word} > 20`, or for where it is going `{word} when < 0 within 4h`",
        )
    if word not in _CLAUSES:
        raise NotUnderstoodError(
            f"{shown(clause)} is not a clause",
            f"use {', '.join(_CLAUSES)}, or a threshold ({', '.join(_SEVERITIES)}), with ; between",
        )
    rest = (found[2] or "").strip() if found is not None else ""
    if not rest:
        raise NotUnderstoodError(f"{word} has no value", f"write {word} and its value")
    return word, rest


def _with_threshold(probe: Probe, found: re.Match[str]) -> Probe:
    within_s = None if found[4] is None else _bounded(found[4].strip(), "within", 1.0, MOST_WITHIN_S)
    threshold = Threshold(Severity(found[1].lower()), _bound(found[2], found[3]), within_s)
    for each in probe.thresholds:
        if each.severity is threshold.severity and (each.within_s is None) == (within_s is None):
            raise NotUnderstoodError(f"a second threshold {threshold}, beside {each}", "keep one of them")
    return replace(probe, thresholds=(*probe.thresholds, threshold))


def _bound(sign: str, limit: str) -> Bound:
    if sign not in set(Sign):
        raise NotUnderstoodError(f"{sign} says not which way is worse", "use >, >=, < or <=")
    return Bound(Sign(sign), _number(limit))


def _number(text: str) -> float:
    """`20`, `0.3`, `80%`: a per cent sign is for the reader."""
    plain = text.removesuffix("%")
    if _NUMBER.fullmatch(plain) is None:
        raise NotUnderstoodError(f"{shown(text)} is not a number", "write digits, such as 20, 0.3 or -5")
    return float(plain)


def _bounded(text: str, what: str, least_s: float, most_s: float) -> float:
    seconds = duration_s(text)
    if not least_s <= seconds <= most_s:
        raise NotUnderstoodError(
            f"{what} {text} is out of range", f"stay between {span(least_s)} and {span(most_s)}"
        )
    return seconds


def _every(probe: Probe, rest: str) -> Probe:
    return replace(probe, every_s=_bounded(rest, "every", LEAST_EVERY_S, MOST_EVERY_S))


def _clears(probe: Probe, rest: str) -> Probe:
    found = _BOUND.fullmatch(rest)
    if found is None:
        raise NotUnderstoodError(f"clears {shown(rest)} is not understood", "write `clears < 15`")
    return replace(probe, clears=_bound(found[1], found[2]))


def _for(probe: Probe, rest: str) -> Probe:
    found = _LOOKS.fullmatch(rest)
    if found is None:
        raise NotUnderstoodError(f"for {shown(rest)} is not understood", "write `for 2 looks`")
    if not 1 <= int(found[1]) <= MOST_LOOKS:
        raise NotUnderstoodError(f"for {found[1]} looks is out of range", f"stay between 1 and {MOST_LOOKS}")
    return replace(probe, looks=int(found[1]))


def _trend(probe: Probe, rest: str) -> Probe:
    return replace(probe, trend_s=_bounded(rest, "trend", 1.0, MOST_WITHIN_S))


def _json(probe: Probe, rest: str) -> Probe:
    if probe.kind is not ProbeKind.COMMAND:
        raise NotUnderstoodError("json is for a command's output", "remove it")
    return replace(probe, path=json_paths.whole(rest))


def _timeout(probe: Probe, rest: str) -> Probe:
    return replace(probe, timeout_s=_bounded(rest, "timeout", 1.0, MOST_TIMEOUT_S))


def _service(probe: Probe, rest: str) -> Probe:
    return replace(probe, service=word_or_quoted(rest))


_CLAUSES: Mapping[str, Callable[[Probe, str], Probe]] = {
    "every": _every,
    "for": _for,
    "clears": _clears,
    "trend": _trend,
    "json": _json,
    "timeout": _timeout,
    "service": _service,
}


def _worst_first(thresholds: Sequence[Threshold]) -> tuple[Threshold, ...]:
    """Of one severity, what is so already stands before what will be."""
    order = list(Severity)
    return tuple(sorted(thresholds, key=lambda each: (order.index(each.severity), each.within_s is not None)))


def _check_whole(probe: Probe) -> None:
    if not probe.every_s:
        raise NotUnderstoodError("it does not say how often to look", "add `every 60s`")
    if not probe.thresholds:
        raise NotUnderstoodError("it has no threshold", "add `warning > 20` or `critical when < 0 within 4h`")
    if len({each.bound.sign.is_up for each in probe.thresholds}) > 1:
        raise NotUnderstoodError("one threshold is for more and one for less", "make it two items")
    for predicted in (False, True):
        _check_order([each for each in probe.thresholds if (each.within_s is not None) is predicted])
    _check_clears(probe)
    _check_trend(probe)


def _check_order(thresholds: Sequence[Threshold]) -> None:
    """What is worse must come later: else the milder one would never be seen."""
    for worse, milder in pairwise(_worst_first(thresholds)):
        is_up = worse.bound.sign.is_up
        further = worse.bound.limit - milder.bound.limit
        if further < 0 if is_up else further > 0:
            raise NotUnderstoodError(
                f"{milder} would never be seen: {worse} is reached before it", "exchange the two limits"
            )


def _check_clears(probe: Probe) -> None:
    clears = probe.clears
    if clears is None:
        return
    is_up = probe.thresholds[0].bound.sign.is_up
    if clears.sign.is_up is is_up:
        other = "<" if is_up else ">"
        raise NotUnderstoodError(
            f"clears {clears} is the same way as the thresholds", f"write `clears {other} …`"
        )
    for each in probe.thresholds:
        if each.bound.limit < clears.limit if is_up else each.bound.limit > clears.limit:
            raise NotUnderstoodError(
                f"clears {clears} holds while {each} still does",
                "clear at the limit or on the good side of it",
            )


def _check_trend(probe: Probe) -> None:
    predicted = next((each for each in probe.thresholds if each.within_s is not None), None)
    if predicted is None and probe.trend_s is not None:
        raise NotUnderstoodError(
            f"no threshold uses trend {span(probe.trend_s)}",
            "add `critical when < 0 within 4h`, or remove it",
        )
    if predicted is None:
        return
    if probe.trend_s is None:
        raise NotUnderstoodError(
            f"{predicted} does not say from what the line is drawn", "add the window, such as `trend 1h`"
        )
    looks = probe.trend_s / probe.every_s
    if looks < LEAST_READINGS:
        raise NotUnderstoodError(
            f"trend {span(probe.trend_s)} holds fewer than {LEAST_READINGS} looks",
            "look more often, or longer",
        )
    if looks > MOST_READINGS:
        raise NotUnderstoodError(
            f"trend {span(probe.trend_s)} holds more than {MOST_READINGS} looks",
            "look less often, or shorter",
        )
