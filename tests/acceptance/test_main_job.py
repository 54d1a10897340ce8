"""From a signed page to a resolved incident, or a human paged: the real process, real commands."""

from __future__ import annotations

import json
import signal

import httpx

from tests.acceptance.conftest import Agent, RedisServer, wait_until
from tests.acceptance.runbooks import redis_runbook, slow_runbook


def test_a_signed_page_ends_as_a_resolved_incident_with_its_thread(agent: Agent, redis: RedisServer) -> None:
    agent.runbook("redis-connection-timeout", redis_runbook(redis.port))
    agent.start()
    page = agent.pagerduty.create_incident("Redis connection timeout", service="api-gateway")

    incident = agent.ended(page.id)

    assert incident["status"] == "resolved"
    assert incident["runbook"] == "redis-connection-timeout"
    assert incident["charges"] == {"cache_operation": 1}
    assert [step["status"] for step in incident["steps"]] == ["succeeded", "succeeded"]
    assert redis.cli("GET", "runs") == "1"
    wait_until(lambda: agent.pagerduty.incident(page.id).status == "resolved", "resolved at PagerDuty")
    (note,) = agent.pagerduty.incident(page.id).notes
    assert note.content.startswith("📋 Incident Summary")
    assert agent.pagerduty.pages() == []
    wait_until(lambda: "Incident Summary" in agent.story(), "the summary is in the thread")
    story = agent.story()
    lines = ["🚨 Incident received", "📋 Matched runbook", "▶️ Step 1", "✅ Step 1", "▶️ Step 2", "✅ Step 2"]
    places = [story.index(line) for line in lines]
    assert places == sorted(places)


def test_the_root_message_is_kept_current_and_the_summary_is_broadcast(
    agent: Agent, redis: RedisServer
) -> None:
    agent.runbook("redis-connection-timeout", redis_runbook(redis.port))
    agent.start()
    page = agent.pagerduty.create_incident("Redis connection timeout", service="api-gateway")
    agent.ended(page.id)
    wait_until(lambda: "resolved" in agent.root_text().lower(), "the root says resolved")
    (root,) = agent.slack.roots()
    assert "2/2 steps" in json.dumps(root.blocks)
    shown = wait_until(lambda: [each for each in agent.slack.thread(root.ts) if each.broadcast], "broadcast")
    assert "📋 Incident Summary" in shown[0].text


def test_a_step_that_fails_twice_pages_a_human_once_with_the_evidence(
    agent: Agent, redis: RedisServer
) -> None:
    broken = f"redis-cli -h 127.0.0.1 -p {redis.port} GET nothing"
    agent.runbook("redis-connection-timeout", redis_runbook(redis.port, second=broken))
    agent.start()
    page = agent.pagerduty.create_incident("Redis connection timeout", service="api-gateway")

    assert agent.ended(page.id)["status"] == "escalated"

    (alert,) = wait_until(agent.pagerduty.pages, "a human is paged")
    assert "failed twice: Verify connections restored" in alert.summary
    details = alert.details
    assert details["original_alert"] == "Redis connection timeout"
    assert len(details["what_was_tried"]) == 3
    assert details["reason_for_escalation"] in alert.summary
    assert len(agent.pagerduty.requests("/v2/enqueue")) == 1


def test_the_agents_own_page_comes_back_and_starts_nothing(agent: Agent) -> None:
    agent.start()
    page = agent.pagerduty.create_incident("Nobody knows this", service="api-gateway")
    assert agent.ended(page.id)["status"] == "escalated"
    wait_until(agent.pagerduty.pages, "a human is paged")
    assert agent.pagerduty.wait_until_delivered()
    own = [each for each in agent.pagerduty.incidents() if each.id != page.id]
    assert len(own) == 1
    found = agent.incident(own[0].id)
    assert found is None or found["status"] == "ignored"
    assert len(agent.pagerduty.pages()) == 1


def test_no_matching_runbook_pages_exactly_once(agent: Agent) -> None:
    agent.start()
    page = agent.pagerduty.create_incident("Disk is full", service="billing")
    incident = agent.ended(page.id)
    assert incident["escalation"]["trigger"] == "no_match"
    (alert,) = wait_until(agent.pagerduty.pages, "a human is paged")
    assert alert.summary == "AI agent escalation: No matching runbook found [Disk is full]"


def test_a_human_who_acknowledges_mid_run_stops_the_running_command(agent: Agent) -> None:
    agent.runbook("slow", slow_runbook(seconds=55))
    agent.start()
    page = agent.pagerduty.create_incident("Redis connection timeout", service="api-gateway")
    wait_until(lambda: _running(agent, page.id), "the command runs")

    agent.pagerduty.acknowledge_as_human(page.id, "Night Owl")

    incident = agent.ended(page.id, deadline_s=10)
    assert incident["status"] == "stood_down"
    assert [step["status"] for step in incident["steps"]] == ["interrupted", "pending"]
    wait_until(lambda: "Night Owl" in agent.story(), "the thread says who took over")
    assert agent.pagerduty.pages() == []
    assert agent.pagerduty.incident(page.id).status == "acknowledged"


def test_a_human_who_resolves_mid_run_is_not_undone(agent: Agent) -> None:
    agent.runbook("slow", slow_runbook(seconds=55))
    agent.start()
    page = agent.pagerduty.create_incident("Redis connection timeout", service="api-gateway")
    wait_until(lambda: _running(agent, page.id), "the command runs")
    agent.pagerduty.resolve_as_human(page.id, "Night Owl")
    assert agent.ended(page.id, deadline_s=10)["status"] == "stood_down"
    # an acknowledge that was under way opens it again for a moment
    wait_until(lambda: agent.pagerduty.incident(page.id).status == "resolved", "it stays resolved")


def test_the_agents_own_writes_do_not_make_it_stand_down(agent: Agent, redis: RedisServer) -> None:
    agent.runbook("redis-connection-timeout", redis_runbook(redis.port))
    agent.start()
    page = agent.pagerduty.create_incident("Redis connection timeout", service="api-gateway")
    assert agent.ended(page.id)["status"] == "resolved"
    wait_until(lambda: agent.pagerduty.incident(page.id).status == "resolved", "resolved at PagerDuty")
    agent.pagerduty.wait_until_delivered()
    events = [each.event_type for each in agent.pagerduty.deliveries()]
    assert "incident.acknowledged" in events
    assert agent.incident(page.id)["status"] == "resolved"  # type: ignore[index]


def test_an_approved_plan_runs_and_survives_a_restart_while_it_waits(
    agent: Agent, redis: RedisServer
) -> None:
    text = redis_runbook(redis.port).replace(
        "requires_human_approval: false", "requires_human_approval: true"
    )
    agent.runbook("redis-connection-timeout", text)
    agent.start()
    page = agent.pagerduty.create_incident("Redis connection timeout", service="api-gateway")
    wait_until(lambda: _status(agent, page.id) == "awaiting_approval", "it asks")
    assert redis.cli("GET", "runs") == ""
    agent.kill()
    agent.start()
    approved = agent.cli("approve", page.id)
    assert approved.returncode == 0, approved.stderr
    assert agent.ended(page.id)["status"] == "resolved"
    assert redis.cli("GET", "runs") == "1"


def test_sigterm_lets_the_running_attempt_end(agent: Agent) -> None:
    agent.runbook("slow", slow_runbook(seconds=2))
    agent.start()
    page = agent.pagerduty.create_incident("Redis connection timeout", service="api-gateway")
    wait_until(lambda: _running(agent, page.id), "the command runs")
    assert agent.stop() == 0
    agent.start()
    incident = agent.ended(page.id)
    assert incident["status"] == "resolved"
    assert [len(step["attempts"]) for step in incident["steps"]] == [1, 1]


def test_two_processes_never_work_under_one_executor_id(agent: Agent) -> None:
    agent.start()
    first = agent.process
    agent.port = 0
    agent.start(ready=False)
    assert agent.process is not None
    assert agent.process.wait(timeout=30) == 2
    assert "another process already works as executor" in agent.log()
    assert first is not None
    assert first.poll() is None
    first.send_signal(signal.SIGKILL)
    first.wait()


def test_every_step_of_the_way_is_in_an_audit_log_that_verifies(agent: Agent, redis: RedisServer) -> None:
    agent.runbook("redis-connection-timeout", redis_runbook(redis.port))
    agent.start()
    page = agent.pagerduty.create_incident("Redis connection timeout", service="api-gateway")
    incident = agent.ended(page.id)
    log = agent.directory / "audit.jsonl"
    wait_until(lambda: log.exists() and '"kind": "summary"' in log.read_text(), "the log has its end")
    verified = agent.cli("audit", "verify", "--json")
    assert verified.returncode == 0, verified.stdout
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    (matched,) = [each for each in entries if each["kind"] == "matched"]
    assert matched["data"]["why"] != []
    run = next(each for each in entries if each["kind"] == "step_succeeded")
    assert run["incident"] == incident["id"]
    assert run["data"]["argv"] == [["redis-cli", "-h", "127.0.0.1", "-p", str(redis.port), "INCR", "runs"]]
    assert run["data"]["exit_code"] == 0
    assert run["data"]["output"].strip() == "1"
    assert run["data"]["duration_s"] > 0


def test_health_ready_and_metrics_answer(agent: Agent) -> None:
    agent.start()
    assert httpx.get(f"{agent.url}/health").json()["status"] == "healthy"
    assert httpx.get(f"{agent.url}/ready").json() == {"status": "ready", "runbooks": 0}
    assert 'oncall_incidents{status="resolved"} 0.0' in httpx.get(f"{agent.url}/metrics").text


def _status(agent: Agent, source_id: str) -> str:
    found = agent.incident(source_id)
    return str(found["status"]) if found else ""


def _running(agent: Agent, source_id: str) -> bool:
    found = agent.incident(source_id)
    return bool(found and found["steps"] and found["steps"][0]["status"] == "running")
