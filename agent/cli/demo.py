"""`demo`: see it work, without keys and without a cluster."""

from __future__ import annotations

from typing import Annotated

import typer

from agent.cli.output import FINDING, fail
from agent.domain.errors import AgentError

#: What a shell reports for a program that Ctrl-C ended.
_INTERRUPTED = 130


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running until Ctrl-C.")] = False,
) -> None:
    """Break a real service, and watch the agent handle three pages; nothing leaves this machine."""
    from agent.demo.run import run_demo  # brings the simulators: only when they are wanted

    try:
        as_told = run_demo(keep=keep)
    except AgentError as error:
        fail(str(error), code=FINDING)
    except KeyboardInterrupt:
        fail("interrupted; everything that the demo had started is stopped", code=_INTERRUPTED)
    if not as_told:
        raise typer.Exit(FINDING)
