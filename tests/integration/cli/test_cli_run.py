from __future__ import annotations

import json

from agent.adapters.audit_chain import Intact
from agent.adapters.audit_log import AuditLog, verify_against
from agent.domain.incident import Entry, EventKind
from tests.integration.cli.conftest import FLUSH, HELLO, SECRETS, Shell
from tests.unit.pipeline.conftest import World, runbook, step


def test_a_run_by_hand_runs_the_command_and_tells_its_story(shell: Shell) -> None:
    shell.runbook("hello", HELLO)
    result = shell("run", "hello", "--alert", "hello.json", "--yes")
    assert result.code == 0
    assert "$ echo hello" in result.out
    assert "✅ Step 2 succeeded" in result.out
    assert "✅ Incident resolved automatically" in result.out


def test_a_run_as_json_is_the_incident(shell: Shell) -> None:
    shell.runbook("hello", HELLO)
    result = shell("run", "hello", "--alert", "hello.json", "--yes", "--json")
    assert result.code == 0
    assert (result.json["status"], result.json["source"]) == ("resolved", "command line")
    assert result.json["steps"][1]["attempts"][0]["output"] == "hello\n"


def test_a_run_is_audited(shell: Shell) -> None:
    shell.runbook("hello", HELLO)
    shell("run", "hello", "--alert", "hello.json", "--yes")
    entries = [json.loads(line) for line in (shell.directory / "audit.jsonl").read_text().splitlines()]
    assert [entry["kind"] for entry in entries][-3:] == ["step_succeeded", "resolved", "summary"]
    assert shell("audit", "verify").code == 0


def test_a_run_by_hand_beside_a_working_daemon_leaves_the_audit_log_whole(shell: Shell, world: World) -> None:
    daemons = AuditLog(shell.directory / "audit.jsonl", world.store)
    world.store.record(world.receive(), [Entry("a", EventKind.NOTE, "before")])
    daemons.catch_up()
    shell.runbook("hello", HELLO)
    assert shell("run", "hello", "--alert", "hello.json", "--yes").code == 0
    daemons.catch_up()
    assert isinstance(verify_against(daemons.path, world.store), Intact)
    assert shell("audit", "verify").code == 0


def test_a_dry_run_runs_nothing_and_keeps_nothing(shell: Shell) -> None:
    shell.runbook("hello", HELLO)
    result = shell("run", "hello", "--alert", "hello.json", "--dry-run")
    assert result.code == 0
    assert "$ echo hello" in result.out
    assert shell("incidents").out == "no incidents\n"
    assert not (shell.directory / "audit.jsonl").exists()
    planned = shell("run", "hello", "--alert", "hello.json", "--dry-run", "--json")
    assert planned.json["steps"][0]["verdict"] == "allow"


def test_without_yes_it_asks_and_no_means_no(shell: Shell) -> None:
    shell.runbook("hello", HELLO)
    result = shell("run", "hello", "--alert", "hello.json", typed="n\n")
    assert result.code == 1
    assert "Run exactly this?" in result.out
    assert shell("incidents").out == "no incidents\n"
    assert shell("run", "hello", "--alert", "hello.json", typed="y\n").code == 0


def test_a_refused_plan_is_not_run_whatever_one_says(shell: Shell) -> None:
    shell.runbook("refused", HELLO.replace("echo hello", "rm -rf /srv/cache"))
    result = shell("run", "refused", "--alert", "hello.json", "--yes")
    assert result.code == 1
    assert "refused" in result.out
    refused = shell("run", "refused", "--alert", "hello.json", "--yes", "--json")
    assert (refused.code, refused.json["verdict"]) == (1, "refuse")
    assert shell("incidents").out == "no incidents\n"


def test_a_run_that_fails_is_a_finding_and_ends_escalated(shell: Shell) -> None:
    shell.runbook("hello", HELLO.replace('Expected output: "hello"', 'Expected output: "goodbye"'))
    result = shell("run", "hello", "--alert", "hello.json", "--yes", "--json")
    assert (result.code, result.json["status"]) == (1, "escalated")
    assert [each["end"] for each in result.json["steps"][1]["attempts"]] == ["failed", "failed"]
    assert result.json["escalation"]["trigger"] == "step_failed"


def test_a_run_verifies_before_it_says_resolved(shell: Shell) -> None:
    verify = (
        '\n## Verify\n\n### Step 1: Gone\n```bash\necho here\n```\nExpected output: "gone"\nRetry delay: 0s\n'
    )
    shell.runbook("hello", HELLO.replace("\n## Examples", f"{verify}\n## Examples"))
    result = shell("run", "hello", "--alert", "hello.json", "--yes", "--json")
    assert (result.code, result.json["status"]) == (1, "escalated")
    assert "not verified" in result.json["result"]


def test_a_run_charges_the_same_budget_as_the_daemon(shell: Shell) -> None:
    shell.configure(limits={"per_hour": {"cache_operations": 0}})
    shell.runbook("flush", FLUSH)
    result = shell("run", "flush", "--alert", "hello.json", "--yes", "--json")
    assert result.code == 1
    assert "limits.per_hour.cache_operations is 0" in result.json["result"]
    assert result.json["steps"][0]["attempts"] == []


def test_a_secret_that_a_command_prints_is_redacted_everywhere(shell: Shell) -> None:
    (shell.directory / "readable.yaml").write_text(f"files: {{readable: ['{shell.directory}/**']}}")
    shell.configure(
        slack={"bot_token": {"env": "SLACK_BOT_TOKEN"}},
        execution={"effect_tables": ["readable.yaml"], "retry_delay_s": 0},
    )
    (shell.directory / "said").write_text(SECRETS["SLACK_BOT_TOKEN"])
    text = HELLO.replace("echo hello", f"cat {shell.directory}/said")
    shell.runbook("hello", text.replace('Expected output: "hello"', 'Expected output: contains "xoxb"'))
    assert "✅ Step 2 succeeded" in shell("run", "hello", "--alert", "hello.json", "--yes").out
    shell("run", "hello", "--alert", "hello.json", "--yes", "--json")
    assert "xoxb-canary" not in (shell.directory / "audit.jsonl").read_text()


def test_a_run_by_hand_keeps_to_the_runbooks_own_max_duration(shell: Shell) -> None:
    shell.runbook(
        "hello",
        runbook(
            title="Hello",
            triggers='- Alert contains: "hello"',
            limits="- max_duration: 1ms",
            steps=step(1, "echo hi") + step(2, "echo there"),
        ),
    )
    result = shell("run", "hello", "--alert", "hello.json", "--yes")
    assert result.code == 1
    assert "time is over" in result.out
