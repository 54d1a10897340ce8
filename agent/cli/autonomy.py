"""`autonomy`: how far each runbook goes alone, by its file and by its record; and a human's word on it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from agent.cli.approvals import actor_here
from agent.cli.incidents import on_command_line, open_store
from agent.cli.output import (
    DEFAULT_CONFIG,
    FINDING,
    ConfigOption,
    JsonOption,
    console,
    fail,
    load_config,
    plain,
    print_json,
)
from agent.config import known_secrets
from agent.domain.people import Deed
from agent.domain.runbook import Autonomy, Runbook
from agent.domain.stops import words
from agent.library import Library
from agent.pipeline import earned
from agent.pipeline.telling import Teller
from agent.safety.redaction import Redactor

RunbookArgument = Annotated[str, typer.Argument(help="The runbook's id.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; it is told in the thread and kept.")]
ToOption = Annotated[Autonomy | None, typer.Option("--to", help="The level; left out: the next one.")]

_MARKS = {"succeeded": "✓", "failed": "✗", "recurred": "↺", "rejected": "–", "resolved by a human": "·"}

group = typer.Typer(help="How far each runbook goes alone, and why.", invoke_without_command=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="autonomy")


@group.callback()
def list_autonomy(
    context: typer.Context, config: ConfigOption = DEFAULT_CONFIG, json: JsonOption = False
) -> None:
    """List runbooks: level, what the file allows, the last outcomes (✓ resolved, ✗ failed, ↺ came back)."""
    if context.invoked_subcommand is not None:
        return
    loaded = load_config(config)
    library = Library(Path(loaded.runbooks.path))
    rows = earned.listed(open_store(loaded), loaded, library.runbooks.values())
    if json:
        print_json(rows)
        return
    table = Table(box=None, pad_edge=False)
    for name in ("runbook", "level", "by its file", "in a row", "last runs", "proposed", "why"):
        table.add_column(name, no_wrap=name == "runbook", overflow="fold")
    for row in rows:
        marks = "".join(_MARKS.get(each["ran"], "?") for each in reversed(row["evidence"]))
        by = f"{row['by']}: {row['why']}" if row["why"] else row["by"]
        in_a_row = f"{row['in_a_row']} of {row['promote_after']}"
        table.add_row(
            row["runbook"], row["level"], row["bound"], in_a_row, marks, row["proposed"] or "–", plain(by)
        )
    console.print(table if rows else "no runbooks")


@group.command()
def promote(
    runbook: RunbookArgument,
    reason: ReasonOption,
    to: ToOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> None:
    """Let a runbook go further alone, never beyond what its file allows."""
    _move(runbook, reason, to, config, deed=Deed.PROMOTE, as_json=json)


@group.command()
def demote(
    runbook: RunbookArgument,
    reason: ReasonOption,
    to: ToOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> None:
    """Let a runbook go less far alone."""
    _move(runbook, reason, to, config, deed=Deed.STOP, as_json=json)


def _move(
    name: str, reason: str, to: Autonomy | None, config: ConfigOption, *, deed: Deed, as_json: bool
) -> None:
    why = words(reason)
    if not why:
        fail("say why, --reason TEXT: it is kept as the reason for what the runbook may do")
    loaded = load_config(config)
    found = _found(Library(Path(loaded.runbooks.path)), name)
    actor = actor_here(loaded, deed)
    store = open_store(loaded)
    teller = Teller(store, Redactor(known_secrets(loaded)), loaded.channels())
    move = earned.promote if deed is Deed.PROMOTE else earned.demote
    level = move(teller, loaded, found, to=to, by=on_command_line(), why=why, actor=actor)
    if not isinstance(level, Autonomy):
        fail(level, code=FINDING)
    if as_json:
        print_json({"runbook": found.id, "level": level.value, "by": on_command_line()})
    else:
        console.print(f"{found.id} goes as far as [bold]{level}[/bold] from its next incident on")


def _found(library: Library, name: str) -> Runbook:
    found = library.runbooks.get(name)
    if found is None:
        known = ", ".join(sorted(library.runbooks)) or "none"
        fail(f"there is no runbook {plain(name)}; known runbooks: {known}")
    return found
