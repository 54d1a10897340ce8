"""`approve`, `reject`: a human's word on a plan, or other values for it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from agent.cli.incidents import IncidentArgument, find, on_command_line, open_store, operator
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
from agent.domain.incident import Incident
from agent.domain.people import LEAST_ROLE, Actor, Deed, Via, refusal
from agent.escalations.settings import queueing_of
from agent.pipeline import answers
from agent.pipeline.answers import NotTaken, Taken
from agent.pipeline.meant import unclear
from agent.pipeline.telling import Teller
from agent.safety.redaction import Redactor

StepByStepOption = Annotated[
    bool, typer.Option("--step-by-step", help="Ask again before each step that changes something.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="NAME=VALUE: have this parameter edited; the plan made from it asks anew."),
]
PlanOption = Annotated[
    str, typer.Option("--plan", help="The plan's hash, or its first 12 characters: this one and no other.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(approve)
    app.command()(reject)


def approve(
    incident: IncidentArgument,
    step_by_step: StepByStepOption = False,
    edits: SetOption = None,
    plan: PlanOption = "",
    config: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> None:
    """Let the plan run exactly as it was shown; or have it made anew with other values (--set)."""
    if not edits:
        _decide(incident, config, approved=True, plan=plan, step_by_step=step_by_step, as_json=json)
        return
    if step_by_step:
        fail("--set makes another plan, which is approved by itself; --step-by-step belongs to that")
    parameters = dict(_pair(each) for each in edits)
    loaded = load_config(config)
    store = open_store(loaded)
    found = find(store, incident)
    answer = answers.edit(
        store,
        found,
        parameters,
        by=on_command_line(),
        now=datetime.now(UTC),
        plan_hash=plan,
        actor=actor_here(loaded, Deed.APPROVE),
    )
    taken = _taken(answer)
    if json:
        print_json({"incident": found.id, "parameters": parameters, "by": taken.decision.by})
        return
    values = ", ".join(f"{name} = {value}" for name, value in parameters.items())
    console.print(f"edited: {found.id}, {plain(values)}; the plan is made anew and asks for its own approval")


def reject(
    incident: IncidentArgument, config: ConfigOption = DEFAULT_CONFIG, json: JsonOption = False
) -> None:
    """Do not let the plan run; a human is paged, unless the runbook says otherwise."""
    _decide(incident, config, approved=False, plan="", step_by_step=False, as_json=json)


def actor_here(config: Config, deed: Deed) -> Actor | None:
    """Who types it: the user of the system, who must be in `people` if anybody is; None if nobody is."""
    if not config.people:
        return None
    person = config.person(operator())
    if person is None:
        who, least = operator(), LEAST_ROLE[deed]
        fail(
            f"{who} is not in `people` of the configuration, so may not {deed.replace('_', ' ')}; "
            f"add {{name: {who}, role: {least}}} there, or do it in the console or Slack"
        )
    if why := refusal(person, deed):
        fail(why, code=FINDING)
    return Actor(person, Via.CLI)


def _pair(text: str) -> tuple[str, str]:
    name, is_pair, value = text.partition("=")
    if not is_pair or not name.strip():
        fail(f"--set {plain(text)}: write NAME=VALUE")
    return name.strip(), value


def _decide(
    incident: str, config: ConfigOption, *, approved: bool, plan: str, step_by_step: bool, as_json: bool
) -> None:
    loaded = load_config(config)
    store = open_store(loaded)
    found = find(store, incident)
    store.queueing = queueing_of(loaded)  # whose yes counts still
    if approved and not plan and (why := unclear(store, found, by=on_command_line())):
        fail(f"{why}: --plan HASH", code=FINDING)
    answer = answers.decide(
        store,
        found,
        approved=approved,
        by=on_command_line(),
        now=datetime.now(UTC),
        plan_hash=plan,
        actor=actor_here(loaded, Deed.APPROVE if approved else Deed.STAND_DOWN),
        step_by_step=step_by_step,
        teller=Teller(store, Redactor(known_secrets(loaded)), loaded.channels()),
    )
    taken = _taken(answer)
    _show(found, taken, "approved" if approved else "rejected", as_json=as_json)


def _taken(answer: Taken | NotTaken) -> Taken:
    if isinstance(answer, NotTaken):
        fail(answer.why, code=FINDING)
    return answer


def _show(found: Incident, taken: Taken, word: str, *, as_json: bool) -> None:
    decides = taken.decision.plan_hash
    if as_json:
        said = {"incident": found.id, "plan_hash": decides, "decision": word, "by": taken.decision.by}
        print_json(said | {"waits_for": taken.waits_for})
    elif taken.waits_for:
        missing = "one more person" if taken.waits_for == 1 else f"{taken.waits_for} more people"
        console.print(f"your yes counts: {found.id}, plan {decides[:12]}; {missing} must say yes too")
    else:
        console.print(f"{word}: {found.id}, plan {decides[:12]}")
