"""`new`: a runbook to begin with, lint-clean, which runs nothing until it is finished."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent.cli.output import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    console,
    fail,
    load_config,
    plain,
    print_json,
)
from agent.library.draft import Fixed, draft_of

TitleArgument = Annotated[str, typer.Argument(help="What the alert says, in words.")]
ServiceOption = Annotated[str, typer.Option("--service", help="The service that it is for.")]
TeamOption = Annotated[str, typer.Option("--team", help="Who owns it.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="new")(new_command)


def new_command(
    title: TitleArgument,
    service: ServiceOption = "",
    team: TeamOption = "",
    config: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> None:
    """Write a runbook to begin with into the folder of runbooks."""
    folder = Path(load_config(config).runbooks.path)
    draft = draft_of(Fixed(title, done="", by="", service=service, team=team))
    path = folder / f"{draft.name}.md"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(draft.text)
    except FileExistsError:
        fail(f"{path} exists; finish that one, or give this one another title")
    except OSError as error:
        fail(f"{path} cannot be written: {error.strerror}; check runbooks.path and its permissions")
    if json:
        print_json({"path": str(path), "id": draft.name})
        return
    console.print(plain(f"written: {path}"))
    console.print(plain(f"Put your steps in, take out `autonomy: suggest`, then: oncall-agent lint {path}"))
