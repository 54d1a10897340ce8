"""`lint`, `test`, `plan`: everything an author does with a runbook before a page comes in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from agent.adapters.clock import SystemClock
from agent.adapters.kubernetes import credentials as kubernetes_credentials
from agent.adapters.store import Store
from agent.cli import holds, plan_view
from agent.cli.alerts import AlertOption, SourceOption, alert_in
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
from agent.cli.rights import preflight, rights_in
from agent.config import Config
from agent.domain.alert import Alert
from agent.domain.runbook import Runbook
from agent.library import Broken, Documentation, Parsed
from agent.library.examples import check_examples
from agent.library.lint import Finding, Level, lint
from agent.library.load import read_file
from agent.pipeline import planning
from agent.pipeline.context import Context
from agent.pipeline.probe_remarks import probe_remarks
from agent.safety.least_rights import in_words
from agent.safety.least_samples import OneOfEverything
from agent.safety.places import SOMEWHERE

RunbookArgument = Annotated[str, typer.Argument(help="A Markdown file, or the id of a runbook.")]
ClusterOption = Annotated[bool, typer.Option("--cluster", help="Also ask the cluster what we may do.")]
PathsArgument = Annotated[list[Path] | None, typer.Argument(help="Files or folders; default: runbooks.path.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(name="lint")(lint_command)
    app.command(name="test")(examples_command)
    app.command(name="plan")(plan_command)


def lint_command(
    paths: PathsArgument = None,
    config: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
    cluster: ClusterOption = False,
) -> None:
    """Say what is wrong in runbooks, with file, line and fix."""
    loaded = load_config(config)
    context = offline_context(loaded)
    findings: list[Finding] = []
    runbooks = documents = 0
    for path in _markdown_files(paths or [Path(loaded.runbooks.path)]):
        match read_file(path):
            case Parsed(runbook):
                runbooks += 1
                findings += [*lint(runbook), *_unplannable(context, runbook)]
                findings += probe_remarks(context, runbook)
            case Broken(problems):
                findings += [
                    Finding(each.path, each.line, Level.ERROR, each.message, each.fix) for each in problems
                ]
            case Documentation():
                documents += 1
    if cluster:
        findings += _not_permitted(loaded, paths or ())
    _print_findings(findings, runbooks, documents, as_json=json)


def examples_command(
    paths: PathsArgument = None, config: ConfigOption = DEFAULT_CONFIG, json: JsonOption = False
) -> None:
    """Run the Examples of runbooks: what must match, and what must not."""
    findings: list[Finding] = []
    runbooks = 0
    for path in _markdown_files(paths or [Path(load_config(config).runbooks.path)]):
        match read_file(path):
            case Parsed(runbook):
                runbooks += 1
                findings += check_examples(runbook)
            case Broken(problems):
                findings += [
                    Finding(each.path, each.line, Level.ERROR, each.message, each.fix) for each in problems
                ]
            case Documentation():
                pass
    _print_findings(findings, runbooks, 0, as_json=json)


def plan_command(
    runbook: RunbookArgument,
    alert: AlertOption,
    source: SourceOption = "",
    config: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> None:
    """Show what would run, word by word, with effects, charges and verdicts; nothing is run."""
    context = offline_context(load_config(config))
    found, given = find_runbook(context, runbook), alert_in(alert, context.config, source=source)
    planned = planning.plan(context, found, given)
    held = holds.held_now(context, found, service=given.service)
    if json:
        print_json({**plan_view.as_json(planned), **holds.as_json(held)})
    else:
        plan_view.show(planned)
        holds.show(held)
    if planned.refusals:
        raise typer.Exit(FINDING)


def offline_context(config: Config) -> Context:
    """The pipeline's context without a daemon: nothing is sent, nothing outside is asked."""
    from agent.wiring import context_of

    store = Store(config.database.url, SystemClock())
    return context_of(config, store=store, desk=None, channels=frozenset())


def find_runbook(context: Context, name: str) -> Runbook:
    """A runbook by file or id; ends with every problem of a broken file."""
    path = Path(name)
    if not path.is_file():
        found = context.library.runbooks.get(name)
        if found is None:
            known = ", ".join(sorted(context.library.runbooks)) or "none"
            fail(f"there is no file and no runbook {name}; known runbooks: {known}")
        return found
    parsed = read_file(path)
    if isinstance(parsed, Broken):
        fail("\n".join(str(problem) for problem in parsed.problems), code=FINDING)
    if isinstance(parsed, Documentation):
        fail(f"{name} is documentation, not a runbook: no Trigger Conditions and Steps", code=FINDING)
    return parsed.runbook


def _unplannable(context: Context, runbook: Runbook) -> Sequence[Finding]:
    """What a guard would refuse whatever the alert says."""
    defaults = {
        each.name: each.default or (each.one_of[0] if each.one_of else "") for each in runbook.parameters
    }
    labels = {each.label: defaults[each.name] for each in runbook.parameters if each.label}
    if any(not value for value in defaults.values()):
        return ()
    context = _without_a_world(context)
    planned = planning.plan(context, runbook, replace(Alert("lint", "lint", runbook.title), labels=labels))
    lines = {step.index: step.command_line or step.line for step in runbook.steps}
    return [
        Finding(
            runbook.path,
            lines.get(step.index, 1),
            Level.ERROR,
            f"refused: {step.refusal.reason}",
            step.refusal.hint,
        )
        for step in planned.steps
        if step.refusal is not None
    ]


def _without_a_world(context: Context) -> Context:
    """What is not configured here refuses nothing: it would be there where the runbook runs."""
    if kubernetes_credentials.credentials(context.config.kubernetes) is None:
        context = replace(context, counter=OneOfEverything())
    if context.config.keeptrusts is None:
        context = replace(context, tables=replace(context.tables, keeptrusts=SOMEWHERE))
    return context


def _not_permitted(config: Config, paths: Sequence[Path]) -> Iterator[Finding]:
    """What our credentials in the cluster lack for the steps, each at its step."""
    usable = [path for path in paths if path.is_dir() or isinstance(read_file(path), Parsed)]
    if paths and not usable:
        return
    for each in preflight(config, rights_in(config, usable)):
        for step in each.steps:
            yield Finding(
                step.path,
                step.line,
                Level.ERROR,
                f"your Role misses {in_words(each.right)}",
                "oncall-agent rbac prints the least Role",
            )


def _markdown_files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(path.rglob("*.md"))
        elif path.is_file():
            yield path
        else:
            fail(f"{path} does not exist")


def _print_findings(findings: Sequence[Finding], runbooks: int, documents: int, *, as_json: bool) -> None:
    if as_json:
        print_json({"runbooks": runbooks, "findings": [_finding_row(each) for each in findings]})
    else:
        for each in findings:
            fix = f" (fix: {each.fix})" if each.fix else ""
            colour = "red" if each.level is Level.ERROR else "yellow"
            where = plain(f"{each.path}:{each.line}")
            console.print(f"{where}: [{colour}]{each.level}[/{colour}]: {plain(each.message + fix)}")
        told = f"{runbooks} runbooks, {len(findings)} findings"
        console.print(told + (f", {documents} other documents" if documents else ""))
    if any(each.level is Level.ERROR for each in findings):
        raise typer.Exit(FINDING)


def _finding_row(finding: Finding) -> dict[str, Any]:
    return {
        "path": finding.path,
        "line": finding.line,
        "level": finding.level.value,
        "message": finding.message,
        "fix": finding.fix,
    }
