"""Carries out typed actions on Kubernetes and AWS: what was charged, once, and told as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from agent.adapters.live_job import Handler, Job, OutcomeUnknownError
from agent.domain.command import PricedCommand
from agent.domain.errors import ServiceError
from agent.domain.runbook import Action
from agent.ports import Clock, CommandResult


class LiveActions:
    """Implements ports.Actions over handlers by name, which KubernetesActions and AwsActions give.

    `exit_code` None with a `problem`: a change was sent and nobody knows whether it was made.
    """

    def __init__(self, handlers: Mapping[str, Handler], *, clock: Clock) -> None:
        self._handlers = handlers
        self._clock = clock

    def run(
        self,
        action: Action,
        *,
        command: PricedCommand,
        marker: str,
        timeout_s: float,
        should_stop: Callable[[], bool],
    ) -> CommandResult:
        """Do what was priced and nothing more."""
        started = self._clock.monotonic()
        job = Job(action, command, marker, started + timeout_s, should_stop, self._clock)
        return replace(self._run(job), duration_s=self._clock.monotonic() - started)

    def _run(self, job: Job) -> CommandResult:
        name = job.action.name
        handler = self._handlers.get(name)
        if handler is None:
            return job.failed(f"the action {name} is not known here; known: {self._known()}")
        if job.command.refusal is not None:
            return job.refused(str(job.command.refusal))
        if (ended := job.ended()) is not None:
            return ended
        return _carried_out(handler, job)

    def _known(self) -> str:
        return ", ".join(sorted(self._handlers)) or "none, since no cluster, AWS or Keeptrusts is configured"


def _carried_out(handler: Handler, job: Job) -> CommandResult:
    try:
        return handler(job)
    except OutcomeUnknownError as error:
        return job.unknown(error)
    except ServiceError as error:
        return job.failed(str(error))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        return job.misunderstood(error)
