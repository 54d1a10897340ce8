"""`incidents`, `show`, `escalations`: what happened, and what waits for a human."""

from __future__ import annotations

import os
import pwd
from typing import Annotated

import typer
from rich.table import Table

from agent.adapters.archive_lookup import archived
from agent.adapters.clock import SystemClock
from agent.adapters.store import Store
from agent.cli.output import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    console,
    load_config,
    plain,
    print_json,
)
from agent.config import Config
from agent.domain.errors import UnknownIncidentError
from agent.domain.incident import Incident, Status
from agent.web import views

IncidentArgument = Annotated[str, typer.Argument(help="The incident's id, or its id at the source.")]

#: The columns that one copies.
_NEVER_CUT = 3

_COLOURS = {
    Status.RESOLVED: "green",
    Status.ESCALATED: "red",
    Status.STOOD_DOWN: "yellow",
    Status.AWAITING_APPROVAL: "yellow",
}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(name="incidents")(list_incidents)
    app.command()(show)


def list_incidents(
    config: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
    status: Annotated[Status | None, typer.Option(help="Only those that stand here.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500)] = 20,
) -> None:
    """List incidents, newest first."""
    store = open_store(load_config(config))
    found = store.incidents(limit=limit, status=status.value if status else None)
    if json:
        print_json([views.incident(store, each.id) for each in found])
        return
    for stop in store.stops():
        console.print(f"[red]⛔ {plain(str(stop))}[/red] ({stop.id})")
    table = _table("id", "received", "status", "runbook", "title")
    for each in found:
        table.add_row(
            each.id,
            f"{each.received_at:%Y-%m-%d %H:%M:%S}",
            _coloured(each.status),
            each.runbook_id or "–",
            plain(each.alert.title),
        )
    console.print(table if found else "no incidents")


def show(incident: IncidentArgument, config: ConfigOption = DEFAULT_CONFIG, json: JsonOption = False) -> None:
    """Show one incident with its whole story, from the archives if it is there."""
    loaded = load_config(config)
    store = open_store(loaded)
    try:
        found = find(store, incident)
    except UnknownIncidentError:
        with archived(loaded.archive_path(), incident, store.clock) as old:
            if old is None:
                raise
            _show(old, find(old, incident), as_json=json)
        return
    _show(store, found, as_json=json)


def _show(store: Store, found: Incident, *, as_json: bool) -> None:
    if as_json:
        print_json(views.incident(store, found.id))
        return
    console.print(f"[bold]{plain(found.alert.title)}[/bold]  {_coloured(found.status)}")
    console.print(
        f"{found.id}  {found.alert.source} {found.alert.source_id}  runbook {found.runbook_id or 'none'}"
    )
    for event in store.timeline(found.id):
        console.print(f"[dim]{event.at:%H:%M:%S}[/dim] {plain(event.text)}")


def open_store(config: Config) -> Store:
    """The daemon's database, with its tables up to date."""
    store = Store(config.database.url, SystemClock())
    store.migrate()
    return store


def find(store: Store, text: str) -> Incident:
    """An incident by its own id or by its id at the source."""
    try:
        return store.incident(text)  # ours first: an id at the source is whatever its sender says
    except UnknownIncidentError:
        by_source = store.incidents(source_id=text, limit=1)
        if not by_source:
            raise
        return by_source[0]


def on_command_line(name: str = "") -> str:
    """Who gives a word here; a name that was only said stands beside the user that it was said under."""
    return f"{name} ({operator()}, command line)" if name else f"{operator()} (command line)"


def operator() -> str:
    """Who decides, for the timeline and the audit log."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name  # not from the environment, which says what one likes
    except KeyError:  # the user of a container may have a number and no name
        return f"user {os.getuid()}"


def _table(*columns: str) -> Table:
    """The first three columns are what one copies: they are never cut."""
    table = Table(box=None, pad_edge=False)
    for position, name in enumerate(columns):
        table.add_column(name, no_wrap=position < _NEVER_CUT, overflow="fold")
    return table


def _coloured(status: Status) -> str:
    colour = _COLOURS.get(status)
    return f"[{colour}]{status}[/{colour}]" if colour else status.value
