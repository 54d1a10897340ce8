"""curl: a GET or HEAD of one http URL reads; any other request needs an entry under `urls.allowed`."""

from __future__ import annotations

from dataclasses import replace

import re2

from agent.domain.command import Refusal
from agent.domain.effects import Effect, EffectClass
from agent.safety import addresses
from agent.safety.addresses import Url
from agent.safety.analysis import Analysis
from agent.safety.grammar import Invocation
from agent.safety.kinds import Findings, reach_of
from agent.safety.pricing import Desk, analysis, count_of, target_of, within

_BODIES = ("--data", "--data-raw", "--json")
_BEFORE_PATH = re2.compile(r"(?:[A-Za-z]+://)?[^/?]*")
_HOST_PART = re2.compile(r"[A-Za-z0-9.-]+")
_READING = frozenset({"GET", "HEAD"})


def curl(invocation: Invocation, found: Findings, desk: Desk) -> Analysis | Refusal:
    """One request to one host."""
    if refusal := _parameter_beyond_the_host(invocation):
        return within(invocation, refusal)
    url = addresses.url(invocation.arguments[0])
    if isinstance(url, Refusal):
        return within(invocation, url)
    effect = _effect(invocation, url, desk)
    if isinstance(effect, Refusal):
        return effect
    reach = found + reach_of(replace(url.address, port=url.port))
    if any(re2.compile(pattern).search(url.path) for pattern in desk.tables.secret_paths):
        reach += Findings(secrets=(str(url),))
    return analysis(invocation, (effect,), reach)


def _parameter_beyond_the_host(invocation: Invocation) -> Refusal | None:
    """A parameter that begins in front of the path is part of a host's name or a port, and nothing more."""
    word = invocation.arguments[0]
    skeleton = word
    for each in invocation.filled_in(0):
        skeleton = skeleton[: each.start] + "x" * (each.end - each.start) + skeleton[each.end :]
    found = _BEFORE_PATH.match(skeleton)
    path_at = found.end() if found else len(skeleton)
    scheme_at = skeleton.find("://")
    for each in invocation.filled_in(0):
        value = word[each.start : each.end]
        if each.start < scheme_at:
            return Refusal("a parameter cannot choose the protocol", "begin with http:// or https://")
        if each.start < path_at and not _HOST_PART.fullmatch(value):
            hint = "restrict it with a pattern of letters, digits, - and ."
            return Refusal(f"the parameter's value {value!r} is not a part of a host's name", hint)
    return None


def _method(invocation: Invocation) -> str:
    """What curl sends: -X as written, else HEAD for -I, POST with a body, GET without."""
    if invocation.has("-X"):
        return invocation.value("-X")
    if invocation.has("-I"):
        return "HEAD"
    return "POST" if any(invocation.has(name) for name in _BODIES) else "GET"


def _effect(invocation: Invocation, url: Url, desk: Desk) -> Effect | Refusal:
    method = _method(invocation)
    if method in _READING and not any(invocation.has(name) for name in _BODIES):
        return Effect(EffectClass.READ, str(url.address))
    if invocation.has("--retry"):
        return Refusal(f"{invocation.name}: --retry would repeat a {method}", "leave --retry out")
    for rule in desk.tables.urls:
        if rule.method == method and re2.compile(rule.url).fullmatch(str(url)):
            count = count_of(rule.effect, invocation)
            target = target_of(rule.effect, invocation) if rule.effect.target else f"{method} {url}"
            return count if isinstance(count, Refusal) else Effect(rule.effect.effect_class, target, count)
    return Effect(EffectClass.OPAQUE, f"{method} {url}")
