"""No secret leaves: canaries go in by every door, and every sink is searched for them byte for byte.

Where one must be: a token in the header of the request that it signs in, the routing key in the body of a
page (PagerDuty's Events API takes it there), and the environment of the daemon. Nowhere else: what a webhook
brought is redacted before it is stored, too.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest
import yaml

from agent.simulators.pagerduty import PagerDutySimulator
from agent.simulators.server import Fault
from agent.simulators.slack import SlackSimulator
from tests.acceptance.conftest import Agent, wait_until

#: By where it goes in.
ALERT = {
    "title": "AKIACANARYTITLE00001",
    "body": "xoxb-canary-body-0000000001",
    "label": "ghp_CanaryLabel000000000000000000000001",
    "secret label": "canary-label-by-name-0001",
    "url": "canary-url-password-0001",
}
OUTPUT = {
    "stdout": "canary-stdout-password-0001",
    "stderr": "canary-stderr-token-0001",
    "url in the output": "canary-output-url-0001",
    "private key": "MIICanaryKeyCanaryKey0001",
}
FOREIGN_ERROR = "canary-vendor-error-0001"

RUNBOOK = """# Runbook: Leak

## Trigger Conditions
- Alert contains: "leak"

## Blast Radius
- requires_human_approval: false

## Steps

### Step 1: Print what must not be seen
```bash
{script}
```
Expected output: contains "all is well"
Failure action: continue

### Step 2: Print it as an error
```bash
{script} --fail
```
Failure action: escalate
"""


@pytest.fixture
def script(tmp_path: Path, agent: Agent, pagerduty: PagerDutySimulator, slack: SlackSimulator) -> Path:
    """A declared script that prints secrets: by form, and those of the configuration."""
    known = configured(pagerduty, slack)
    lines = [
        f"DB_PASSWORD={OUTPUT['stdout']}",
        f"connecting to postgres://app:{OUTPUT['url in the output']}@db.internal:5432/app",
        f"-----BEGIN PRIVATE KEY-----\n{OUTPUT['private key']}\n-----END PRIVATE KEY-----",
        *(f"{name} {value}" for name, value in (known | encoded(known)).items()),
        json.dumps(known),
    ]
    path = tmp_path / "leak"
    out = "\n".join(f"echo '{line}'" for line in lines)
    err = f"echo 'error: Authorization: Bearer {OUTPUT['stderr']}' >&2"
    path.write_text(f"#!/bin/sh\n{out}\n{out.replace(chr(10), ' >&2' + chr(10))} >&2\n{err}\nexit 3\n")
    path.chmod(0o755)
    declared = {
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "options": {"--fail": "switch"},
        "effect": {"class": "read"},
    }
    tables = tmp_path / "tables.yaml"
    tables.write_text(yaml.safe_dump({"scripts": {str(path): declared}}))
    agent.overrides["execution"] = {"effect_tables": [str(tables)]}
    return path


def configured(pagerduty: PagerDutySimulator, slack: SlackSimulator) -> dict[str, str]:
    return {
        "pagerduty": pagerduty.api_token,
        "routing": pagerduty.routing_key,
        "webhook": "simulated-webhook-secret",
        "slack": slack.bot_token,
    }


def encoded(secrets: Mapping[str, str]) -> dict[str, str]:
    return {
        **{f"{name} in base64": base64.b64encode(value.encode()).decode() for name, value in secrets.items()},
        **{f"{name} in hex": value.encode().hex() for name, value in secrets.items()},
    }


def test_no_canary_is_on_any_sink(
    agent: Agent, script: Path, pagerduty: PagerDutySimulator, slack: SlackSimulator
) -> None:
    agent.runbook("leak", RUNBOOK.format(script=script))
    agent.start()
    page = pagerduty.create_incident(
        f"leak: login of {ALERT['title']} failed",
        labels={"pod": ALERT["label"], "db_password": ALERT["secret label"]},
        details={
            "trace": f"token {ALERT['body']}",
            "source_url": f"https://admin:{ALERT['url']}@grafana.internal/d/1",
        },
    )
    incident = agent.ended(page.id)
    assert incident["status"] == "escalated", incident
    assert [step["status"] for step in incident["steps"]] == ["failed", "failed"]
    wait_until(pagerduty.pages, "a human is paged")
    wait_until(lambda: "Incident Summary" in agent.story(), "the summary is in the thread")
    wait_until(lambda: pagerduty.incident(page.id).notes, "the summary is a note")
    known = configured(pagerduty, slack)
    canaries = {**ALERT, **OUTPUT, **known, **encoded(known)}
    found = {
        f"{name} in {sink}"
        for sink, content in everything(agent, str(incident["id"]))
        for name, canary in canaries.items()
        if canary.encode() in content
    }
    assert found == {"routing in POST /v2/enqueue"}


def test_an_error_that_a_vendor_answers_with_is_told_without_its_secrets(
    agent: Agent, pagerduty: PagerDutySimulator
) -> None:
    agent.start()
    told = json.dumps({"error": {"message": f"bad request: api_key={FOREIGN_ERROR}", "code": 2001}})
    pagerduty.misbehave(_fault("/incidents", told))
    page = pagerduty.create_incident("Nobody knows this")
    incident = agent.ended(page.id)
    wait_until(pagerduty.pages, "a human is paged")
    for sink, content in everything(agent, str(incident["id"])):
        assert FOREIGN_ERROR.encode() not in content, sink


def _fault(path: str, body: str) -> Fault:
    return Fault(400, path, times=-1, body=body, headers={"Content-Type": "application/json"})


def everything(agent: Agent, incident_id: str) -> Iterator[tuple[str, bytes]]:
    """Every sink with its content, as (name, bytes)."""
    for path in sorted(agent.directory.rglob("*")):
        if path.is_file() and path != agent.config_path and "runbooks" not in path.parts:
            yield path.name, path.read_bytes()
    for simulator in (agent.slack, agent.pagerduty):
        for request in simulator.requests():
            yield f"{request.method} {request.path}", f"{request.query}\n{request.body}".encode()
    for path in ("incidents", f"incidents/{incident_id}", "escalations", "runbooks"):
        yield f"API {path}", httpx.get(f"{agent.url}/api/v1/{path}").content
    for path in ("metrics", "health", "ready"):
        yield path, httpx.get(f"{agent.url}/{path}").content
    for command in (["show", incident_id], ["show", incident_id, "--json"], ["incidents", "--json"]):
        ran = agent.cli(*command)
        yield f"CLI {command}", (ran.stdout + ran.stderr).encode()


def test_the_search_covers_the_files_that_matter(agent: Agent) -> None:
    agent.start()
    page = agent.pagerduty.create_incident("Nobody knows this")
    incident = agent.ended(page.id)
    wait_until((agent.directory / "audit.jsonl").exists, "the audit log is written")
    names = {sink for sink, _ in everything(agent, str(incident["id"]))}
    assert {"oncall.db", "oncall.db-wal", "audit.jsonl", "agent.log", "metrics"} <= names
    contents = dict(everything(agent, str(incident["id"])))
    assert any(b"Nobody knows this" in contents[name] for name in ("oncall.db", "oncall.db-wal"))
    assert b"Nobody knows this" in contents["audit.jsonl"]
