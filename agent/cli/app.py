"""The command line: every command group in one file, put together here."""

from __future__ import annotations

import typer

from agent.cli import (
    approvals,
    audit,
    autonomy,
    backtest,
    demo,
    doctor,
    escalations,
    export,
    incidents,
    keeping,
    matching,
    new,
    people,
    postmortem,
    probes,
    rights,
    run,
    runbooks,
    serve,
    simulate,
    stops,
    watch,
)
from agent.cli.output import guarded

app = typer.Typer(
    name="oncall-agent",
    help="Runs your Markdown runbooks when a page comes in; pages a human when it must stop.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
serve.register(app)
watch.register(app)
demo.register(app)
simulate.register(app)
runbooks.register(app)
new.register(app)
probes.register(app)
matching.register(app)
backtest.register(app)
run.register(app)
incidents.register(app)
escalations.register(app)
approvals.register(app)
autonomy.register(app)
stops.register(app)
people.register(app)
audit.register(app)
postmortem.register(app)
export.register(app)
keeping.register(app)
rights.register(app)
doctor.register(app)


def main() -> None:
    """Run one command; an error that the operator can act upon is told without a stack."""
    guarded(app)
