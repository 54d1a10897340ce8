"""`run`: carry out a runbook by hand, under the same guards, limits, journal and audit log as the daemon."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

import typer

from agent.adapters.audit_log import AuditLog
from agent.adapters.inline_run import InlineRun
from agent.adapters.store import Store
from agent.cli import holds, plan_view
from agent.cli.alerts import AlertOption, SourceOption, alert_in
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
from agent.cli.runbooks import RunbookArgument, find_runbook
from agent.domain.approvals import ASKED_BY, needs_of
from agent.domain.decisions import (
    Completed,
    EscalationTrigger,
    Execution,
    Matched,
    Plan,
    StandDown,
    Stopped,
    Terms,
)
from agent.domain.freeze import FreezeMode
from agent.domain.incident import MANUAL_SOURCE, Entry, EventKind, Incident
from agent.domain.people import Deed
from agent.domain.records import Changes, Decision
from agent.domain.runbook import Autonomy, Runbook
from agent.pipeline import closing, intake, needs, planning
from agent.pipeline.agreement import Agreed, agree
from agent.pipeline.context import Context
from agent.pipeline.execution import Job, execute
from agent.pipeline.terms import deadline_of, terms_of
from agent.pipeline.verification import verify
from agent.ports import Run
from agent.web import views

#: How often it is looked whether others have approved it.
_LOOK_S = 0.5


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="run")(run_command)


def run_command(
    runbook: RunbookArgument,
    alert: AlertOption,
    source: SourceOption = "",
    config: ConfigOption = DEFAULT_CONFIG,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before running.")] = False,
    in_freeze: Annotated[bool, typer.Option("--in-freeze", help="Although a freeze says no.")] = False,
    json: JsonOption = False,
) -> None:
    """Run a runbook for an alert, here and now; you are its approval. Nothing is sent to anybody."""
    from agent.wiring import context_of

    loaded = load_config(config)
    if not dry_run:
        actor_here(loaded, Deed.RUN)
    store = open_store(loaded)
    context = context_of(loaded, store=store, desk=None, channels=frozenset())
    found = find_runbook(context, runbook)
    given = alert_in(alert, loaded, source=source)
    plan = planning.plan(context, found, given)
    held = holds.held_now(context, found, service=given.service)
    if not json:
        plan_view.show(plan)
        holds.show(held)
    if plan.refusals or dry_run:
        if json:
            print_json({**plan_view.as_json(plan), **holds.as_json(held)})
        raise typer.Exit(FINDING if plan.refusals else 0)
    _check_held(held, plan, in_freeze=in_freeze)
    steps = (*plan.steps, *plan.rollback)
    wanted = needs.demanded(loaded, found, steps, asked_by=(operator(),))
    if hopeless := needs.unobtainable(loaded, wanted):
        fail(f"{found.id} cannot be approved: {hopeless}", code=FINDING)
    if not yes:
        typer.confirm("\nRun exactly this?" if wanted.is_plain else f"\nAsk for it ({wanted})?", abort=True)
    incident_id = store.open_manual(replace(given, source=MANUAL_SOURCE))
    run = InlineRun(context.clock, woken=lambda _: _decide(context, incident_id, yes=yes))
    # whoever types it says yes, as a freeze asks for; beyond that only what was asked for by name
    passes = FreezeMode.NOTIFY if in_freeze else FreezeMode.APPROVE
    succeeded = _carry_out(run, context, store, incident_id, found, plan, passes=passes)
    AuditLog(loaded.audit_path(), store).catch_up()
    _show_end(store, incident_id, as_json=json)
    raise typer.Exit(0 if succeeded else FINDING)


def _decide(context: Context, incident_id: str, *, yes: bool) -> bool:
    """A step waits for its own approval: whoever runs the runbook gives it, or does not.

    What takes other people's yes is waited for: they give it by whichever face they like.
    """
    store = context.store
    asked = [event for event in store.timeline(incident_id) if event.kind is EventKind.APPROVAL_REQUESTED][-1]
    if not needs_of(asked.data).is_plain:
        context.clock.sleep(_LOOK_S)
        return True
    if not yes:
        console.print(f"\n{plain(asked.text)}")
    approved = yes or typer.confirm("Run exactly this?")
    decision = Decision(str(asked.data["plan_hash"]), approved, operator(), datetime.now(UTC))
    return store.decide(incident_id, decision)


def _check_held(held: holds.Held, plan: Plan, *, in_freeze: bool) -> None:
    """A stop is for everybody; a freeze is for whoever does not say that they know of it."""
    if held.stop is not None:
        fail(f"{held.stop}; `oncall-agent resume {held.stop.id}` lifts that", code=FINDING)
    changes = any(not step.is_read_only for step in (*plan.steps, *plan.rollback))
    freeze = held.freeze
    if freeze is not None and freeze.mode is FreezeMode.NOTIFY and changes and not in_freeze:
        fail(f"{freeze}: nothing is to be changed; --in-freeze runs it all the same", code=FINDING)


def _carry_out(
    run: Run,
    context: Context,
    store: Store,
    incident_id: str,
    runbook: Runbook,
    plan: Plan,
    *,
    passes: FreezeMode,
) -> bool:
    incident = store.incident(incident_id)
    intake.receive(context, incident)
    started = Entry(
        "started-by", EventKind.SYSTEM, f"{operator()} runs {runbook.id} by hand", {ASKED_BY: operator()}
    )
    store.record(incident_id, [started])
    store.keep_revision(runbook)
    chosen = Matched(runbook.id, runbook.revision, 1.0, ("chosen on the command line",))
    store.record(incident_id, (), changes=Changes(match=chosen, runbook_title=runbook.title))
    decided = planning.decide(context, incident_id, runbook, incident.alert)
    terms = replace(terms_of(context, runbook), passes=passes.value)
    end: Execution
    try:
        agreed = _no_longer(plan, decided) or _agreed(run, context, incident, chosen, runbook, plan, terms)
        if isinstance(agreed, Agreed):
            job = Job(
                incident_id, runbook, agreed.plan, deadline_of(context, incident.alert, runbook), agreed.terms
            )
            end = execute(run, context, job)
            if isinstance(end, Completed):
                end = verify(run, context, job, end)
        else:
            end = agreed
    except KeyboardInterrupt:
        end = StandDown(operator(), "interrupted the run on the command line")
    closing.close(context, incident_id, end)
    return isinstance(end, Completed)


def _agreed(
    run: Run,
    context: Context,
    incident: Incident,
    chosen: Matched,
    runbook: Runbook,
    plan: Plan,
    terms: Terms,
) -> Agreed | Stopped | StandDown:
    """Whoever types it is its approval, unless it takes somebody else's."""
    if needs.needs(context, incident.id, runbook, (*plan.steps, *plan.rollback)).is_plain:
        return Agreed(plan, terms, runbook)
    console.print(f"waiting for others: `oncall-agent approve {incident.id}`, or in Slack or the console")
    return agree(
        run,
        context,
        incident.id,
        alert=incident.alert,
        found=chosen,
        runbook=runbook,
        plan=plan,
        terms=replace(terms, autonomy=Autonomy.APPROVE.value),
    )


def _no_longer(shown: Plan, decided: Plan) -> Stopped | None:
    """What was counted may have changed, and other incidents may have used a limit up, since it was shown."""
    if decided.refusals:
        return Stopped(f"Refused: {decided.refusals[0]}", EscalationTrigger.REFUSED)
    if decided.plan_hash != shown.plan_hash:
        return Stopped("Refused: the plan is no longer the one that was shown", EscalationTrigger.REFUSED)
    return None


def _show_end(store: Store, incident_id: str, *, as_json: bool) -> None:
    if as_json:
        print_json(views.incident(store, incident_id))
        return
    console.print()
    for event in store.timeline(incident_id):
        if event.kind != "summary":
            console.print(f"[dim]{event.at:%H:%M:%S}[/dim] {plain(event.text)}")
