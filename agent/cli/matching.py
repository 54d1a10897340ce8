"""`match`: which runbook answers an alert and why; or how well documentation answers many alerts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from agent.adapters.alert_file import read_alert
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
from agent.domain.runbook import Runbook
from agent.library import Verdict
from agent.pipeline import matching
from agent.ranking import Ranked, Ranker
from agent.ranking import corpus as corpora

_SHOWN = 10

PairsOption = Annotated[Path | None, typer.Option("--pairs", help="Alerts to ask, one JSON object a line.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="match")(match_command)


def match_command(
    alert: Annotated[Path | None, typer.Option("--alert", help="A webhook body, or our normal form.")] = None,
    corpus: Annotated[Path | None, typer.Option("--corpus", help="A folder of Markdown files.")] = None,
    pairs: PairsOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> None:
    """Rank the runbooks for an alert; or, with --corpus and --pairs, plain documentation for many alerts."""
    if corpus is not None and pairs is not None and alert is None:
        _match_corpus(corpus, pairs, min_confidence=load_config(config).llm.min_confidence, as_json=json)
    elif alert is not None and corpus is None and pairs is None:
        _match_alert(alert, config, as_json=json)
    else:
        fail("give either --alert FILE, or --corpus DIR with --pairs FILE", code=USAGE)


def _match_alert(alert: Path, config: Path, *, as_json: bool) -> None:
    context = offline_context(load_config(config))
    read = read_alert(alert)
    decision = matching.match(context, read)
    ranked = matching.rank(context, read)
    words = {Matched: "match", NoMatch: "none", Ambiguous: "ambiguous"}[type(decision)]
    if as_json:
        print_json({"decision": words, "ranked": [_ranked_row(*pair) for pair in ranked]})
    else:
        console.print(f"decision: [bold]{words}[/bold]")
        for each, verdict in ranked:
            mark = "[green]✔[/green]" if verdict.holds else "[red]✘[/red]"
            said = verdict.reasons if verdict.holds else verdict.missing
            console.print(f"{mark} {each.id}: {plain('; '.join(said))}")
    if not isinstance(decision, Matched):
        raise typer.Exit(FINDING)


def _ranked_row(runbook: Runbook, verdict: Verdict) -> dict[str, Any]:
    return {
        "runbook": runbook.id,
        "runbook_path": runbook.path,
        "holds": verdict.holds,
        "probability": 1.0 if verdict.holds else 0.0,
        "reasons": list(verdict.reasons),
        "missing": list(verdict.missing),
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
