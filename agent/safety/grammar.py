"""What the tables say about an executable: its options, arguments and subcommands, and what they do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from agent.domain.access import Capability, Network
from agent.domain.command import Filled, Refusal
from agent.domain.effects import EffectClass
from agent.safety.kinds import Kind


class PipedInput(StrEnum):
    """What a program may be fed through a pipe: data, nothing but an empty line, or not at all."""

    DATA = "data"
    BLANK = "blank"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class CloudRule:
    """A right in AWS to be: `{--option}` in `resource` stands for each of its values."""

    action: str
    resource: str = "*"


@dataclass(frozen=True, slots=True)
class Needs:
    """What a command needs of the world beside its own words; None: what the tool says."""

    network: Network | None = None
    hosts: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    local_sockets: bool = False
    datagrams: bool = False
    keeps_user: bool = False
    capabilities: tuple[Capability, ...] = ()
    alone: bool = False
    cloud: tuple[CloudRule, ...] = ()

    def __add__(self, own: Needs) -> Needs:
        return Needs(
            own.network or self.network,
            self.hosts + own.hosts,
            self.reads + own.reads,
            self.writes + own.writes,
            self.environment + own.environment,
            self.local_sockets or own.local_sockets,
            self.datagrams or own.datagrams,
            self.keeps_user or own.keeps_user,
            self.capabilities + own.capabilities,
            self.alone or own.alone,
            self.cloud + own.cloud,
        )


NO_NEEDS = Needs()


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its spellings, the kinds of its values, and what using it means.

    `optional`: a value only as `--name=value`. `fills_argument`: it stands for the first argument.
    `many`: it takes every following word up to the next option.
    """

    names: tuple[str, ...]
    values: tuple[Kind, ...] = ()
    optional: bool = False
    repeat: bool = False
    many: bool = False
    fills_argument: bool = False
    all_namespaces: bool = False
    effect: EffectClass | None = None
    needs: Needs = NO_NEEDS
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class Argument:
    """A place for arguments of one kind."""

    kind: Kind
    least: int = 1
    most: int = 1


@dataclass(frozen=True, slots=True)
class EffectRule:
    """An effect to be: `count` is a number, `arguments`, or the name of the option that has it."""

    effect_class: EffectClass
    target: str = ""
    count: int | str = 1


@dataclass(frozen=True, slots=True)
class Command:
    """An executable or one of its subcommands; `rule` names the code that prices what a table cannot."""

    name: str
    options: Mapping[str, Option] = field(default_factory=dict)
    arguments: tuple[Argument, ...] = ()
    commands: Mapping[str, Command] = field(default_factory=dict)
    effects: tuple[EffectRule, ...] = ()
    rule: str = ""
    requires: tuple[str, ...] = ()
    passes_on: bool = False
    piped_input: PipedInput = PipedInput.NONE
    needs: Needs = NO_NEEDS
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class Tool:
    """An executable: how it reads its command line, and its commands."""

    name: str
    command: Command
    clusters: bool = True
    permutes: bool = True
    equals: bool = True
    short_equals: bool = False
    ends_options: bool = True
    word_options: bool = False
    option_prefixes: str = "-"
    any_case: bool = False
    free_text: bool = False
    numeric: Kind | None = None
    default_host: str = ""
    default_port: int = 0
    port_option: str = ""
    namespaced: bool = False
    repeat_option: str = ""
    inside: bool = True
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class OptionUse:
    """An option as given."""

    option: Option
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Invocation:
    """An argv, read: which command of which tool, with which options and arguments.

    `passed_on` is what stands behind `--` for a command that runs another one. `filled` says where
    parameters stand in the argv, `places` where the arguments do, `passed_at` where `passed_on` begins.
    """

    tool: Tool
    command: Command
    path: tuple[str, ...]
    options: tuple[OptionUse, ...]
    arguments: tuple[str, ...]
    passed_on: tuple[str, ...] | None = None
    filled: tuple[Filled, ...] = ()
    places: tuple[int, ...] = ()
    passed_at: int = 0

    @property
    def name(self) -> str:
        """Tool and subcommands, for people."""
        return " ".join((self.tool.name, *self.path))

    def has(self, name: str) -> bool:
        """Whether the option was given, by any of its names."""
        return any(name in use.option.names for use in self.options)

    def value(self, name: str, default: str = "") -> str:
        """The option's value, or the default."""
        found = [use.values[0] for use in self.options if name in use.option.names and use.values]
        return found[0] if found else default

    def values(self, name: str) -> tuple[str, ...]:
        """Every value of an option that may be repeated."""
        return tuple(value for use in self.options if name in use.option.names for value in use.values)

    def filled_in(self, argument: int) -> tuple[Filled, ...]:
        """Where parameters stand in this argument."""
        return filled_in(self.filled, self.places[argument])

    def filled_in_passed_on(self) -> tuple[Filled, ...]:
        """Where parameters stand in the command that is passed on."""
        at = self.passed_at
        return tuple(replace(each, word=each.word - at) for each in self.filled if each.word >= at)


def filled_in(filled: Sequence[Filled], word: int) -> tuple[Filled, ...]:
    """Those that stand in one word of an argv."""
    return tuple(each for each in filled if each.word == word)


def nearest(word: str, known: Iterable[str], *, noun: str) -> str:
    """A hint: the nearest known alternatives."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=3, cutoff=0.6)
    if close:
        return f"did you mean {' or '.join(close)}?"
    if not names:
        return f"there is no known {noun}"
    shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return f"known {noun}s: {shown}"
