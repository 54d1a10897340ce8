"""`doctor`: is everything in place for the first page, and if not, what to do?"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import typer

from agent.adapters.clock import SystemClock
from agent.adapters.pagerduty_rest import PagerDutyDesk
from agent.adapters.sandbox.runner import LauncherSandbox
from agent.adapters.sandbox.selftest import ALL_GAPS
from agent.adapters.sandbox.selftest import Grade as Walls
from agent.adapters.slack import SlackChat, SlackWebhookChat
from agent.adapters.store import Store
from agent.cli.checks import Check, Grade
from agent.cli.doctor_database import database_checks
from agent.cli.doctor_jira import jira_checks
from agent.cli.doctor_keeptrusts import keeptrusts_checks
from agent.cli.doctor_people import people_checks
from agent.cli.doctor_probes import probe_checks
from agent.cli.doctor_queue import queue_checks
from agent.cli.doctor_slack import press_checks
from agent.cli.doctor_sources import source_checks
from agent.cli.doctor_ways import ways_checks
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
from agent.cli.rights import preflight, rights_in
from agent.config import Config, is_loopback, missing_secrets
from agent.domain.errors import AgentError, ServiceError
from agent.domain.freeze import strictest
from agent.library import Library
from agent.safety.effects import TRUSTED_PATH
from agent.surroundings import open_cloud_vault

_COLOURS = {Grade.OK: "green", Grade.NOTE: "yellow", Grade.BAD: "red"}


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def doctor(config: ConfigOption = DEFAULT_CONFIG, json: JsonOption = False) -> None:
        """Check configuration, runbooks, database, PagerDuty, Slack and sandbox; changes nothing."""
        loaded = load_config(config)
        open_cloud_vault(loaded)
        checks = list(examine(loaded))
        if json:
            print_json([{"name": c.name, "grade": c.grade, "seen": c.seen, "fix": c.fix} for c in checks])
        else:
            _show(checks)
        if any(check.grade is Grade.BAD for check in checks):
            raise typer.Exit(FINDING)


def examine(config: Config) -> Iterator[Check]:
    """Every check, in the order in which one would set things up."""
    yield from _runbooks(config)
    yield from database_checks(config)
    missing = missing_secrets(config)
    for problem in missing:
        yield Check("secret", Grade.BAD, f"{problem.key_path}: {problem.message}", problem.fix)
    if not missing:
        yield from _pagerduty(config)
        yield from _slack(config)
        yield from jira_checks(config)
    yield from source_checks(config)
    yield from _kubernetes(config)
    yield from _programs()
    yield from _sandbox(config)
    yield from _server(config)
    yield from people_checks(config)
    yield from probe_checks(config)
    yield from queue_checks(config)
    if not missing:
        yield from ways_checks(config)
    if not missing:
        yield from keeptrusts_checks(config)
    yield from _held(config)
    yield _dead_mans_switch(config)


def _runbooks(config: Config) -> Iterator[Check]:
    path = Path(config.runbooks.path)
    if not path.is_dir():
        fix = "set runbooks.path to the folder of your Markdown runbooks"
        yield Check("runbooks", Grade.BAD, f"{path} is not a folder", fix)
        return
    library = Library(path)
    seen = f"{len(library.runbooks)} runbooks, {len(library.documentation)} other documents"
    yield Check(
        "runbooks", Grade.OK if library.runbooks else Grade.BAD, seen, "" if library.runbooks else "write one"
    )
    for problem in library.problems:
        yield Check("runbooks", Grade.BAD, str(problem))


def _pagerduty(config: Config) -> Iterator[Check]:
    section = config.pagerduty
    if section is None:
        fix = "add a pagerduty section (README, Connect PagerDuty)"
        yield Check("pagerduty", Grade.NOTE, "switched off: no pages come in and nobody can be paged", fix)
        return
    if section.webhook_secrets:
        yield Check("pagerduty webhook", Grade.OK, f"{len(section.webhook_secrets)} signing secret(s)")
    else:
        comes_elsewhere = any(config.sources.each())  # and PagerDuty is there to wake people
        grade = Grade.NOTE if section.allow_unsigned_webhooks or comes_elsewhere else Grade.BAD
        seen = (
            "unsigned webhooks are accepted"
            if section.allow_unsigned_webhooks
            else "every webhook is refused"
        )
        yield Check("pagerduty webhook", grade, seen, "set pagerduty.webhook_secrets")
    yield _pagerduty_rest(config)
    yield _pagerduty_events(config)


def _pagerduty_rest(config: Config) -> Check:
    section = config.pagerduty
    if section is None or section.api_token is None:
        return Check(
            "pagerduty rest",
            Grade.NOTE,
            "no api_token: no details, acknowledge, notes or resolve",
            "set pagerduty.api_token",
        )
    token = section.api_token.resolve().reveal()
    desk = PagerDutyDesk(section.api_url, token, section.from_email, timeout_s=section.timeout_s)
    try:
        user = desk.own_user_id()
    except ServiceError as error:
        return Check("pagerduty rest", Grade.BAD, str(error), "check pagerduty.api_url and api_token")
    if user:
        return Check("pagerduty rest", Grade.OK, f"reached; our writes are counted for user {user}")
    fix = "set pagerduty.from_email to a real user's address, or pagerduty.agent_user_id"
    return Check("pagerduty rest", Grade.BAD, f"no user has the address {section.from_email}", fix)


def _pagerduty_events(config: Config) -> Check:
    section = config.pagerduty
    if section is None or section.routing_key is None:
        return Check(
            "pagerduty events", Grade.BAD, "no routing_key: nobody can be paged", "set pagerduty.routing_key"
        )
    try:
        httpx.get(section.events_url, timeout=section.timeout_s)
    except httpx.HTTPError as error:
        seen = f"{section.events_url} cannot be reached ({type(error).__name__})"
        return Check("pagerduty events", Grade.BAD, seen, "check pagerduty.events_url and the network")
    length = len(section.routing_key.resolve().reveal())
    if length != 32:
        fix = "copy the Integration Key of an Events API v2 integration"
        return Check("pagerduty events", Grade.BAD, f"the routing_key has {length} characters, not 32", fix)
    return Check("pagerduty events", Grade.OK, "reached; the key itself is only proved by the first page")


def _slack(config: Config) -> Iterator[Check]:
    section = config.slack
    if section is None:
        fix = "add a slack section (docs/slack.md)"
        yield Check("slack", Grade.NOTE, "switched off: the story is told in the log and the API only", fix)
        return
    from agent.wiring import chat_of

    chat = chat_of(config)
    if not isinstance(chat, SlackChat | SlackWebhookChat):
        yield Check("slack", Grade.BAD, "neither bot_token nor webhook_url is set", "set slack.bot_token")
        return
    seen = chat.check()
    for problem in seen.problems:
        yield Check("slack", Grade.BAD, problem)
    if seen.ok:
        words = (
            f"team {seen.team}, as {seen.bot_user}, in {section.channel}" if seen.team else "incoming webhook"
        )
        yield Check("slack", Grade.OK, words)
    for told in (*seen.unchecked, *seen.notes):
        yield Check("slack", Grade.NOTE, told)
    yield from press_checks(config, seen.scopes)


def _kubernetes(config: Config) -> Iterator[Check]:
    """Whether our credentials may do what the runbooks' steps need, before a page finds out."""
    if not Path(config.runbooks.path).is_dir():
        return
    try:
        rights = rights_in(config)
        lacking = preflight(config, rights)
    except AgentError as error:
        seen = f"what the runbooks may do there is unknown: {error}"
        yield Check("kubernetes", Grade.BAD, seen, "check the kubernetes section and the network")
        return
    for each in lacking:
        yield Check("kubernetes", Grade.BAD, str(each), "oncall-agent rbac | kubectl apply -f -")
    needed = sum(bool(step.cluster) for step in rights.steps)
    if not needed:
        yield Check("kubernetes", Grade.NOTE, "no runbook needs a cluster")
    elif not lacking:
        yield Check("kubernetes", Grade.OK, f"our Role has all that {needed} steps need")


def _programs() -> Iterator[Check]:
    for program in ("kubectl", "redis-cli", "curl", "jq"):
        found = shutil.which(program, path=os.pathsep.join(TRUSTED_PATH))
        seen = found or "not installed: steps that use it fail"
        yield Check(program, Grade.OK if found else Grade.NOTE, seen)


def _sandbox(config: Config) -> Iterator[Check]:
    """Not asked of the kernel but tried: a launched child attempts what no step may do."""
    section = config.execution
    sandbox = LauncherSandbox(SystemClock(), mode=section.sandbox, accept_gaps=section.accept_gaps)
    report = sandbox.describe()
    if report.without_layers:
        fix = "set execution.sandbox to auto"
        yield Check("sandbox", Grade.NOTE, "weak: execution.sandbox is process, no walls are put up", fix)
        return
    if report.grade is Walls.FULL:
        yield Check("sandbox", Grade.OK, f"full: {', '.join(ALL_GAPS)} tried, and closed")
        return
    refused = report.refused_for
    words = f"refuse: only reads are run, for want of {', '.join(refused)}" if refused else "weak"
    fix = "run it on Linux 6.12 or later with Landlock, or name the gap in execution.accept_gaps"
    yield Check("sandbox", Grade.BAD if refused else Grade.NOTE, words, fix if refused else "")
    for finding in report.findings:
        accepted = " (accepted)" if finding.gap in report.accepted else ""
        yield Check(f"sandbox {finding.gap}", Grade.NOTE, f"{finding.seen}{accepted}")


def _server(config: Config) -> Iterator[Check]:
    server = config.server
    if not is_loopback(server.host) and server.api_token is None:
        seen = f"listens on {server.host} without server.api_token: /api answers 403"
        yield Check("server", Grade.NOTE, seen, "set server.api_token to read the API from other machines")
        return
    yield Check("server", Grade.OK, f"will listen on {server.host}:{server.port}")


def _held(config: Config) -> Iterator[Check]:
    """What humans have stopped, and the window that is open: the agent is well, and does less."""
    try:
        store = Store(config.database.url, SystemClock())
        stops = store.stops()
        store.close()
    except AgentError as error:
        yield Check("stops", Grade.BAD, f"whether it is stopped is unknown: {error}", "check database.url")
        return
    for stop in stops:
        yield Check("stops", Grade.NOTE, str(stop), f"oncall-agent resume {stop.id}")
    freeze = strictest(config.freezes(), datetime.now(UTC))
    if freeze is not None:
        yield Check("freeze", Grade.NOTE, f"{freeze} ({freeze.mode})", "it ends by itself")
    if not stops and freeze is None:
        yield Check("stops", Grade.OK, "nothing is stopped or frozen")


def _dead_mans_switch(config: Config) -> Check:
    """Whether anybody is paged when the agent itself is gone, as far as its configuration says."""
    section = config.heartbeat
    if section.url is None:
        seen = (
            "none: when the agent itself is gone nobody is paged, unless `oncall-agent watch` runs somewhere"
        )
        fix = "set heartbeat.url, or run `oncall-agent watch` (docs/watching.md)"
        return Check("dead man's switch", Grade.NOTE, seen, fix)
    seen = f"heartbeat.url is asked every {section.every_s:g} s while the agent is well"
    return Check("dead man's switch", Grade.OK, seen)


def _show(checks: list[Check]) -> None:
    width = max(len(check.name) for check in checks)
    for check in checks:
        colour = _COLOURS[check.grade]
        fix = f" [dim]→ {plain(check.fix)}[/dim]" if check.fix else ""
        console.print(
            f"[{colour}]{check.grade:<4}[/{colour}] {check.name:<{width}}  {plain(check.seen)}{fix}"
        )
