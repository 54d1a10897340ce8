"""`probes`: what `## Watch` sections look at, what they see now, and what would follow from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.table import Table

from agent.cli.incidents import open_store
from agent.cli.output import (
    DEFAULT_CONFIG,
    FINDING,
    ConfigOption,
    JsonOption,
    console,
    load_config,
    plain,
    print_json,
)
from agent.cli.runbooks import find_runbook
from agent.domain.probing import ProbeState
from agent.pipeline.context import Context
from agent.pipeline.probe_sight import Sight, look
from agent.pipeline.probe_views import Tried, rules_of, stands_as, tried
from agent.pipeline.probing import Watched, watched_in

_Found = Sequence[tuple[Watched, ProbeState | None, Tried]]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="probes")(probes_command)


def probes_command(
    runbook: Annotated[str, typer.Argument(help="A Markdown file, or the id of a runbook.")] = "",
    config: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> None:
    """Look once at everything that `## Watch` sections watch, and say what would follow; raises nothing."""
    from agent.adapters.sight import sight_of
    from agent.surroundings import open_cloud_vault
    from agent.wiring import context_of

    loaded = load_config(config)
    open_cloud_vault(loaded)
    store = open_store(loaded)
    context = context_of(loaded, store=store, desk=None, channels=frozenset())
    runbooks = context.library.runbooks
    if runbook:
        one = find_runbook(context, runbook)
        runbooks = {one.id: one}
    states = {(each.runbook_id, each.key): each for each in store.probe_states()}
    found = _looked(context, sight_of(loaded), list(watched_in(runbooks).values()), states)
    if json:
        print_json({"probes": [_row(*each) for each in found]})
    else:
        _show(found)
    raise typer.Exit(FINDING if any(result.is_finding for _, _, result in found) else 0)


def _looked(
    context: Context, sight: Sight, watched: Sequence[Watched], states: Mapping[tuple[str, str], ProbeState]
) -> _Found:
    found = []
    for each in watched:
        state = states.get(each.key)
        seen = look(context, sight, each.runbook, each.probe)
        before = state or ProbeState(*each.key)
        found.append((each, state, tried(each.probe, before, seen, context.clock.now())))
    return found


def _show(found: _Found) -> None:
    if not found:
        console.print("nothing is watched: no runbook has a `## Watch` section")
        return
    table = Table(box=None, pad_edge=False)
    for name in ("runbook", "watch", "rules", "until now", "now"):
        table.add_column(name, overflow="fold")
    for each, state, result in found:
        colour = "red" if result.is_finding else "green"
        table.add_row(
            plain(each.runbook.id),
            plain(each.probe.name),
            plain(rules_of(each.probe)),
            plain(stands_as(each.probe, state)),
            f"[{colour}]{plain(result.words)}[/{colour}]",
        )
    console.print(table)


def _row(each: Watched, state: ProbeState | None, result: Tried) -> dict[str, Any]:
    probe = each.probe
    raised = state.raised if state is not None else None
    readings = state.readings if state is not None else ()
    return {
        "runbook": each.runbook.id,
        "watch": probe.key,
        "name": probe.name,
        "path": each.runbook.path,
        "line": probe.line,
        "what": probe.what,
        "every_s": probe.every_s,
        "rules": rules_of(probe),
        "looked_at": state.looked_at.isoformat() if state is not None and state.looked_at else None,
        "values": [{"at": reading.at.isoformat(), "value": reading.value} for reading in readings],
        "raised": raised.severity.value if raised is not None else None,
        "incident": raised.incident_id if raised is not None else None,
        "cannot_see": state.unseen_why if state is not None and state.unseen else None,
        "value": result.value,
        "now": result.words,
        "is_finding": result.is_finding,
    }
