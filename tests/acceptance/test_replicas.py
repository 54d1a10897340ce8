"""Several processes on one real PostgreSQL: one incident runs once, and nobody is missed for long."""

from __future__ import annotations

import os
import random
import signal
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from agent.adapters.audit_chain import Intact, verify_chain
from agent.adapters.clock import SystemClock
from agent.adapters.store import Store
from agent.simulators.pagerduty import PagerDutySimulator
from agent.simulators.slack import SlackSimulator
from tests.acceptance.conftest import Agent, RedisServer, wait_until
from tests.acceptance.fleet import Fleet, fleet_in
from tests.acceptance.runbooks import redis_runbook
from tests.acceptance.test_kills import KILLED, READING, RUNBOOK, SLOW, Outcome, commands_of, judge
from tests.acceptance.test_webhook_answers import event, signed
from tests.postgres import PostgresServer, server

#: What the agent promises; measured from the kill to the first word of whoever goes on.
TAKEOVER_S = 10.0


@pytest.fixture(scope="module")
def durable_server() -> Iterator[PostgresServer]:
    """It forgets nothing in a power cut, and these tests may stop it."""
    with server(fsync=True) as running:
        yield running


@pytest.fixture
def fleet(
    tmp_path: Path, durable_server: PostgresServer, pagerduty: PagerDutySimulator, slack: SlackSimulator
) -> Iterator[Fleet]:
    with durable_server.database() as url, fleet_in(tmp_path, url, pagerduty, slack) as fleet:
        yield fleet


def test_of_three_replicas_one_carries_an_incident_out(fleet: Fleet, redis: RedisServer) -> None:
    fleet.runbook("redis-connection-timeout", RUNBOOK.replace("PORT", str(redis.port)))
    fleet.add_all("worker-0", "worker-1", "worker-2")
    for number in range(12):
        fleet.deliver(number)
    assert {fleet.ended(number)["status"] for number in range(12)} == {"resolved"}
    counts = {redis.cli("GET", f"{step}-n{number}") for step in ("first", "third") for number in range(12)}
    assert counts == {"1"}
    wait_until(lambda: len(fleet.slack.roots()) == 12, "every incident has its thread")
    roots = [root.text for root in fleet.slack.roots()]
    assert len(roots) == len(set(roots)), "and only one"


def test_when_a_replica_dies_in_a_command_another_pages_that_its_outcome_is_unknown(
    fleet: Fleet, redis: RedisServer
) -> None:
    fleet.runbook("slow", SLOW.replace("PORT", str(redis.port)))
    fleet.add_all("worker-0", "worker-1", "worker-2")
    fleet.deliver(1)
    wait_until(lambda: redis.cli("GET", "begun") == "1", "the command runs")
    dying = fleet.owner()
    dying.kill()
    died = time.monotonic()
    incident = fleet.ended(1, deadline_s=TAKEOVER_S)
    took_s = time.monotonic() - died
    print(f"\ntaken over and escalated {took_s:.1f} s after the kill")  # noqa: T201
    assert incident["escalation"]["trigger"] == "outcome_unknown"
    assert redis.cli("GET", "begun") == "1", "it was not run again"
    assert not commands_of(incident["id"])
    (page,) = wait_until(fleet.pagerduty.pages, "a human is paged")
    assert page.alert_key == f"oncall-agent-{incident['id']}"
    assert fleet.log().count('"event": "work_taken_over"') + fleet.log().count("work_taken_over  ") == 1


def test_a_command_that_only_reads_is_run_again_by_who_takes_over(fleet: Fleet, redis: RedisServer) -> None:
    fleet.runbook("look", READING.replace("sleep 2", "sleep 3").replace("PORT", str(redis.port)))
    fleet.add_all("worker-0", "worker-1", "worker-2")
    fleet.deliver(1)
    owner = fleet.owner()
    wait_until(lambda: owner.incident("P1")["steps"], "it is planned")  # type: ignore[index]
    owner.kill()
    died = time.monotonic()
    wait_until(lambda: _is_taken_over(fleet, owner), "it is taken over", deadline_s=TAKEOVER_S)
    print(f"\ntaken over {time.monotonic() - died:.1f} s after the kill")  # noqa: T201
    assert fleet.ended(1)["status"] == "resolved"


def _is_taken_over(fleet: Fleet, dead: Agent) -> bool:
    name = dead.variables["ONCALL_AGENT_EXECUTOR_ID"]
    return bool(fleet.rows(f"SELECT 1 FROM executors WHERE executor_id = '{name}' AND taken_by <> ''"))


WAITING = READING.replace("requires_human_approval: false", "requires_human_approval: true").replace(
    "sleep 2 && ", ""
)


def test_what_waits_for_a_human_goes_on_with_whoever_is_left(fleet: Fleet, redis: RedisServer) -> None:
    fleet.runbook("ask", WAITING.replace("PORT", str(redis.port)))
    first = fleet.add("worker-0")
    fleet.deliver(1)
    wait_until(lambda: first.incident("P1")["status"] == "awaiting_approval", "it asks")  # type: ignore[index]
    second = fleet.add("worker-1")
    first.kill()
    incident = second.incident("P1")
    assert incident is not None
    approved = second.cli("approve", incident["id"])
    assert approved.returncode == 0, approved.stdout + approved.stderr
    assert fleet.ended(1)["status"] == "resolved"


def test_a_replica_that_stops_hands_over_at_once(fleet: Fleet, redis: RedisServer) -> None:
    fleet.overrides = {"server": {"stop_grace_s": 0.0}}
    fleet.runbook("look", READING.replace("sleep 2", "sleep 5").replace("PORT", str(redis.port)))
    fleet.add_all("worker-0", "worker-1")
    fleet.deliver(1)
    leaving = fleet.owner()
    wait_until(lambda: leaving.incident("P1")["steps"], "it is planned")  # type: ignore[index]
    assert leaving.stop() == 0
    stopped = time.monotonic()
    wait_until(lambda: _is_taken_over(fleet, leaving), "it is taken over", deadline_s=TAKEOVER_S)
    print(f"\ntaken over {time.monotonic() - stopped:.1f} s after the stop")  # noqa: T201
    assert fleet.ended(1)["status"] == "resolved"


def test_a_later_version_goes_on_with_what_an_earlier_one_was_at(
    fleet: Fleet, redis: RedisServer, tmp_path: Path
) -> None:
    """Also when its story has a step that the earlier one did not know."""
    fleet.overrides = {"server": {"stop_grace_s": 0.0}}
    asks = WAITING.replace('"redis"', '"ask"').replace("Slow look", "Ask")
    fleet.runbook("ask", asks.replace("PORT", str(redis.port)))
    fleet.runbook("look", READING.replace("sleep 2", "sleep 5").replace("PORT", str(redis.port)))
    earlier = fleet.add("worker-0")
    fleet.deliver(1, title="ask a human")
    wait_until(lambda: earlier.incident("P1")["status"] == "awaiting_approval", "it asks")  # type: ignore[index]
    later = fleet.add("worker-1", start=False)
    later.script = Path(__file__).with_name("newer_agent.py")
    later.variables |= {"NEW_STEP": str(tmp_path / "steps"), "PYTHONPATH": str(Path(__file__).parents[2])}
    later.start()
    fleet.deliver(2, title="redis is slow")
    running = "SELECT 1 FROM runs WHERE topic = '' AND executor_id = 'worker-0'"
    fleet.deliver(3, title="redis is slow elsewhere")
    wait_until(lambda: fleet.rows(running), "the earlier one carries something out", deadline_s=5)
    assert earlier.stop() == 0
    waiting = later.incident("P1")
    assert waiting is not None
    assert later.cli("approve", waiting["id"]).returncode == 0
    ended = [fleet.ended(number) for number in (1, 2, 3)]
    assert [each["status"] for each in ended] == ["resolved"] * 3
    done = (tmp_path / "steps").read_text().splitlines()
    assert sorted(done) == sorted(set(done)), "once for each incident"
    versions = dict(fleet.rows("SELECT executor_id, version FROM executors"))
    assert versions["worker-1"] == "99.0.0" != versions["worker-0"]


def test_a_second_process_under_the_same_id_refuses_to_start(fleet: Fleet, tmp_path: Path) -> None:
    fleet.add("worker-0")
    twin = fleet.add("twin", start=False)
    twin.variables["ONCALL_AGENT_EXECUTOR_ID"] = "worker-0"
    twin.start(ready=False)
    assert twin.process is not None
    assert twin.process.wait(timeout=30) == 2
    twin.process = None
    assert "another process already works as executor 'worker-0' on the database" in twin.log()
    assert "ONCALL_AGENT_EXECUTOR_ID" in twin.log()


def test_a_replica_whose_machine_stood_still_too_long_ends_and_runs_nothing_twice(
    fleet: Fleet, redis: RedisServer, durable_server: PostgresServer
) -> None:
    fleet.runbook("slow", SLOW.replace("PORT", str(redis.port)))
    fleet.add_all("worker-0", "worker-1")
    fleet.deliver(1)
    wait_until(lambda: redis.cli("GET", "begun") == "1", "the command runs")
    frozen = fleet.owner()
    (other,) = [each for each in fleet.alive if each is not frozen]
    assert frozen.process is not None
    os.kill(frozen.process.pid, signal.SIGSTOP)
    try:
        _end_sessions_of(durable_server, fleet, frozen)
        assert other.ended("P1")["escalation"]["trigger"] == "outcome_unknown"
    finally:
        os.kill(frozen.process.pid, signal.SIGCONT)
    assert frozen.process.wait(timeout=30) == 75
    frozen.process = None
    assert "was taken over by another process" in frozen.log()
    assert redis.cli("GET", "begun") == "1"


def _end_sessions_of(running: PostgresServer, fleet: Fleet, agent: Agent) -> None:
    """What the server does with a machine that it has not heard of for seconds."""
    name = agent.variables["PGAPPNAME"]
    ended = running.run(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{name}'"
    )
    assert ended


def kill_replicas_at_random(
    fleet: Fleet, redis: RedisServer, *, replicas: int, kills: int, each: int, seed: int
) -> Outcome:
    """One of them at a time, while the others go on; it comes back while the next one is sent its work."""
    chance = random.Random(seed)
    fleet.overrides = dict(KILLED)
    fleet.runbook("redis-connection-timeout", RUNBOOK.replace("PORT", str(redis.port)))
    agents = fleet.add_all(*(f"worker-{number}" for number in range(replicas)))
    sent = 0
    for _ in range(kills):
        for _ in range(each):
            fleet.deliver(sent)
            sent += 1
        time.sleep(chance.uniform(0.0, 0.5))
        victim = chance.choice(agents)
        victim.kill()
        victim.start()
    return judge(agents[0], redis, sent, kills)


def chain_is_whole(url: str) -> bool:
    store = Store(url, SystemClock())
    try:
        return isinstance(verify_chain(store.audit_entries()), Intact)
    finally:
        store.close()


def test_replicas_killed_at_random_lose_nothing_and_run_nothing_twice(
    fleet: Fleet, redis: RedisServer
) -> None:
    outcome = kill_replicas_at_random(fleet, redis, replicas=2, kills=4, each=4, seed=417)
    assert (outcome.twice, outcome.lost) == (0, 0)
    assert outcome.resolved + outcome.unknown == 16
    assert chain_is_whole(fleet.url)


@pytest.mark.soak
def test_three_replicas_and_many_random_kills(fleet: Fleet, redis: RedisServer) -> None:
    seed = int(os.environ.get("SOAK_SEED", "0")) or int(time.time())
    kills = int(os.environ.get("SOAK_REPLICA_KILLS", "100"))
    outcome = kill_replicas_at_random(fleet, redis, replicas=3, kills=kills, each=5, seed=seed)
    print(f"\nthree replicas, seed {seed}: {outcome}")  # noqa: T201  (the figure is what the soak is for)
    assert (outcome.twice, outcome.lost) == (0, 0)
    assert outcome.resolved + outcome.unknown == kills * 5
    assert chain_is_whole(fleet.url)


def test_the_main_job_is_done_on_postgresql(fleet: Fleet, redis: RedisServer) -> None:
    fleet.runbook("redis-connection-timeout", redis_runbook(redis.port))
    agent = fleet.add("worker-0")
    fleet.pagerduty.subscribe(agent.webhook_url)
    page = fleet.pagerduty.create_incident("Redis connection timeout", service="api-gateway")
    incident = agent.ended(page.id)
    assert (incident["status"], incident["charges"]) == ("resolved", {"cache_operation": 1})
    assert [step["status"] for step in incident["steps"]] == ["succeeded", "succeeded"]
    wait_until(lambda: fleet.pagerduty.incident(page.id).status == "resolved", "resolved at PagerDuty")
    wait_until(lambda: "Incident Summary" in agent.story(), "the summary is in the thread")
    assert agent.cli("audit", "verify").returncode == 0
    assert agent.cli("show", incident["id"]).returncode == 0


def test_a_human_who_takes_over_stops_the_command_wherever_it_runs(fleet: Fleet, redis: RedisServer) -> None:
    """The webhook comes in at one replica while another runs the command."""
    fleet.runbook("slow", SLOW.replace("PORT", str(redis.port)))
    first, second = fleet.add_all("worker-0", "worker-1")
    fleet.pagerduty.subscribe(first.webhook_url)
    page = fleet.pagerduty.create_incident("redis is slow", service="api-gateway")
    wait_until(lambda: redis.cli("GET", "begun") == "1", "the command runs")
    other = second if fleet.owner() is first else first
    taken = event("incident.acknowledged", page.id)
    taken["event"]["agent"] = {"id": "PHUMAN", "type": "user_reference", "summary": "Night Owl"}
    assert signed(other, taken, **{"X-Webhook-Id": "w-taken"}).status_code == 202
    incident = other.ended(page.id, deadline_s=10)
    assert incident["status"] == "stood_down"
    wait_until(lambda: not commands_of(incident["id"]), "its command is ended")


def test_a_database_that_is_gone_for_a_while_is_waited_for(
    fleet: Fleet, redis: RedisServer, durable_server: PostgresServer
) -> None:
    fleet.runbook("redis-connection-timeout", RUNBOOK.replace("PORT", str(redis.port)))
    agents = fleet.add_all("worker-0", "worker-1")
    fleet.deliver(1)
    assert fleet.ended(1)["status"] == "resolved"
    durable_server.stop(at_once=True)
    down = time.monotonic()
    while time.monotonic() - down < 4:
        for agent in agents:
            asked = time.monotonic()
            assert signed(agent, event(source_id="P2")).status_code == 503
            assert time.monotonic() - asked < 2.0
            assert httpx.get(f"{agent.url}/health").status_code == 200
            assert httpx.get(f"{agent.url}/ready").status_code == 503
        time.sleep(0.2)
    told = agents[0].cli("doctor")
    assert "the database cannot be reached" in told.stdout
    durable_server.start()
    fleet.deliver(3)
    assert fleet.ended(3)["status"] == "resolved"
    assert len(fleet.alive) == 2
    assert "taken over" not in fleet.log()
    assert all(agent.process is not None and agent.process.poll() is None for agent in agents)


class TestRoles:
    """Who answers the web need not be who works."""

    @pytest.fixture(params=["sqlite", "postgresql"])
    def fleet(
        self,
        request: pytest.FixtureRequest,
        tmp_path: Path,
        durable_server: PostgresServer,
        pagerduty: PagerDutySimulator,
        slack: SlackSimulator,
    ) -> Iterator[Fleet]:
        if request.param == "sqlite":
            with fleet_in(tmp_path, f"sqlite:///{tmp_path}/oncall.db", pagerduty, slack) as fleet:
                yield fleet
            return
        with durable_server.database() as url, fleet_in(tmp_path, url, pagerduty, slack) as fleet:
            yield fleet

    def test_what_web_accepts_a_worker_starts_at_once(self, fleet: Fleet, redis: RedisServer) -> None:
        """Within 100 ms on a quiet machine; here with a margin for busy ones."""
        fleet.runbook("redis-connection-timeout", RUNBOOK.replace("PORT", str(redis.port)))
        web, _ = fleet.add("web", role="web"), fleet.add("worker", role="worker")
        delays = []
        for number in range(12):
            asked = time.monotonic()
            fleet.deliver(number)
            wait_until(lambda n=number: redis.cli("GET", f"first-n{n}"), "the first command has run")
            delays.append(time.monotonic() - asked)
        print(f"\nPOST to the first command's end: {statistics.median(delays) * 1000:.0f} ms")  # noqa: T201
        assert statistics.median(delays) < 0.5
        assert {fleet.ended(number)["status"] for number in range(12)} == {"resolved"}
        assert web.process is not None

    def test_each_serves_what_it_is_for(self, fleet: Fleet, redis: RedisServer) -> None:
        web, worker = fleet.add("web", role="web"), fleet.add("worker", role="worker")
        for path in ("/health", "/ready", "/metrics"):
            for agent in (web, worker):
                assert httpx.get(f"{agent.url}{path}").status_code == 200, path
        assert httpx.get(f"{web.url}/api/v1/incidents").status_code == 200
        assert httpx.get(f"{worker.url}/api/v1/incidents").status_code == 404
        assert httpx.post(f"{worker.url}/webhook/pagerduty").status_code == 404

    def test_what_came_while_no_worker_was_there_is_worked_on_when_one_is(
        self, fleet: Fleet, redis: RedisServer
    ) -> None:
        fleet.runbook("redis-connection-timeout", RUNBOOK.replace("PORT", str(redis.port)))
        web = fleet.add("web", role="web")
        fleet.deliver(1)
        assert web.incident("P1")["status"] == "received"  # type: ignore[index]
        fleet.add("worker", role="worker")
        assert fleet.ended(1)["status"] == "resolved"
