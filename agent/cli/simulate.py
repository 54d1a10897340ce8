"""`simulate`: PagerDuty and Slack on loopback, to try `serve` before anything is connected."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from agent.cli.output import console, fail, plain

if TYPE_CHECKING:
    from agent.simulators.pagerduty import PagerDutySimulator
    from agent.simulators.slack import SlackSimulator

_DELIVER_TO = "http://127.0.0.1:8080/webhook/pagerduty"
_LOOK_EVERY_S = 0.2

PortOption = Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free port.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(simulate)


def simulate(
    pagerduty_port: PortOption = 9101,
    slack_port: PortOption = 9102,
    deliver_to: Annotated[str, typer.Option(help="Where signed webhooks are sent.")] = _DELIVER_TO,
    write_config: Annotated[
        Path | None, typer.Option(help="Also write the configuration to this new file.")
    ] = None,
) -> None:
    """Play PagerDuty and Slack on loopback until Ctrl-C, and print what arrives."""
    from agent.demo.processes import ended_by_signals
    from agent.simulators.pagerduty import PagerDutySimulator
    from agent.simulators.slack import SlackSimulator

    try:
        pagerduty, slack = PagerDutySimulator(port=pagerduty_port), SlackSimulator(port=slack_port)
    except (OSError, SystemExit):
        ports = f"port {pagerduty_port} or {slack_port}"
        fail(f"{ports} is in use; choose others with --pagerduty-port and --slack-port")
    with pagerduty, slack, ended_by_signals():
        pagerduty.subscribe(deliver_to)
        _explain(pagerduty, slack, deliver_to, write_config)
        _watch(pagerduty, slack)


def _explain(
    pagerduty: PagerDutySimulator, slack: SlackSimulator, deliver_to: str, write_config: Path | None
) -> None:
    from agent.demo.settings import config_text, environment

    text = config_text(pagerduty, slack, port=urlsplit(deliver_to).port or 8080)
    _heading("1. config.yaml")
    console.print(plain(text))
    if write_config is not None:
        _write(write_config, text)
    _heading("2. In the terminal of the agent")
    for name, value in environment(pagerduty, slack).items():
        console.print(f"export {name}={shlex.quote(value)}")
    console.print(f"oncall-agent serve --config {write_config or 'config.yaml'}\n")
    _heading("3. Trigger a page")
    body = '{"title": "Redis connection timeout", "service": "api-gateway", "severity": "critical"}'
    console.print(plain(f"curl -X POST {pagerduty.url}/_sim/incidents -d {shlex.quote(body)}\n"))
    _heading("4. Be the human")
    console.print("# ID stands in the answer to 3; instead of acknowledge: resolve, reassign, reopen, clear")
    console.print(f"curl -X POST {pagerduty.url}/_sim/incidents/ID/acknowledge")
    console.print(f"curl {slack.url}/_sim/transcript\n")
    _heading(f"Webhooks go to {deliver_to}. What arrives, until Ctrl-C:")


def _heading(text: str) -> None:
    console.print(f"[bold]{plain(text)}[/bold]")


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        fail(f"{path} could not be written: {error.strerror}; --write-config wants a new file")
    console.print(f"written to {path}\n")


def _watch(pagerduty: PagerDutySimulator, slack: SlackSimulator) -> None:
    from agent.demo.screen import Screen
    from agent.demo.watch import Watch

    watch = Watch(pagerduty, slack, Screen())
    try:
        while True:
            watch.look()
            time.sleep(_LOOK_EVERY_S)
    except KeyboardInterrupt:
        watch.look()
        console.print("\nstopped")
