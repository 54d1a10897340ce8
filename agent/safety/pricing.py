"""Prices one command that has been read: checks every word by its kind, then tells the effects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import re2

from agent.domain.command import Filled, Refusal
from agent.domain.effects import Effect, EffectClass
from agent.ports import Counter
from agent.safety.analysis import Analysis
from agent.safety.grammar import Argument, EffectRule, Invocation
from agent.safety.kinds import Findings, Kind
from agent.safety.reach import access_of, hosts_of
from agent.safety.tables import Tables

_PLACE = re2.compile(r"\{([^{}|]+)(\|([^{}]*))?\}")


@dataclass(frozen=True, slots=True)
class Cloud:
    """Where AWS is: the region of commands that name none, and the host:port in place of its own, if any."""

    region: str = ""
    endpoint: str = ""


AWS_ITSELF = Cloud()


class World:
    """What an analysis may ask beside the tables; where it was asked, the answer may be another next time."""

    def __init__(self, counter: Counter | None, read_script: Callable[[str], bytes]) -> None:
        self._counter = counter
        self._read_script = read_script
        self.was_asked = False

    @property
    def counter(self) -> Counter | None:
        """Whoever counts what is there now; that nobody does is an answer too."""
        self.was_asked = True
        return self._counter

    def read_script(self, name: str) -> bytes:
        """A declared script as it is now."""
        self.was_asked = True
        return self._read_script(name)


@dataclass(frozen=True, slots=True)
class Desk:
    """What a rule may ask: the tables, the live world, and the price of another command.

    `analyse_inside`: one that runs inside a pod. `analyse_instead`: one that this one becomes. `inside`:
    this one runs inside a pod itself.
    """

    tables: Tables
    world: World
    analyse_inside: Callable[[Sequence[str], Sequence[Filled]], Analysis | Refusal]
    analyse_instead: Callable[[Sequence[str], Sequence[Filled]], Analysis | Refusal]
    inside: bool = False
    cloud: Cloud = AWS_ITSELF

    @property
    def counter(self) -> Counter | None:
        """Counts what is there now."""
        return self.world.counter


Rule = Callable[[Invocation, Findings, Desk], Analysis | Refusal]


def within(invocation: Invocation, refusal: Refusal) -> Refusal:
    """A refusal that names the command it is about."""
    return Refusal(f"{invocation.name}: {refusal.reason}", refusal.hint)


def findings(invocation: Invocation) -> Findings | Refusal:
    """Check every option's value and every argument by its kind; what they reach together."""
    for name in invocation.command.requires:
        if not invocation.has(name):
            return Refusal(f"{invocation.name} without {name}", f"add {name}")
    pairs = _assigned(invocation)
    if isinstance(pairs, Refusal):
        return within(invocation, pairs)
    for use in invocation.options:
        kinds = use.option.values * len(use.values) if use.option.many else use.option.values
        pairs.extend(zip(kinds, use.values, strict=False))
    total = Findings()
    for kind, word in pairs:
        found = kind.check(word)
        if isinstance(found, Refusal):
            return within(invocation, found)
        total += found
    return total


def _assigned(invocation: Invocation) -> list[tuple[Kind, str]] | Refusal:
    places = list(invocation.command.arguments)
    if places and any(use.option.fills_argument for use in invocation.options):
        places = places[1:]
    words = invocation.arguments
    if len(words) < sum(place.least for place in places):
        return Refusal("an argument is missing", f"it takes: {_in_words(places)}")
    if len(words) > sum(place.most for place in places):
        return Refusal(f"{words[-1]!r} is one argument too many", f"it takes: {_in_words(places)}")
    pairs: list[tuple[Kind, str]] = []
    for at, place in enumerate(places):
        later = sum(each.least for each in places[at + 1 :])
        count = min(place.most, len(words) - later)
        pairs.extend((place.kind, word) for word in words[:count])
        words = words[count:]
    return pairs


def _in_words(places: Sequence[Argument]) -> str:
    return ", ".join(place.kind.says for place in places) or "no arguments"


def by_table(invocation: Invocation, found: Findings) -> Analysis | Refusal:
    """The effects that the table states for this command."""
    times = _number(invocation.value(invocation.tool.repeat_option, "1"))
    if times is None:
        return Refusal(f"{invocation.name}: cannot count how often it runs", "write a number")
    effects: list[Effect] = []
    for rule in _rules_of(invocation):
        count = count_of(rule, invocation)
        if isinstance(count, Refusal):
            return count
        effects.append(Effect(rule.effect_class, target_of(rule, invocation), count * times))
    return analysis(invocation, tuple(effects), found)


def _rules_of(invocation: Invocation) -> tuple[EffectRule, ...]:
    """An option that changes what a command does replaces what it does without it."""
    changed = tuple(
        EffectRule(use.option.effect) for use in invocation.options if use.option.effect is not None
    )
    return changed or invocation.command.effects


def count_of(rule: EffectRule, invocation: Invocation) -> int | Refusal:
    """How many effects the rule makes of this command."""
    if isinstance(rule.count, int):
        return rule.count
    if rule.count == "arguments":
        return len(invocation.arguments)
    if len(values := invocation.values(rule.count)) > 1 or _takes_many(rule.count, invocation):
        return len(values)
    count = _number(invocation.value(rule.count))
    if not count:
        return Refusal(f"{invocation.name}: cannot count what it does", f"add {rule.count} N, N from 1")
    return count


def _takes_many(name: str, invocation: Invocation) -> bool:
    option = invocation.command.options.get(name)
    return option is not None and option.many


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def target_of(rule: EffectRule, invocation: Invocation) -> str:
    """The rule's target with `{arguments}`, `{1}` and `{--option|default}` filled in."""
    if not rule.target:
        return invocation.name
    return "".join(
        piece if isinstance(piece, str) else _fill(*piece, invocation) for piece in _pieces_of(rule.target)
    )


@lru_cache(maxsize=1024)
def _pieces_of(target: str) -> tuple[str | tuple[str, str], ...]:
    """A target of a table as it stands, with each place and its default in between."""
    pieces: list[str | tuple[str, str]] = []
    end = 0
    for place in _PLACE.finditer(target):
        pieces += [target[end : place.start()], (place.group(1), place.group(3) or "")]
        end = place.end()
    return (*pieces, target[end:])


def _fill(place: str, default: str, invocation: Invocation) -> str:
    if place == "arguments":
        return ",".join(invocation.arguments) or default
    if place.isdigit():
        return invocation.arguments[int(place) - 1] if int(place) <= len(invocation.arguments) else default
    return ",".join(invocation.values(place)) or default


def analysis(invocation: Invocation, effects: tuple[Effect, ...], found: Findings) -> Analysis:
    """Effects with what the words reach; a secret that would be shown is an effect of its own."""
    secrets = tuple(Effect(EffectClass.SECRET_READ, secret) for secret in dict.fromkeys(found.secrets))
    access = access_of(invocation, found)
    return Analysis(
        effects=(*effects, *secrets),
        hosts=access.hosts or hosts_of(invocation, found),
        namespaces=namespaces_of(invocation, found),
        piped_input=invocation.command.piped_input,
        access=access,
    )


def namespaces_of(invocation: Invocation, found: Findings) -> tuple[str, ...]:
    """The namespaces named; "*" for all of them, "" for the one that the context happens to have."""
    if any(use.option.all_namespaces for use in invocation.options):
        return ("*",)
    return found.namespaces or (("",) if invocation.tool.namespaced else ())
