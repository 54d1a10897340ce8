"""Prices an argv: which effects it has, or why it is refused. What no table knows is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from agent.domain.command import Filled, Refusal
from agent.domain.effects import Effect
from agent.ports import Counter
from agent.safety import pricing, reading, tables
from agent.safety.analysis import Analysis
from agent.safety.grammar import Tool, filled_in, nearest
from agent.safety.places import NOWHERE, KeeptrustsPlaces
from agent.safety.pricing import AWS_ITSELF, Cloud, Desk, Rule, World
from agent.safety.rule_aws import aws, aws_ecs_deployment, aws_instance_refresh, aws_s3
from agent.safety.rule_curl import curl
from agent.safety.rule_helm import HELM_RULES
from agent.safety.rule_jq import jq
from agent.safety.rule_kubectl import KUBECTL_RULES
from agent.safety.rule_psql import psql
from agent.safety.rule_redis import redis_scan
from agent.safety.rule_timeout import timeout

#: Executables named without a path are looked for here and nowhere else, by the sandbox too.
TRUSTED_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")

RULES: Mapping[str, Rule] = {
    "aws": aws,
    "aws_ecs_deployment": aws_ecs_deployment,
    "aws_instance_refresh": aws_instance_refresh,
    "aws_s3": aws_s3,
    "curl": curl,
    "jq": jq,
    **HELM_RULES,
    **KUBECTL_RULES,
    "psql": psql,
    "redis_scan": redis_scan,
    "timeout": timeout,
}


#: So many commands are remembered, as far as the tables alone say what they do.
_REMEMBERED = 512

_Command = tuple[tuple[str, ...], tuple[Filled, ...]]


def _read_bytes(path: str) -> bytes:
    return Path(path).read_bytes()


@dataclass(frozen=True, slots=True)
class EffectTables:
    """The effect tables in use. `read_script` reads a declared script to compare its hash."""

    tables: tables.Tables
    read_script: Callable[[str], bytes] = _read_bytes
    cloud: Cloud = AWS_ITSELF
    keeptrusts: KeeptrustsPlaces = NOWHERE
    _known: dict[_Command, Analysis | Refusal] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @classmethod
    def load(
        cls,
        extra: Sequence[Path] = (),
        *,
        cloud: Cloud = AWS_ITSELF,
        keeptrusts: KeeptrustsPlaces = NOWHERE,
    ) -> EffectTables:
        """The shipped tables and the team's own; ConfigError with file and key path if one is wrong."""
        return cls(tables.load(extra, rules=RULES.keys()), cloud=cloud, keeptrusts=keeptrusts)

    def price(self, argv: Sequence[str], *, counter: Counter | None = None) -> tuple[Effect, ...] | Refusal:
        """What a command would do to the world, or why it is refused."""
        found = self.analyse(argv, counter=counter)
        return found if isinstance(found, Refusal) else found.effects

    def analyse(
        self, argv: Sequence[str], *, counter: Counter | None = None, filled: Sequence[Filled] = ()
    ) -> Analysis | Refusal:
        """Effects, and the hosts and namespaces that a command reaches; `filled`: where parameters stand.

        Remembered only where nothing but the tables was asked: what is counted, and a script, may change.
        """
        command = (tuple(argv), tuple(filled))
        found = self._known.get(command)
        if found is not None:
            return found
        world = World(counter, self.read_script)
        found = self._analyse(*command, world=world, inside=False)
        if not world.was_asked:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[command] = found
        return found

    def _analyse(
        self, argv: Sequence[str], filled: Sequence[Filled], *, world: World, inside: bool
    ) -> Analysis | Refusal:
        if filled_in(filled, 0):
            return Refusal("a parameter cannot be the command", "write the command's name")
        tool = self._tool(argv)
        if isinstance(tool, Refusal):
            return tool
        if inside and not tool.inside:
            return Refusal(f"{tool.name} cannot be run inside a pod", "run it as a command of its own")
        if refusal := self._check_script(tool, world):
            return refusal
        invocation = reading.read(argv, tool, filled=filled)
        if isinstance(invocation, Refusal):
            return invocation
        found = pricing.findings(invocation)
        if isinstance(found, Refusal):
            return found
        rule = RULES.get(invocation.command.rule)
        if rule is None:
            return pricing.by_table(invocation, found)
        in_a_pod = partial(self._analyse, world=world, inside=True)
        instead = partial(self._analyse, world=world, inside=inside)
        return rule(invocation, found, Desk(self.tables, world, in_a_pod, instead, inside, self.cloud))

    def _tool(self, argv: Sequence[str]) -> Tool | Refusal:
        if not argv or not argv[0]:
            return Refusal("there is no command", "name a program")
        name = argv[0]
        if name in self.tables.tools:
            return self.tables.tools[name]
        folder, slash, base = name.rpartition("/")
        if slash and folder not in TRUSTED_PATH:
            hint = "declare it under `scripts` in an effect table of yours, with its sha256"
            return Refusal(f"{name} is not among the trusted programs", hint)
        if base in self.tables.refused:
            return Refusal(f"{base} cannot be judged by its arguments", self.tables.refused[base])
        if slash and base in self.tables.tools:
            return self.tables.tools[base]
        hint = nearest(base, self.tables.tools, noun="program")
        return Refusal(f"{name} is not in any effect table", hint)

    def _check_script(self, tool: Tool, world: World) -> Refusal | None:
        if not tool.sha256:
            return None
        try:
            content = world.read_script(tool.name)
        except OSError as error:
            return Refusal(
                f"the declared script {tool.name} cannot be read: {error.strerror}", "check its path"
            )
        if hashlib.sha256(content).hexdigest() != tool.sha256:
            hint = "review it and declare its new sha256"
            return Refusal(f"the script {tool.name} is not the declared one: its content has changed", hint)
        return None
