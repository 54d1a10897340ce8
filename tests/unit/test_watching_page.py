"""What docs/watching.md shows is there: its commands, configuration, unit, metrics, reasons and times."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
import typer
import yaml
from markdown_it import MarkdownIt
from prometheus_client import generate_latest
from typer.testing import CliRunner

from agent.adapters.store import Store
from agent.cli import watch
from agent.config import parse
from agent.delivery import lateness
from agent.domain.stuck import Why
from agent.library import Library
from agent.pipeline.stuck import GRACE
from agent.pulse import LATE_AFTER_S, Pulse
from agent.safety.redaction import Redactor
from agent.watching import BELIEVED_AFTER
from agent.web.app import WebParts, create_app

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "watching.md").read_text()


def shown(info: str) -> list[str]:
    tokens = MarkdownIt().parse(PAGE)
    return [token.content for token in tokens if token.type == "fence" and token.info == info]


def commands() -> list[list[str]]:
    lines = [line for text in shown("console") for line in text.splitlines()]
    units = [line for text in shown("ini") for line in text.splitlines() if line.startswith("ExecStart=")]
    typed = [line.removeprefix("$ ").partition("#")[0] for line in lines]
    typed += [line.removeprefix("ExecStart=/usr/local/bin/") for line in units]
    return [shlex.split(line) for line in typed]


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_is_one_that_there_is(command: list[str]) -> None:
    assert command[:2] == ["oncall-agent", "watch"]
    app = typer.Typer()
    app.callback()(lambda: None)
    watch.register(app)
    ran = CliRunner().invoke(app, [*command[1:], "--config", "/nowhere/config.yaml"])
    assert ran.exit_code != 0
    assert "/nowhere/config.yaml cannot be used" in str(ran.exception), ran.output


def test_the_configuration_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    (text,) = [each for each in shown("yaml") if each.startswith("heartbeat:")]
    section = parse(yaml.safe_load(text), path="config.yaml").heartbeat
    assert section.every_s == 30
    assert "authorization: {env: OPSGENIE_HEARTBEAT}" in PAGE
    parse({"heartbeat": {"authorization": {"env": "OPSGENIE_HEARTBEAT"}}}, path="config.yaml")


def test_the_overlay_names_a_component_that_is_there() -> None:
    (text,) = [each for each in shown("yaml") if each.startswith("components:")]
    for component in yaml.safe_load(text)["components"]:
        assert (ROOT / "deploy/k8s/overlays/sqlite" / component / "kustomization.yaml").is_file()


def test_the_unit_is_one(tmp_path: Path) -> None:
    (text,) = shown("ini")
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[method-assign,assignment]
    unit.read_string(text)
    assert unit.sections() == ["Unit", "Service", "Install"]
    assert unit["Service"]["Restart"] == "always"
    verify = shutil.which("systemd-analyze")
    if verify is None:
        return
    path = tmp_path / "oncall-agent-watch.service"
    path.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.M))
    ran = subprocess.run([verify, "verify", str(path)], capture_output=True, text=True)
    assert path.name not in ran.stderr


def test_the_state_is_kept_where_systemd_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/private/oncall-agent-watch")
    assert watch.state_path() == Path("/var/lib/private/oncall-agent-watch/watch.json")


def test_the_metrics_in_the_rules_are_there(store: Store, tmp_path: Path) -> None:
    (text,) = [each for each in shown("yaml") if each.startswith("groups:")]
    rules = yaml.safe_load(text)["groups"][0]["rules"]
    named = {name for rule in rules for name in re.findall(r"oncall_[a-z_]+", rule["expr"])}
    named |= set(re.findall(r"`(oncall_[a-z_]+)", PAGE))
    parts = WebParts(
        config=parse({}, path="config.yaml"),
        store=store,
        library=Library(tmp_path),
        redactor=Redactor([]),
        notify=lambda: None,
        ready=threading.Event(),
        pulse=Pulse(store.clock),
    )
    parts.pulse.ticked("watchdog")
    create_app(parts)
    text = generate_latest(parts.metrics.registry).decode()
    known = set(re.findall(r"^# TYPE (oncall_[a-z_]+)", text, flags=re.M)) | set(
        re.findall(r"^(oncall_[a-z_]+)", text, flags=re.M)
    )
    assert sorted(named - known - {"oncall_outbox_oldest_seconds"}) == []  # shown once a letter waits


def test_every_reason_is_told() -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \|", PAGE, flags=re.M)
    assert sorted(rows) == sorted(why.value for why in Why)


def test_the_times_are_those_of_the_code() -> None:
    assert LATE_AFTER_S == GRACE.total_seconds() == lateness.PAGE_LATE_AFTER.total_seconds() == 120
    assert lateness.STORY_LATE_AFTER.total_seconds() == 1_800
    assert lateness.EVENT_LATE_AFTER.total_seconds() == 120
    assert BELIEVED_AFTER == 3
    assert "once three looks in a row are good" in PAGE.replace("\n", " ")
