"""The command line as it is typed: arguments in, exit code and both outputs out, never a secret in them."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.adapters.fake_clock import FakeClock
from agent.adapters.store import Store
from agent.cli.app import main
from tests.unit.pipeline.conftest import SETTINGS, HookedSandbox, World

SECRETS = {
    "PAGERDUTY_API_TOKEN": "canary-api-token-1234567890",
    "PAGERDUTY_ROUTING_KEY": "canary0routing0key00000000000000",
    "PAGERDUTY_WEBHOOK_SECRET": "canary-webhook-secret",
    "SLACK_BOT_TOKEN": "xoxb-canary-000000000000",
    "SLACK_SIGNING_SECRET": "canary-signing-secret",
}

#: Nothing in it to remark upon.
HELLO = """---
owner: platform
---
# Runbook: Say Hello

## Trigger Conditions
- Alert contains: "hello world"

## Blast Radius
- max_cache_operations: 1

## Steps

### Step 1: Look
```bash
echo ready
```

### Step 2: Say hello
```bash
echo hello
```
Expected output: "hello"
Failure action: escalate

## Examples
- Matches: hello world
- Does not match: goodbye
"""

FLUSH = """# Runbook: Flush

## Trigger Conditions
- Alert contains: "redis"

## Blast Radius
- max_cache_operations: 1

## Steps

### Step 1: Flush the cache
```bash
redis-cli -h cache.example.com FLUSHDB
```
Expected output: "OK"
Failure action: escalate

### Step 2: Look
```bash
redis-cli -h cache.example.com PING | head -n 1
```
"""


@dataclass(frozen=True)
class Result:
    """What one command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Shell:
    """A directory with a config.yaml, where commands are typed."""

    def __init__(
        self, directory: Path, capture: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch
    ) -> None:
        self.directory = directory
        self._capture = capture
        self._patch = patch
        self.configure()
        (directory / "runbooks").mkdir()
        self.alert("hello", "hello world")

    @property
    def database_url(self) -> str:
        return f"sqlite:///{self.directory}/oncall.db"

    def configure(self, **sections: Any) -> None:
        config = {"database": {"url": self.database_url}, "execution": {"retry_delay_s": 0}, **sections}
        (self.directory / "config.yaml").write_text(yaml.safe_dump(config))

    def runbook(self, name: str, text: str) -> str:
        path = self.directory / "runbooks" / f"{name}.md"
        path.write_text(text)
        return str(path.relative_to(self.directory))

    def alert(self, name: str, title: str, **more: Any) -> str:
        (self.directory / f"{name}.json").write_text(json.dumps({"title": title, **more}))
        return f"{name}.json"

    def __call__(self, *arguments: str, typed: str = "") -> Result:
        self._capture.readouterr()
        self._patch.setattr(sys, "argv", ["oncall-agent", *arguments])
        self._patch.setattr(sys, "stdin", io.StringIO(typed))
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = self._capture.readouterr()
        return _checked(Result(ended.value.code or 0, out, err))  # type: ignore[arg-type]

    def process(self, *arguments: str, **options: Any) -> Result:
        """As a process of its own."""
        done = subprocess.run(
            [sys.executable, "-m", "agent", *arguments],
            cwd=self.directory, capture_output=True, text=True, **options,
        )  # fmt: skip
        return _checked(Result(done.returncode, done.stdout, done.stderr))


def _checked(result: Result) -> Result:
    leaked = [name for name, value in SECRETS.items() if value in result.out + result.err]
    assert leaked == [], f"a secret was printed: {leaked}"
    assert "Traceback" not in result.err, result.err
    return result


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    directory = tmp_path / "here"
    directory.mkdir()
    monkeypatch.chdir(directory)
    monkeypatch.setenv("COLUMNS", "200")
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    return Shell(directory, capsys, monkeypatch)


@pytest.fixture
def world(shell: Shell, migrated: Path) -> World:
    """The daemon behind the same database, at the time of day that the commands see."""
    shutil.copy(migrated, shell.directory)
    store = Store(shell.database_url, FakeClock(datetime.now(UTC)))
    clock = store.clock
    assert isinstance(clock, FakeClock)
    world = World(store, clock, shell.directory / "runbooks", HookedSandbox())
    world.configure(**SETTINGS)
    return world


def words(text: str) -> str:
    """An output on one line, without its columns."""
    return re.sub(r"\s+", " ", text)


def paths(rows: Sequence[dict[str, Any]]) -> list[str]:
    return [row["path"] for row in rows]
