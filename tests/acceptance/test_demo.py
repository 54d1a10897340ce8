"""`oncall-agent demo` as anybody runs it: a real process, in any directory, without a terminal."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

import agent
from agent.adapters.audit_chain import Intact
from agent.adapters.audit_log import verify_file
from agent.cli import doctor
from agent.cli.incidents import operator
from agent.config import load
from agent.domain.people import Role

#: What `doctor` finds in order when it looks at the simulators.
_SIMULATED = {"pagerduty webhook", "pagerduty rest", "pagerduty events", "slack"}

_PROGRAMS = ("redis-server", "redis-cli", "curl", "jq")
_MISSING = [name for name in _PROGRAMS if shutil.which(name) is None]

pytestmark = pytest.mark.skipif(
    bool(_MISSING) and "CI" not in os.environ,
    reason=f"not installed: {', '.join(_MISSING)} (make test installs them)",
)


@dataclass(frozen=True)
class Ran:
    exit_code: int
    output: str
    took_s: float
    place: Path


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return _run_demo(tmp_path_factory.mktemp("demo"))


def test_all_three_incidents_end_as_told_within_a_minute(ran: Ran) -> None:
    assert ran.exit_code == 0, ran.output
    assert "All three ended as told" in ran.output
    assert "✘" not in ran.output
    assert ran.took_s < 60


def test_the_shop_is_really_broken_before_and_healthy_after(ran: Ran) -> None:
    health = re.findall(r"\$ curl http://127\.0\.0\.1:\d+/health\n\s+(\d+) (.*)", ran.output)
    assert [status for status, _ in health] == ["503", "200"]
    assert '"redis": "timeout"' in health[0][1]
    assert '"redis": "connected"' in health[1][1]


def test_the_thread_tells_the_commands_that_ran_and_what_they_answered(ran: Ran) -> None:
    told = _in_order(
        "Incident received: Redis connection timeout on shop",
        "Matched runbook: redis-connection-timeout",
        "INFO clients | grep blocked_clients",
        "blocked_clients:8",
        "CLIENT KILL TYPE normal",
        "Step 3 succeeded",
        "connected",
        "Incident Summary: Redis connection timeout on shop",
        "PagerDuty says resolved",
    )
    assert told.search(ran.output), ran.output


def test_the_page_shows_a_human_why_it_stopped_and_what_came_out(ran: Ran) -> None:
    told = _in_order(
        "Step 2 attempt 1 failed",
        "Step 2 attempt 2 failed",
        "PagerDuty pages the on-call human",
        "Runbook step failed twice",
        "what was tried",
        '"gateway": "unreachable"',
        "a human was paged once",
    )
    assert told.search(ran.output), ran.output


def test_an_alert_without_a_runbook_pages_a_human_and_runs_nothing(ran: Ran) -> None:
    told = _in_order("Disk almost full", "No runbook matched", "No matching runbook found", "nothing was run")
    assert told.search(ran.output), ran.output


def test_the_files_that_it_names_are_kept_and_the_audit_log_is_intact(ran: Ran) -> None:
    named = dict(re.findall(r"^(audit log|database|agent's log)\s+(\S+)$", ran.output, flags=re.MULTILINE))
    assert set(named) == {"audit log", "database", "agent's log"}
    assert all(Path(path).is_file() for path in named.values())
    assert isinstance(verify_file(Path(named["audit log"])), Intact)


def test_no_process_is_left_behind(ran: Ran) -> None:
    assert _processes_in(ran.place) == []


def test_ctrl_c_stops_everything_that_was_started(tmp_path: Path) -> None:
    with _started_demo(tmp_path) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if "✔ agent" in line:
                break
        assert _processes_in(tmp_path) != []
        demo.send_signal(signal.SIGINT)
        output, _ = demo.communicate(timeout=60)
    assert demo.returncode == 130, output
    assert "interrupted" in output
    assert _processes_in(tmp_path) == []


def test_without_redis_server_a_small_cache_stands_in_and_is_told(tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("redis-cli", "curl", "jq"):
        (programs / name).symlink_to(shutil.which(name) or name)
    ran = _run_demo(tmp_path, PATH=str(programs))
    assert ran.exit_code == 0, ran.output
    assert "a small cache of our own (no redis-server is installed here)" in ran.output


def test_missing_programs_are_named_with_what_to_install(tmp_path: Path) -> None:
    ran = _run_demo(tmp_path, PATH=str(tmp_path))
    assert ran.exit_code == 1
    assert "redis-cli, curl, jq: not installed here; apt install" in ran.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["lint", "test"])
def test_the_demos_runbooks_are_in_order(command: str, tmp_path: Path) -> None:
    with _started(tmp_path, command, str(Path(agent.__file__).parent / "demo" / "runbooks")) as linting:
        output, _ = linting.communicate(timeout=60)
    assert (linting.returncode, output) == (0, "2 runbooks, 0 findings\n")


def test_simulate_writes_a_config_that_serve_accepts_and_prints_what_arrives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = (
        "--pagerduty-port",
        "0",
        "--slack-port",
        "0",
        "--deliver-to",
        "http://127.0.0.1:8123/webhook/pagerduty",
    )
    told = ""
    with _started(tmp_path, "simulate", *ports, "--write-config", "config.yaml") as simulating:
        assert simulating.stdout is not None
        for line in simulating.stdout:
            told += line
            if line.startswith("export "):
                monkeypatch.setenv(*line.removeprefix("export ").strip().split("=", 1))
            if "until Ctrl-C" in line:
                break
        config = load(tmp_path / "config.yaml")
        seen = doctor.examine(config)
        assert {check.name for check in seen if check.grade is doctor.Grade.OK} >= _SIMULATED
        simulating.terminate()
        output, _ = simulating.communicate(timeout=30)
    assert simulating.returncode == 0
    assert config.server.port == 8123
    you = config.person(operator())
    assert you is not None
    assert you.role is Role.ADMIN
    assert f"oncall-agent people password {operator()} --config config.yaml" in told
    assert "→ Slack      POST /api/auth.test 200" in output


def _run_demo(place: Path, **environment: str) -> Ran:
    began = time.monotonic()
    with _started_demo(place, **environment) as demo:
        output, _ = demo.communicate(timeout=150)
    return Ran(demo.returncode, output, time.monotonic() - began, place)


def _started_demo(place: Path, **environment: str) -> subprocess.Popen[str]:
    return _started(place, "demo", **environment)


def _started(place: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Our command; its own directory and those of its children lie below `place`."""
    root = str(Path(agent.__file__).resolve().parents[1])
    return subprocess.Popen(
        [sys.executable, "-m", "agent", *arguments],
        cwd=place,
        env={**os.environ, "PYTHONPATH": root, "TMPDIR": str(place), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )


def _processes_in(place: Path) -> Sequence[str]:
    """Every process that works in a directory below."""
    return [name for name, directory in _working_directories() if directory.is_relative_to(place)]


def _working_directories() -> Iterator[tuple[str, Path]]:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            yield (process / "comm").read_text().strip(), (process / "cwd").readlink()
        except OSError:
            continue


def _in_order(*texts: str) -> re.Pattern[str]:
    return re.compile(".*?".join(re.escape(text) for text in texts), re.DOTALL)
