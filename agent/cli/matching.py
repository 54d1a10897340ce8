"""`match`: which runbook answers an alert and why, or documentation many alerts; `choose`: a human says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from agent.adapters.codec import to_data
from agent.cli.alerts import SourceOption, alert_in
from agent.cli.approvals import actor_here
from agent.cli.incidents import IncidentArgument, find, on_command_line, open_store
from agent.cli.output import (
    DEFAULT_CONFIG,
    FINDING,
    USAGE,
    ConfigOption,
    JsonOption,
    console,
    fail,
    load_config,
    plain,
    print_json,
    print_json_line,
)
from agent.cli.runbooks import offline_context
from agent.domain.decisions import Ambiguous, Matched, NoMatch
from agent.domain.people import Deed
from agent.pipeline import answers, matching
from agent.pipeline.answers import NotTaken
from agent.pipeline.context import Context
from agent.pipeline.learned import Learned
from agent.pipeline.matching import Explained
from agent.ranking import Ranked, Ranker
from agent.ranking import corpus as corpora

_SHOWN = 10

PairsOption = Annotated[Path | None, typer.Option("--pairs", help="Alerts to ask, one JSON object a line.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(name="match")(match_command)
    app.command()(choose)


def match_command(
    alert: Annotated[Path | None, typer.Option("--alert", help="A webhook body, or our normal form.")] = None,
    source: SourceOption = "",
    corpus: Annotated[Path | None, typer.Option("--corpus", help="A folder of Markdown files.")] = None,
    pairs: PairsOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> None:
    """Rank the runbooks for an alert; or, with --corpus and --pairs, plain documentation for many alerts.

    With --source the file is read as that source's webhook, and what was read is shown: to try a mapping.
    """
    if corpus is not None and pairs is not None and alert is None:
        _match_corpus(corpus, pairs, min_confidence=load_config(config).matching.min_confidence, as_json=json)
    elif alert is not None and corpus is None and pairs is None:
        _match_alert(alert, config, source=source, as_json=json)
    else:
        fail("give either --alert FILE, or --corpus DIR with --pairs FILE", code=USAGE)


def choose(
    incident: IncidentArgument,
    runbook: Annotated[str, typer.Argument(help="One of the runbooks that are offered.")],
    config: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> None:
    """Say which of the offered runbooks answers an incident; it then runs within its guards and approvals.

    While a plan is asked about: which other one that matches; its plan is made, and asked about anew.
    """
    loaded = load_config(config)
    store = open_store(loaded)
    found = find(store, incident)
    answer = answers.choose(
        store,
        found,
        runbook,
        by=on_command_line(),
        now=datetime.now(UTC),
        actor=actor_here(loaded, Deed.CHOOSE),
    )
    if isinstance(answer, NotTaken):
        fail(answer.why, code=FINDING)
    if json:
        print_json({"incident": found.id, "runbook": runbook, "by": answer.decision.by})
    else:
        console.print(f"chosen: {plain(runbook)} for {found.id}")


def _match_alert(alert: Path, config: Path, *, source: str, as_json: bool) -> None:
    context = _context(config)
    read = alert_in(alert, context.config, source=source)
    shown = {name: value for name, value in to_data(read).items() if value} if source else {}
    decision = matching.match(context, read)
    explained = matching.explain(context, read)
    words = {Matched: "match", NoMatch: "none", Ambiguous: "ambiguous"}[type(decision)]
    if as_json:
        found = {"alert": shown} if source else {}
        print_json({**found, "decision": words, "ranked": [_ranked_row(each) for each in explained]})
    else:
        for name, value in shown.items():
            console.print(f"{name}: {plain(str(value))}")
        console.print(f"decision: [bold]{words}[/bold]")
        for each in explained:
            mark = "[green]✔[/green]" if each.verdict.holds else "[red]✘[/red]"
            console.print(f"{mark} {each.runbook.id} ({each.probability:.2f}): {plain(_said(each))}")
    if not isinstance(decision, Matched):
        raise typer.Exit(FINDING)


def _context(config: Path) -> Context:
    """With the daemon's history if there is one, so that the verdict is the daemon's; none is made."""
    loaded = load_config(config)
    context = offline_context(loaded)
    sqlite = loaded.database.url.removeprefix("sqlite:///")
    if sqlite != loaded.database.url and not Path(sqlite).is_file():
        return replace(context, learned=Learned(history=False))
    return context


def _said(each: Explained) -> str:
    said = each.verdict.reasons if each.verdict.holds else each.verdict.missing
    scores = [reason for reason in each.reasons if reason not in said]
    return "; ".join(said) + (f" | {'; '.join(scores)}" if scores else "")


def _ranked_row(each: Explained) -> dict[str, Any]:
    return {
        "runbook": each.runbook.id,
        "runbook_path": each.runbook.path,
        "holds": each.verdict.holds,
        "probability": round(each.probability, 4),
        "reasons": list(each.verdict.reasons),
        "missing": list(each.verdict.missing),
        "scores": [reason for reason in each.reasons if reason not in each.verdict.reasons],
    }


def _match_corpus(root: Path, pairs: Path, *, min_confidence: float, as_json: bool) -> None:
    """One line for each alert; a folder is read once, whatever asks it."""
    rankers: dict[str, Ranker] = {}
    for pair in corpora.read_pairs(pairs, root):
        if pair.part not in rankers:
            rankers[pair.part] = corpora.ranker_of(root, pair.part)
        ranked = rankers[pair.part].rank(pair.question)[:_SHOWN]
        decision = corpora.verdict(ranked, min_confidence=min_confidence)
        if as_json:
            print_json_line({"id": pair.id, "decision": decision.value, "ranked": _rows(ranked)})
        else:
            best = f"{ranked[0].key} ({ranked[0].probability:.2f})" if ranked else "nothing"
            console.print(f"{plain(pair.id)}  {decision.value:<9}  {plain(best)}")


def _rows(ranked: Sequence[Ranked]) -> list[dict[str, Any]]:
    return [
        {"runbook_path": each.key, "probability": round(each.probability, 4), "reasons": list(each.reasons)}
        for each in ranked
    ]
