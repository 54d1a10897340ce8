"""`audit verify`: was anything in the audit log changed, dropped or reordered?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent.adapters.audit_archives import verify_archives
from agent.adapters.audit_chain import Intact, Tampered
from agent.adapters.audit_log import verify_against, verify_file
from agent.cli.incidents import open_store
from agent.cli.output import (
    DEFAULT_CONFIG,
    FINDING,
    ConfigOption,
    JsonOption,
    console,
    fail,
    load_config,
    print_json,
)


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(help="The tamper-evident audit log.", no_args_is_help=True)
    app.add_typer(group, name="audit")
    group.callback()(_group)
    group.command()(verify)


def _group() -> None:
    """The tamper-evident audit log."""


def verify(
    config: ConfigOption = DEFAULT_CONFIG,
    file: Annotated[Path | None, typer.Option(help="Check this file alone, without the database.")] = None,
    archives: Annotated[
        bool, typer.Option("--archives", help="With what is in archives, from the start.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Check every entry's hash, the order, and the file against the database."""
    if archives and file is not None:
        fail("--archives needs the database; --file is about a file alone")
    outcome = verify_file(file) if file is not None else _verify_both(config, archives=archives)
    if json:
        print_json(_as_json(outcome))
    elif isinstance(outcome, Intact):
        elsewhere = f", {outcome.archived} in archives" if outcome.archived else ""
        console.print(
            f"[green]intact[/green]: {outcome.entries} entries{elsewhere}, head {outcome.head[:16]}"
        )
    else:
        console.print(f"[red]broken[/red] at entry {outcome.seq}: {outcome.reason}")
    if isinstance(outcome, Tampered):
        raise typer.Exit(FINDING)


def _verify_both(config: Path, *, archives: bool) -> Intact | Tampered:
    loaded = load_config(config)
    store = open_store(loaded)
    outcome = verify_against(loaded.audit_path(), store)
    if archives and isinstance(outcome, Intact):
        return verify_archives(loaded.archive_path(), store)
    return outcome


def _as_json(outcome: Intact | Tampered) -> dict[str, object]:
    if isinstance(outcome, Intact):
        counts = {"entries": outcome.entries, "archived": outcome.archived}
        return {"intact": True, **counts, "head": outcome.head}
    return {"intact": False, "seq": outcome.seq, "reason": outcome.reason}
