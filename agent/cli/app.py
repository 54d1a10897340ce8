"""The command line: every command group in one file, put together here."""

from __future__ import annotations

import sys

import typer

from agent.cli import (
    audit,
    backtest,
    demo,
    doctor,
    incidents,
    matching,
    rights,
    run,
    runbooks,
    serve,
    simulate,
)
from agent.cli.output import USAGE, errors, plain
from agent.domain.errors import AgentError

app = typer.Typer(
    name="oncall-agent",
    help="Runs your Markdown runbooks when a page comes in; pages a human when it must stop.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
serve.register(app)
demo.register(app)
simulate.register(app)
runbooks.register(app)
matching.register(app)
backtest.register(app)
run.register(app)
incidents.register(app)
audit.register(app)
rights.register(app)
doctor.register(app)


def main() -> None:
    """Run one command; an error that the operator can act upon is told without a stack."""
    try:
        app()
    except AgentError as error:
        errors.print(f"[red]error:[/red] {plain(str(error))}")
        sys.exit(USAGE)
    except BrokenPipeError:
        sys.exit(0)
