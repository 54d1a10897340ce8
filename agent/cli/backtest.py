"""`backtest`: what today's runbooks would have made of a team's pages of the past."""

from __future__ import annotations

import json as jsonlib
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

from agent.adapters.history_file import read_history
from agent.adapters.pagerduty_history import PagerDutyHistory
from agent.cli.output import (
    DEFAULT_CONFIG,
    FINDING,
    USAGE,
    ConfigOption,
    JsonOption,
    console,
    errors,
    fail,
    load_config,
    plain,
    print_json,
)
from agent.cli.runbooks import offline_context
from agent.config import Config
from agent.domain.alert import Alert
from agent.domain.decisions import Ambiguous, Matched, NoMatch
from agent.domain.history import PastAlert
from agent.pipeline import matching
from agent.pipeline.context import Context
from agent.pipeline.learned import Learned
from agent.ranking import Ranker, corpus
from agent.ranking.questions import question_of
from agent.reports.backtest import Backtest, Choice, Decision, Outcome, backtest
from agent.reports.backtest_html import About, as_html, percent
from agent.reports.backtest_json import Measure, as_json, compared

_SINCE = re.compile(r"([0-9]{1,4})([hdw])")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_CHOICES = 5
_SHOWN = 5

Judge = Callable[[Alert], tuple[Decision, tuple[Choice, ...]]]

SinceOption = Annotated[str, typer.Option("--since", help="How far back: 12h, 30d, 8w.")]
ExportOption = Annotated[Path | None, typer.Option("--export", help="A file instead: one incident a line.")]
CorpusOption = Annotated[
    Path | None, typer.Option("--corpus", help="Rank this folder of Markdown by scores, not the runbooks.")
]
LabelsOption = Annotated[bool, typer.Option("--labels", help="Compare with each line's `runbook`.")]
TitlesOption = Annotated[bool, typer.Option("--titles-only", help="Don't fetch each incident's alerts.")]
HtmlOption = Annotated[Path | None, typer.Option("--html", help="Write the report as one HTML file.")]
BaselineOption = Annotated[
    Path | None, typer.Option("--baseline", help="An earlier JSON report; exit 1 if this one is worse.")
]
ToleranceOption = Annotated[float, typer.Option("--tolerance", min=0, max=1, help="How much is not worse.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="backtest")(backtest_command)


def backtest_command(
    since: SinceOption = "30d",
    export: ExportOption = None,
    corpus_folder: CorpusOption = None,
    labels: LabelsOption = False,
    titles_only: TitlesOption = False,
    html: HtmlOption = None,
    baseline: BaselineOption = None,
    tolerance: ToleranceOption = 0.01,
    config: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> None:
    """Match the pages of the past against the runbooks of today; nothing is run and nothing is sent."""
    loaded = load_config(config, with_secrets=export is None)
    before = _baseline(baseline)
    judge, about = _judge(loaded, corpus_folder, source=str(export or f"PagerDuty, last {since}"))
    past = read_history(export) if export is not None else _from_pagerduty(loaded, since, not titles_only)
    report = backtest(list(_outcomes(past, judge)), labels=labels)
    if labels and report.labelled is not None and not report.labelled.count:
        fail("--labels: no line has a `runbook`; add it to the lines that you know the answer of", code=USAGE)
    measures = compared(report, before, tolerance=tolerance) if before is not None else ()
    if html is not None:
        html.write_text(as_html(report, about=about, measures=measures), encoding="utf-8")
    if json:
        print_json(as_json(report))
    else:
        _show(report, html)
    _tell_worse(measures)


def _judge(config: Config, folder: Path | None, *, source: str) -> tuple[Judge, About]:
    least = config.matching.min_confidence
    if folder is not None:
        ranker = corpus.ranker_of(folder)
        about = About(source, len(ranker.index), least, "by scores alone, without Trigger Conditions")
        return _by_scores(ranker, least), about
    # what helped in the past is not asked: it would know the answers of the very pages that are asked
    context = replace(offline_context(config), learned=Learned(history=False), advisor=None)
    if not context.library.runbooks:
        fail(f"{config.runbooks.path} holds no usable runbook; try `oncall-agent lint`", code=USAGE)
    about = About(source, len(context.library.runbooks), least, "by rules and scores, without any LLM")
    return _by_rules(context), about


def _by_rules(context: Context) -> Judge:
    runbooks = context.library.runbooks

    def judge(alert: Alert) -> tuple[Decision, tuple[Choice, ...]]:
        match matching.match(context, alert):
            case Matched(runbook_id, _, confidence):
                return Decision.MATCH, (Choice(runbook_id, confidence, runbooks[runbook_id].path),)
            case Ambiguous(candidates):
                return Decision.AMBIGUOUS, tuple(
                    Choice(each.runbook_id, each.confidence, runbooks[each.runbook_id].path)
                    for each in candidates
                )
            case NoMatch():
                return Decision.NONE, ()

    return judge


def _by_scores(ranker: Ranker, least: float) -> Judge:
    def judge(alert: Alert) -> tuple[Decision, tuple[Choice, ...]]:
        ranked = ranker.rank(question_of(alert))[:_CHOICES]
        choices = tuple(Choice(each.key, each.probability, each.key) for each in ranked)
        return Decision(corpus.verdict(ranked, min_confidence=least).value), choices

    return judge


def _outcomes(past: Iterable[PastAlert], judge: Judge) -> Iterator[Outcome]:
    """The same alert again is the same question: asked once."""
    known: dict[object, tuple[Decision, tuple[Choice, ...]]] = {}
    with _progress() as progress:
        task = progress.add_task("matching", total=None)
        for each in past:
            key = _question(each.alert)
            if key not in known:
                known[key] = judge(each.alert)
            yield Outcome(each, *known[key])
            progress.advance(task)


def _question(alert: Alert) -> object:
    labels = tuple(sorted(alert.labels.items()))
    about = (alert.service, alert.source, alert.severity, alert.urgency, alert.priority, alert.team)
    return (alert.title, alert.body, *about, alert.environment, labels)


def _progress() -> Progress:
    """On standard error, and only where a person looks."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TaskProgressColumn(show_speed=True),
        TextColumn("{task.completed} pages"),
        TimeElapsedColumn(),
        console=errors,
        disable=not errors.is_terminal,
        transient=True,
    )


def _from_pagerduty(config: Config, since: str, with_alerts: bool) -> Iterator[PastAlert]:
    section = config.pagerduty
    if section is None or section.api_token is None:
        fail("pagerduty.api_token is not configured; set it, or give --export FILE", code=USAGE)
    found = _SINCE.fullmatch(since)
    if found is None or int(found[1]) == 0:
        fail(f"--since {since} is not a time; write 12h, 30d or 8w", code=USAGE)
    until = datetime.now(UTC)
    history = PagerDutyHistory(section.api_url, section.api_token.resolve().reveal(), wait=time.sleep)
    try:
        begin = until - int(found[1]) * _UNITS[found[2]]
        yield from history.incidents(begin, until, with_alerts=with_alerts)
    finally:
        history.close()


def _baseline(path: Path | None) -> Mapping[str, Any] | None:
    if path is None:
        return None
    try:
        before = jsonlib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        fail(f"--baseline {path} cannot be read: {error}", code=USAGE)
    if not isinstance(before, dict) or not isinstance(before.get("measures"), dict):
        fail(f"--baseline {path} is no report of `backtest --json`", code=USAGE)
    return before


def _show(report: Backtest, html: Path | None) -> None:
    console.print(f"[bold]{report.total}[/bold] pages")
    for decision, words in (
        (Decision.MATCH, "a runbook takes it"),
        (Decision.AMBIGUOUS, "a human chooses"),
        (Decision.NONE, "no runbook"),
    ):
        console.print(f"  {report.counts[decision]:>6}  {percent(report.share(decision)):>7}  {words}")
    if report.labelled is not None:
        told = report.labelled
        console.print(
            f"of {told.count} labelled: {told.right} right alone, {told.wrong} wrong alone, "
            f"{told.offered} offered, {told.missed + told.offered_without} missed, "
            f"{told.rightly_none} rightly none, {told.asked_for_none} asked about though none is right"
        )
    for use in report.runbooks[:_SHOWN]:
        console.print(f"  {use.count:>6}  {percent(use.share):>7}  {plain(use.runbook)}")
    for wanted in report.wanted[:_SHOWN]:
        console.print(
            f"write this runbook next: {plain(wanted.title)}; "
            f"it would have taken {percent(wanted.share)} of your pages"
        )
    if html is not None:
        console.print(f"report: {plain(str(html))}")


def _tell_worse(measures: Iterable[Measure]) -> None:
    worse = [each for each in measures if each.is_worse]
    for each in worse:
        errors.print(
            f"[red]worse:[/red] {each.words}: {percent(each.before)} before, {percent(each.now)} now"
        )
    if worse:
        raise typer.Exit(FINDING)
