"""`escalations`: what waits for a human; claim it, settle it, try the rules, see how deadlines are kept."""

from __future__ import annotations

import json as json_module
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from agent.adapters.alert_file import read_alert
from agent.adapters.archive_lookup import archived
from agent.adapters.store import Store
from agent.cli import escalations_view
from agent.cli.approvals import actor_here
from agent.cli.incidents import open_store, operator
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
from agent.config import Config, known_secrets
from agent.domain.people import Actor, Deed, Person, Role, Via
from agent.domain.queue import Action, Escalated, Origin, QueueFilter, QueueStatus, Rank, rank_of
from agent.escalations.claims import Changed, NotPossible
from agent.escalations.routing import Subject
from agent.escalations.settings import queueing_of
from agent.library.draft import draft_of
from agent.pipeline import queueing
from agent.pipeline.queueing import QueueDesk, Settling
from agent.reports.sla import as_json
from agent.safety.redaction import Redactor
from agent.web import queue_views

ItemArgument = Annotated[str, typer.Argument(help="The escalation's id, or its incident's.")]
NoteOption = Annotated[str, typer.Option("--note", help="What was found; the next one reads it.")]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=500, help="So many at once.")]

_SINCE = re.compile(r"([0-9]{1,4})d", re.ASCII)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="What waits for a human: list, claim, settle.", invoke_without_command=True)
    group.callback()(listed)
    group.command()(show)
    group.command()(claim)
    group.command()(release)
    group.command()(reassign)
    group.command()(further)
    group.command()(resolve)
    group.command()(route)
    group.command()(report)
    app.add_typer(group, name="escalations")


def listed(
    context: typer.Context,
    config: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
    status: Annotated[QueueStatus | None, typer.Option(help="Only those that stand here.")] = None,
    severity: Annotated[Rank | None, typer.Option(help="Only those this grave.")] = None,
    mine: Annotated[bool, typer.Option("--mine", help="Only those that I claimed.")] = False,
    after: Annotated[str, typer.Option("--after", help="The next page: what --json says as `next`.")] = "",
    limit: LimitOption = 100,
) -> None:
    """List what waits for a human: approvals and choices with their time, then escalations, gravest first."""
    if context.invoked_subcommand is not None:
        return
    loaded = load_config(config)
    store = open_store(loaded)
    wanted = QueueFilter(
        settled=status is not None and status.is_over,
        status=status,
        rank=severity,
        assignee=_actor(loaded, Deed.VIEW).person.name if mine else "",
        after=after,
        limit=limit,
    )
    page = queue_views.page(store, wanted, store.clock.now())
    if json:
        print_json(page["escalations"])
        return
    rows = page["escalations"]
    console.print(
        escalations_view.queue_table(rows, store.clock.now()) if rows else "nothing waits for a human"
    )
    if page["next"]:
        console.print(f"… and more ({page['open']} open in all); go on with --after {page['next']!r}")


def show(item: ItemArgument, config: ConfigOption = DEFAULT_CONFIG, json: JsonOption = False) -> None:
    """Show one escalation: whose it is, until when, and what was tried."""
    loaded = load_config(config)
    store = open_store(loaded)
    found = store.queue_item(item)
    if found is not None:
        _show(loaded, store, found, json)
        return
    with archived(loaded.archive_path(), item, store.clock) as old:
        _show(loaded, old or store, _found(old or store, item), json)


def _show(config: Config, store: Store, found: Escalated, json: bool) -> None:
    shown = Redactor(known_secrets(config)).value(queue_views.whole(store, found, store.clock.now()))
    if json:
        print_json(shown)
        return
    assert isinstance(shown, dict)
    escalations_view.print_item(found, shown)


def claim(item: ItemArgument, config: ConfigOption = DEFAULT_CONFIG, json: JsonOption = False) -> None:
    """Make it mine: nobody else works on it."""
    _do(config, json, Deed.CLAIM, lambda desk, actor, now: queueing.claim(desk, item, actor, now=now))


def release(item: ItemArgument, config: ConfigOption = DEFAULT_CONFIG, json: JsonOption = False) -> None:
    """Give it back to the queue."""
    _do(config, json, Deed.CLAIM, lambda desk, actor, now: queueing.release(desk, item, actor, now=now))


def reassign(
    item: ItemArgument,
    to: Annotated[str, typer.Option("--to", help="A person, team:x, pagerduty:x, slack:#x, an address.")],
    config: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> None:
    """Put it before somebody else, who is told."""
    _do(
        config,
        json,
        Deed.REASSIGN,
        lambda desk, actor, now: queueing.reassign(desk, item, actor, to=to, now=now),
    )


def further(
    item: ItemArgument,
    to: Annotated[str, typer.Option("--to", help="To whom; else as its rule says for a breach.")] = "",
    note: NoteOption = "",
    config: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> None:
    """Escalate it one level up, with the whole of its time again."""
    _do(
        config,
        json,
        Deed.SETTLE,
        lambda desk, actor, now: queueing.escalate_further(desk, item, actor, to=to, note=note, now=now),
    )


def resolve(
    item: ItemArgument,
    action: Annotated[Action, typer.Option("--action", help="How it is settled.")],
    note: NoteOption,
    runbook: Annotated[str, typer.Option("--runbook", help="The one that was run.")] = "",
    done: Annotated[str, typer.Option("--done", help="The commands, a line each.")] = "",
    draft: Annotated[
        Path | None, typer.Option("--draft", help="Write a runbook's draft of what was done here.")
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> None:
    """Settle it with a note; with --done a runbook is drafted from what was done."""
    if draft is not None and draft.exists() and not draft.is_dir():
        fail(f"{draft} exists; name another file, or a folder")
    settling = Settling(action, note, runbook, done)
    after = _changed(
        config,
        Deed.SETTLE,
        lambda desk, actor, now: queueing.resolve(desk, item, actor, settling, now=now),
    )
    made = draft_of(queueing.fixed(after)) if done else None
    path = None
    if made is not None and draft is not None:
        path = draft / f"{made.name}.md" if draft.is_dir() else draft
        with path.open("x", encoding="utf-8") as file:
            file.write(made.text)
    if json:
        print_json(
            queue_views.item(after, datetime.now(UTC))
            | {"draft": made.text if made else None, "draft_path": str(path) if path else None}
        )
        return
    escalations_view.print_line(after)
    if path is not None:
        console.print(f"a draft of a runbook is in {plain(str(path))}; it suggests and runs nothing")
    elif made is not None:
        console.print(plain(made.text))


def route(
    file: Annotated[
        Path, typer.Option("--file", help="An alert, or a JSON object of what rules may ask about.")
    ],
    config: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> None:
    """Say whose an escalation would be, and why; nothing is written and nobody is told."""
    loaded = load_config(config)
    asked, wanted = _subject(file), queueing_of(loaded)
    now = datetime.now(UTC)
    found = wanted.route_of(asked, "", now)
    deadline, amber = wanted.sla.deadline(asked.rank, now), wanted.sla.amber_at(asked.rank, now)
    if json:
        print_json(
            {
                "rule": found.rule.name,
                "route_to": found.rule.route_to,
                "notification_channel": found.rule.channel or None,
                "on_breach": found.rule.on_breach or None,
                "severity": asked.rank.value,
                "amber_at": amber.isoformat(),
                "deadline": deadline.isoformat(),
                "passed": [{"rule": each.rule, "why": each.why} for each in found.passed],
            }
        )
        return
    for each in found.passed:
        console.print(f"[dim]{plain(each.rule)}: no, {plain(each.why)}[/dim]")
    told = f", told by {found.rule.channel}" if found.rule.channel else ""
    console.print(f"[green]{plain(found.rule.name)}[/green]: {plain(found.rule.route_to)}{plain(told)}")
    console.print(
        f"{asked.rank}: amber at {amber:%Y-%m-%d %H:%M} UTC, breached at {deadline:%Y-%m-%d %H:%M} UTC"
    )
    if found.rule.on_breach:
        console.print(f"then it goes to {plain(found.rule.on_breach)}")


def report(
    since: Annotated[str, typer.Option("--since", help="So many days back: 30d.")] = "30d",
    origin: Annotated[Origin | None, typer.Option("--origin", help="Who called a human.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> None:
    """Tell how deadlines are kept, how long things take, and what calls humans."""
    days = _SINCE.fullmatch(since)
    if days is None:
        fail(f"--since {since} is no time; write it in days, such as 30d")
    store = open_store(load_config(config))
    now = store.clock.now()
    found = store.queue_report(now - timedelta(days=int(days[1])), now, origin=origin)
    if json:
        print_json(as_json(found))
    else:
        escalations_view.print_report(found)


def _do(
    config: Path,
    as_json: bool,
    deed: Deed,
    change: Callable[[QueueDesk, Actor, datetime], Changed],
) -> None:
    after = _changed(config, deed, change)
    if as_json:
        print_json(queue_views.item(after, datetime.now(UTC)))
    else:
        escalations_view.print_line(after)


def _changed(config: Path, deed: Deed, change: Callable[[QueueDesk, Actor, datetime], Changed]) -> Escalated:
    loaded = load_config(config)
    store = open_store(loaded)
    desk = queueing.desk_of(loaded, store, Redactor(known_secrets(loaded)))
    answer = change(desk, _actor(loaded, deed), datetime.now(UTC))
    if isinstance(answer, NotPossible):
        fail(answer.why, code=FINDING)
    return answer


def _actor(config: Config, deed: Deed) -> Actor:
    """Who types it; where nobody is configured, whoever may open the database."""
    return actor_here(config, deed) or Actor(Person(operator(), Role.ADMIN), Via.CLI)


def _found(store: Store, item: str) -> Escalated:
    found = store.queue_item(item)
    if found is None:
        fail(f"there is no escalation {item}; `oncall-agent escalations` lists them", code=FINDING)
    return found


def _subject(file: Path) -> Subject:
    """From our own words if they are there, else from an alert."""
    try:
        given = json_module.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        fail(f"{file} cannot be read as JSON: {error}")
    if isinstance(given, dict) and "trigger" in given:
        known = {name for name in Subject.__dataclass_fields__ if name != "rank"} | {"severity"}
        unknown = sorted(set(given) - known)
        if unknown:
            fail(f"{unknown[0]} is nothing that rules ask about; known: {', '.join(sorted(known))}")
        severity = given.pop("severity", "high")
        if severity not in set(Rank):
            fail(f"severity must be one of {', '.join(Rank)}")
        return Subject(rank=Rank(severity), **{name: str(value) for name, value in given.items()})
    alert = read_alert(file)
    return Subject("no_match", rank_of(alert.severity, alert.urgency), service=alert.service, team=alert.team)
