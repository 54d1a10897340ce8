"""The kill switch's commands alone, as fast as they can be there; `app` has them beside all others."""

from __future__ import annotations

import typer

from agent.cli import stops
from agent.cli.output import guarded

app = typer.Typer(name="oncall-agent", add_completion=False, pretty_exceptions_enable=False)
stops.register(app)


def main() -> None:
    """Run one of them; an error that the operator can act upon is told without a stack."""
    guarded(app)
