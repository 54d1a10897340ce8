"""One command, judged by the shipped tables, in the real sandbox with the real gateways."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from agent.adapters.clock import SystemClock
from agent.adapters.proxies.gateways import LiveGateways
from agent.adapters.sandbox.runner import LauncherSandbox
from agent.config.sections import Kubernetes
from agent.domain.access import Access
from agent.domain.command import Connector, Link, Pipeline, PricedCommand, Refusal, Script, SimpleCommand
from agent.ports import CommandResult, Counter
from agent.safety.effects import TRUSTED_PATH, EffectTables
from agent.safety.pricing import AWS_ITSELF, Cloud


def judged(command: str, *, counter: Counter | None = None, cloud: Cloud = AWS_ITSELF) -> PricedCommand:
    """What the tables say of it."""
    argv = tuple(shlex.split(command))
    analysis = EffectTables.load(cloud=cloud).analyse(argv, counter=counter)
    assert not isinstance(analysis, Refusal), str(analysis)
    return PricedCommand(argv, analysis.effects, access=analysis.access)


def carried_out(
    command: PricedCommand, *, gateways: LiveGateways | None = None, path: Sequence[str] = TRUSTED_PATH
) -> CommandResult:
    """Its end."""
    script = Script((Link(Connector.ALWAYS, Pipeline((SimpleCommand(command.argv),))),))
    sandbox = LauncherSandbox(
        SystemClock(), gateways=gateways or LiveGateways(Kubernetes()), path=path, grace_s=0.2
    )
    return sandbox.run(
        script, commands=[command], marker="inc/steps/1/1", timeout_s=60, should_stop=lambda: False
    )


def given(access: Access, *argv: str) -> PricedCommand:
    """A command that would never be judged so: the walls have to stop it alone."""
    return PricedCommand(argv, access=access)
