"""The limits hold on a cluster: real kubectl, a real Redis behind exec, and every request that was made."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from agent.simulators.kubernetes.simulator import ContainerPrograms, KubernetesSimulator
from tests.acceptance.conftest import Agent, RedisServer, wait_until

ARTICLE = """# Runbook: Redis Connection Timeout

## Trigger Conditions
- Alert contains: "redis", "connection", "timeout"
- Severity: high or critical
- Service: api-gateway, user-service

## Blast Radius
- max_pod_restarts: 0
- max_cache_operations: 1
- requires_human_approval: false

## Steps

### Step 1: Flush the connection pool
```bash
kubectl exec -n production deploy/redis-primary -- redis-cli FLUSHDB
```
Expected output: "OK"
Failure action: continue

### Step 2: Verify connections restored
```bash
kubectl exec -n production deploy/api-gateway -- curl -s localhost:8080/health | jq .redis
```
Expected output: contains "connected"
Failure action: escalate

## Escalation
If any step with "failure action: escalate" fails twice, page the on-call engineer via PagerDuty.
"""

RESTART = """# Runbook: Restart

## Trigger Conditions
- Alert contains: "slow"

## Blast Radius
- max_rollouts: 1
- max_pod_restarts: 2
- requires_human_approval: {approval}

## Steps

### Step 1: Restart the api
```bash
kubectl rollout restart deployment/api -n production
```
Attempts: 1

### Step 2: Wait for it
```bash
kubectl rollout status deployment/api -n production --timeout=30s
```
"""


def _kubectl_minor() -> int:
    if shutil.which("kubectl") is None:
        return 0
    told = subprocess.run(["kubectl", "version", "--client", "-o", "json"], capture_output=True, text=True)
    return int("".join(filter(str.isdigit, told.stdout.partition('"minor": "')[2].partition('"')[0])) or 0)


pytestmark = pytest.mark.skipif(
    _kubectl_minor() < 30, reason="needs kubectl 1.30 or newer (exec by WebSocket)"
)


class Shop:
    """The gateway's health page: says whether it reaches its cache."""

    def __init__(self, redis: RedisServer) -> None:
        class Health(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                state = b"connected" if redis.cli("PING") == "PONG" else b"lost"
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b'{"redis": "' + state + b'"}')

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Health)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def shop(redis: RedisServer) -> Iterator[Shop]:
    running = Shop(redis)
    yield running
    running.close()


@pytest.fixture
def cluster(agent: Agent, redis: RedisServer, shop: Shop, tmp_path: Path) -> Iterator[KubernetesSimulator]:
    with KubernetesSimulator() as simulator:
        cache = ContainerPrograms(programs={"redis-cli": ("/usr/bin/redis-cli", "-p", str(redis.port))})
        curl = ("/usr/bin/curl", "--connect-to", f"localhost:8080:127.0.0.1:{shop.port}")
        simulator.add_deployment("production", "redis-primary", replicas=1, programs=cache)
        gateway = ContainerPrograms(programs={"curl": curl})
        simulator.add_deployment("production", "api-gateway", replicas=1, programs=gateway)
        simulator.add_deployment("production", "api", replicas=5)
        token = simulator.add_service_account("production", "oncall-agent")
        simulator.apply(_role())
        kubeconfig = tmp_path / "kubeconfig"
        simulator.kubeconfig(kubeconfig, token=token)
        agent.overrides["kubernetes"] = {"kubeconfig": str(kubeconfig)}
        yield simulator


def _role() -> str:
    return """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: oncall-agent, namespace: production}
rules:
- {apiGroups: [""], resources: [pods], verbs: [get, list, watch]}
- {apiGroups: [""], resources: [pods/exec], verbs: [get, create]}
- {apiGroups: [apps], resources: [deployments, replicasets], verbs: [get, list, watch]}
- {apiGroups: [apps], resources: [deployments], verbs: [patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: oncall-agent, namespace: production}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: oncall-agent}
subjects: [{kind: ServiceAccount, name: oncall-agent, namespace: production}]
"""


def test_the_published_runbook_flushes_once_and_resolves(
    agent: Agent, redis: RedisServer, cluster: KubernetesSimulator
) -> None:
    redis.cli("SET", "stale", "1")
    agent.runbook("redis-connection-timeout", ARTICLE)
    agent.start()
    page = agent.pagerduty.create_incident("Redis connection timeout", service="api-gateway")

    incident = agent.ended(page.id)

    assert incident["status"] == "resolved", agent.story()
    assert incident["charges"] == {"cache_operation": 1}
    assert redis.cli("DBSIZE") == "0"
    assert [each.argv for each in cluster.executions()] == [
        ("redis-cli", "FLUSHDB"),
        ("curl", "-s", "localhost:8080/health"),
    ]


def test_the_retry_of_the_flush_is_refused_by_its_limit_and_the_incident_says_so(
    agent: Agent, redis: RedisServer, cluster: KubernetesSimulator
) -> None:
    agent.runbook("redis-connection-timeout", ARTICLE)
    agent.start()
    redis.stop()
    page = agent.pagerduty.create_incident("Redis connection timeout", service="api-gateway")

    incident = agent.ended(page.id)

    assert incident["status"] == "escalated"
    assert incident["charges"] == {"cache_operation": 1}
    flushes = [each for each in cluster.executions() if each.argv == ("redis-cli", "FLUSHDB")]
    assert len(flushes) == 1
    first, second = incident["steps"][0]["attempts"]
    assert (first["end"], second["end"]) == ("failed", "refused")
    assert "max_cache_operations is 1: 1 used" in second["reason"]
    wait_until(lambda: "max_cache_operations is 1" in agent.story(), "the thread tells the limit")
    (alert,) = wait_until(agent.pagerduty.pages, "a human is paged")
    assert "failed twice: Verify connections restored" in alert.summary


def test_a_restart_of_five_pods_is_refused_before_anything_happens(
    agent: Agent, cluster: KubernetesSimulator
) -> None:
    agent.runbook("restart", RESTART.format(approval="false"))
    agent.start()
    page = agent.pagerduty.create_incident("the api is slow", service="api-gateway")

    incident = agent.ended(page.id)

    assert incident["status"] == "escalated"
    assert "max_pod_restarts is 2" in incident["escalation"]["reason"]
    assert cluster.changes() == []


def test_a_deployment_that_grew_between_plan_and_attempt_is_caught(
    agent: Agent, cluster: KubernetesSimulator
) -> None:
    cluster.scale("production", "api", 2)
    agent.runbook("restart", RESTART.format(approval="true"))
    agent.start()
    page = agent.pagerduty.create_incident("the api is slow", service="api-gateway")
    wait_until(lambda: (agent.incident(page.id) or {}).get("status") == "awaiting_approval", "it asks")
    cluster.scale("production", "api", 5)
    cluster.forget_calls()

    assert agent.cli("approve", page.id).returncode == 0
    incident = agent.ended(page.id)

    assert incident["status"] == "escalated"
    assert "max_pod_restarts is 2, this asks for 5" in incident["escalation"]["reason"]
    assert incident["steps"][0]["attempts"][0]["end"] == "refused"
    assert cluster.changes() == []


def test_a_restart_inside_its_limits_replaces_every_pod_and_is_charged_for_them(
    agent: Agent, cluster: KubernetesSimulator
) -> None:
    cluster.scale("production", "api", 2)
    before = set(cluster.pod_names("production", "app=api"))
    agent.runbook("restart", RESTART.format(approval="false"))
    agent.start()
    page = agent.pagerduty.create_incident("the api is slow", service="api-gateway")

    incident = agent.ended(page.id)

    assert incident["status"] == "resolved", agent.story()
    assert incident["charges"] == {"rollout": 1, "pod_restart": 2}
    assert before.isdisjoint(cluster.pod_names("production", "app=api"))
