"""`stop`, `resume`, `stops`, `stand-down`: written to the database directly, with or without a daemon."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeVar

import sqlalchemy as sa
import typer

from agent.adapters.clock import SystemClock
from agent.adapters.store import Store
from agent.cli.incidents import IncidentArgument, find, on_command_line
from agent.cli.output import (
    DEFAULT_CONFIG,
    FINDING,
    ConfigOption,
    JsonOption,
    console,
    errors,
    fail,
    load_config,
    plain,
    print_json,
)
from agent.config import Config, known_secrets
from agent.domain.errors import StoreError
from agent.domain.freeze import strictest
from agent.domain.people import Deed
from agent.domain.stops import Stop, StopAsked, StopScope, what_of, words
from agent.pipeline import answers
from agent.pipeline import stops as switch
from agent.pipeline.answers import NotTaken
from agent.pipeline.telling import Teller
from agent.safety.redaction import Redactor
from agent.web import views

T = TypeVar("T")

ServiceOption = Annotated[
    str | None, typer.Option("--service", help="Only this service's incidents; * and ? stand for anything.")
]
RunbookOption = Annotated[str | None, typer.Option("--runbook", help="Only this runbook: its id or file.")]
ByOption = Annotated[str, typer.Option("--by", help="Who says so, if it is not the user that types it.")]
ReasonOption = Annotated[
    str, typer.Option("--reason", help="Why; it is told in the thread and to who is paged.")
]
EndRunningOption = Annotated[
    bool, typer.Option("--end-running", help="Also end what runs now; else it is let finish.")
]
AllOption = Annotated[bool, typer.Option("--all", help="Everything that is stopped.")]
LiftedOption = Annotated[bool, typer.Option("--all", help="Those that were lifted too.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(stop)
    app.command()(resume)
    app.command(name="stops")(list_stops)
    app.command(name="stand-down")(stand_down)


def stop(
    reason: ReasonOption,
    service: ServiceOption = None,
    runbook: RunbookOption = None,
    by: ByOption = "",
    end_running: EndRunningOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> None:
    """Stop the agent at once: nothing more is started, on every replica, until `resume`; humans are paged."""
    scope, name = _scope(service, runbook)
    why = words(reason)
    if not why:
        fail("say why, --reason TEXT: whoever is paged wants to know")
    loaded = load_config(config)
    store, teller = _open(loaded, "NOT stopped")
    asked = StopAsked(scope, name, why, on_command_line(words(by)), end_running)
    put, is_new = _written(store, "NOT stopped", lambda: switch.put(teller, asked, now=datetime.now(UTC)))
    if json:
        print_json(views.stop(put) | {"again": not is_new})
        return
    again = "" if is_new else ", as before"
    console.print(f"[red]stopped{again}[/red]: {plain(put.what)}, by {plain(put.by)}: {plain(put.reason)}")
    console.print(f"in force now for every process that works on {plain(_shown_url(loaded))}")
    if put in store.set_aside():
        console.print("[yellow]a process holds the database and may hang[/yellow]: it is told when that ends")
    console.print(
        "what runs is ended" if put.ends_running else "what runs is let finish (--end-running ends it)"
    )
    console.print(f"to go on: oncall-agent resume {put.id}")
    _warn_of_a_typing_error(store, loaded, put)


def resume(
    stop_id: Annotated[str | None, typer.Argument(help="The id of a stop; `stops` lists them.")] = None,
    service: ServiceOption = None,
    runbook: RunbookOption = None,
    everything: AllOption = False,
    by: ByOption = "",
    config: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> None:
    """Lift a stop: the agent goes on. Incidents that were given to humans meanwhile stay with them."""
    from agent.cli.approvals import actor_here  # a stop, which is typed in a hurry, does not load it

    loaded = load_config(config)
    actor_here(loaded, Deed.RESUME)
    store, teller = _open(loaded, "NOT resumed")
    name = on_command_line(words(by))
    wanted = _written(
        store, "NOT resumed", lambda: _meant(store, stop_id, service, runbook, everything=everything)
    )
    now = datetime.now(UTC)
    lifted = _written(
        store,
        "NOT resumed",
        lambda: [each for each in wanted if switch.lift(teller, each, by=name, now=now)],
    )
    left = store.stops()
    if json:
        print_json({"resumed": [each.id for each in lifted], "in_force": [views.stop(each) for each in left]})
        return
    for each in lifted:
        console.print(f"[green]resumed[/green]: {plain(each.what)} ({each.id}), it was {plain(str(each))}")
    if not lifted:
        console.print("nothing to resume: it was lifted before" if wanted else "nothing is stopped")
    for each in left:
        console.print(f"[yellow]still stopped[/yellow]: {plain(each.what)} ({each.id}), {plain(str(each))}")


def list_stops(
    config: ConfigOption = DEFAULT_CONFIG, json: JsonOption = False, lifted: LiftedOption = False
) -> None:
    """List what is stopped, and the freeze window that is open."""
    loaded = load_config(config)
    store, _ = _open(loaded, "unknown")
    found = _written(store, "unknown", lambda: store.all_stops() if lifted else store.stops())
    if json:
        print_json([views.stop(each) for each in found])
        return
    for each in found:
        console.print(stop_line(each))
    if not any(each.is_in_force for each in found):
        console.print("nothing is stopped")
    freeze = strictest(loaded.freezes(), datetime.now(UTC))
    if freeze is not None:
        console.print(f"[cyan]{plain(str(freeze))}[/cyan] ({freeze.mode})")


def stand_down(
    incident: IncidentArgument,
    by: ByOption = "",
    config: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> None:
    """Take one incident over: what runs of it is ended, and nothing more is started."""
    store, teller = _open(load_config(config), "NOT stood down")
    name = on_command_line(words(by))
    found = _written(store, "NOT stood down", lambda: find(store, incident))
    answer = answers.stand_down(teller, found, by=name, now=datetime.now(UTC))
    if isinstance(answer, NotTaken):
        fail(answer.why, code=FINDING)
    if json:
        print_json({"incident": found.id, "by": name, "again": answer.again})
    else:
        console.print(f"stood down: {found.id}, it is with {plain(name)} now")


def stop_line(each: Stop) -> str:
    """One stop on one line, its id first because one copies it."""
    words = f"{plain(str(each))}" + (", and what ran was ended" if each.ends_running else "")
    put = f"{each.id}  {each.at:%Y-%m-%d %H:%M:%S}"
    if each.lifted_at is None:
        return f"{put}  [red]{words}[/red]"
    return f"{put}  {words}; lifted {each.lifted_at:%Y-%m-%d %H:%M:%S} by {plain(each.lifted_by)}"


def _scope(service: str | None, runbook: str | None) -> tuple[StopScope, str]:
    if service is not None and runbook is not None:
        fail("give --service or --runbook, not both; two stops may be in force at once")
    scope = StopScope.SERVICE if service is not None else StopScope.RUNBOOK if runbook is not None else None
    if scope is None:
        return StopScope.ALL, ""
    name = words(service or runbook or "")
    if not name:
        fail(f"--{scope} needs a name; leave it out to stop everything")
    return scope, name


def _meant(
    store: Store, stop_id: str | None, service: str | None, runbook: str | None, *, everything: bool
) -> Sequence[Stop]:
    """The stops that are to be lifted; one alone needs no name."""
    in_force = store.stops()
    given = [each is not None for each in (stop_id, service, runbook)].count(True) + everything
    if given > 1:
        fail("give one of: the id of a stop, --service, --runbook, --all")
    if stop_id is not None:
        found = store.stop_of(stop_id)
        if found is None:
            fail(f"there is no stop {stop_id}; `oncall-agent stops` lists them", code=FINDING)
        return [found]
    if service is not None or runbook is not None:
        scope, name = _scope(service, runbook)
        return _named(in_force, scope, name)
    if not everything and len(in_force) > 1:
        lines = "".join(f"\n  {each.id}  {each}" for each in in_force)
        fail(f"{len(in_force)} stops are in force; name one, or say --all:{lines}", code=FINDING)
    return in_force


def _named(in_force: Sequence[Stop], scope: StopScope, name: str) -> Sequence[Stop]:
    found = [each for each in in_force if each.scope is scope and each.name.casefold() == name.casefold()]
    if not found and in_force:
        others = ", ".join(each.what for each in in_force)
        fail(f"{what_of(scope, name)} is not stopped by itself; stopped are: {others}", code=FINDING)
    return found


def _open(config: Config, verb: str) -> tuple[Store, Teller]:
    """The daemon's database; it is never made here: an empty one in the wrong place would stop nobody."""
    url = sa.make_url(config.database.url)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        where = Path(url.database or "").absolute()
        fail(f"{verb}: there is no database at {where}; type it where the daemon runs, or give its --config")
    store = Store(config.database.url, SystemClock())
    return store, Teller(store, Redactor(known_secrets(config)), config.channels())


def _written(store: Store, verb: str, do: Callable[[], T]) -> T:
    """Done at once; tables are brought up to date only if they cannot be asked as they are."""
    try:
        try:
            store.stops()
        except StoreError:
            store.migrate()
        return do()
    except StoreError as error:
        fail(f"{verb}: {error}. Type it again; or end the daemon's process, which stops it too")


def _shown_url(config: Config) -> str:
    return sa.make_url(config.database.url).render_as_string(hide_password=True)


def _warn_of_a_typing_error(store: Store, config: Config, put: Stop) -> None:
    """A stop of something that nobody knows stops nothing, and looks as if it did."""
    if put.scope is StopScope.SERVICE:
        known: Sequence[str] = [name for name in store.known_services() if name]
        is_known = any(switch.is_service(put.name, switch.Subject(name)) for name in known)
    elif put.scope is StopScope.RUNBOOK:
        from agent.library import Library

        runbooks = Library(Path(config.runbooks.path)).runbooks.values()
        known = [each.id for each in runbooks]
        is_known = any(
            switch.is_runbook(put.name, switch.Subject("", each.id, each.path)) for each in runbooks
        )
    else:
        return
    if not is_known:
        near = difflib.get_close_matches(put.name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known[:20]) or 'none yet'}"
        errors.print(f"[yellow]warning:[/yellow] nothing here is called {plain(put.name)}; {plain(hint)}")
