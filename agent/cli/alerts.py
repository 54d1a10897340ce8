"""The alert that a command is given in a file: by its shape, or as the source that is named would read it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent.adapters.alert_file import read_alert, read_alert_of
from agent.cli.output import USAGE, fail
from agent.config import Config
from agent.domain.alert import Alert

AlertOption = Annotated[Path, typer.Option("--alert", help="A webhook body, or our own normal form.")]
SourceOption = Annotated[
    str, typer.Option("--source", help="The source that posts such a body, by its name in the configuration.")
]


def alert_in(path: Path, config: Config, *, source: str = "") -> Alert:
    """As the daemon reads it where a source is named, but for what it would ask of anybody."""
    if not source:
        return read_alert(path)
    from agent.web.sources import readers_of  # only who names one reads as the daemon does

    readers = readers_of(config)
    if source not in readers:
        known = ", ".join(sorted(readers)) or "none"
        fail(f"{source} is no source in the configuration; configured are: {known}", code=USAGE)
    return read_alert_of(path, readers[source])
