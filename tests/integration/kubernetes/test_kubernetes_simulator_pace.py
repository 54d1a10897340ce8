"""What a cluster looks like between two moments: pods that start and end only when time is let go on."""

from collections.abc import Iterator

import httpx
import pytest
from kubernetes_words import budget

from agent.simulators.kubernetes.objects import DEPLOYMENTS, EVENTS, REPLICA_SETS, is_ready, is_terminating
from agent.simulators.kubernetes.simulator import Disturbance, KubernetesSimulator

RESTART = {"spec": {"template": {"metadata": {"annotations": {"restartedAt": "now"}}}}}


@pytest.fixture
def paced() -> Iterator[KubernetesSimulator]:
    with KubernetesSimulator(instant=False) as sim:
        sim.add_deployment("production", "api", replicas=4)
        sim.settle()
        yield sim


def patch(sim: KubernetesSimulator, body: dict, name: str = "api") -> httpx.Response:
    return httpx.patch(
        f"{sim.url}/apis/apps/v1/namespaces/production/deployments/{name}",
        json=body,
        headers={"Content-Type": "application/strategic-merge-patch+json"},
    )


def deployment(sim: KubernetesSimulator) -> dict:
    return sim.state.get(DEPLOYMENTS, "production", "api")


def test_a_rollout_stays_within_surge_and_availability(paced):
    patch(paced, RESTART)
    steps = 0
    while paced.tick():
        pods = paced.pods("production")
        ready = sum(is_ready(pod) and not is_terminating(pod) for pod in pods)
        alive = sum(not is_terminating(pod) for pod in pods)
        assert ready >= 3, "one of four may be missing"
        assert alive <= 5, "one more than four may be there"
        steps += 1
    assert steps > 2
    assert deployment(paced)["status"]["updatedReplicas"] == 4


def test_the_status_lags_behind_and_then_catches_up(paced):
    answer = patch(paced, RESTART).json()
    assert answer["metadata"]["generation"] > answer["status"]["observedGeneration"]
    middle = deployment(paced)["status"]
    assert middle["observedGeneration"] == answer["metadata"]["generation"]
    assert middle["updatedReplicas"] < 4
    paced.settle()
    assert deployment(paced)["status"]["conditions"][1]["reason"] == "NewReplicaSetAvailable"


def test_a_rollout_whose_new_pods_never_become_ready_keeps_the_old_ones(paced):
    old = set(paced.pod_names("production"))
    paced.set_ready("production", "version=bad", ready=False)
    patch(paced, {"spec": {"template": {"metadata": {"labels": {"version": "bad"}}}}})
    paced.settle()
    assert len(old & set(paced.pod_names("production"))) == 3
    assert deployment(paced)["status"]["availableReplicas"] == 3


def test_recreate_ends_every_old_pod_before_the_first_new_one(paced):
    patch(paced, {"spec": {"strategy": {"type": "Recreate", "rollingUpdate": None}}})
    old = set(paced.pod_names("production"))
    patch(paced, RESTART)
    assert {is_terminating(pod) for pod in paced.pods("production")} == {True}
    paced.settle()
    assert len(paced.pods("production")) == 4
    assert not old & set(paced.pod_names("production"))


def test_a_deleted_pod_is_terminating_until_time_goes_on(paced):
    victim = paced.pod_names("production")[0]
    url = f"{paced.url}/api/v1/namespaces/production/pods/{victim}"
    assert "deletionTimestamp" in httpx.delete(url).json()["metadata"]
    assert len(paced.pods("production")) == 5, "the new one is there before the old one has gone"
    paced.settle()
    assert victim not in paced.pod_names("production")


def test_an_eviction_counts_only_pods_that_are_ready(paced):
    paced.apply(budget("api", min_available=3))
    first, second = paced.pod_names("production")[:2]

    def evict(pod: str) -> int:
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}}
        url = f"{paced.url}/api/v1/namespaces/production/pods/{pod}/eviction"
        return httpx.post(url, json=body).status_code

    assert (evict(first), evict(second)) == (201, 429)
    paced.settle()
    assert evict(second) == 201


def test_old_replica_sets_are_kept_as_long_as_the_history_says(paced):
    patch(paced, {"spec": {"revisionHistoryLimit": 1}})
    for number in range(4):
        patch(paced, {"spec": {"template": {"metadata": {"annotations": {"n": str(number)}}}}})
        paced.settle()
    assert len(paced.state.objects(REPLICA_SETS, "production")) == 2


def test_no_node_means_pending_pods():
    with KubernetesSimulator(nodes=()) as sim:
        sim.add_deployment("production", "api")
        [pod] = sim.pods("production")
        assert (pod["status"]["phase"], is_ready(pod)) == ("Pending", False)
        sim.add_node("node-a")
        assert is_ready(sim.pods("production")[0])


def test_a_namespace_takes_all_that_is_in_it_along(cluster):
    httpx.delete(f"{cluster.url}/api/v1/namespaces/production").raise_for_status()
    assert cluster.pods("production") == []
    assert cluster.state.objects(EVENTS, "production") == []
    answer = httpx.post(
        f"{cluster.url}/api/v1/namespaces/production/configmaps", json={"metadata": {"name": "late"}}
    )
    assert answer.json()["message"] == 'namespaces "production" not found'


def test_a_slow_server_answers_late_but_answers(cluster):
    cluster.disturb(Disturbance(status=0, delay_s=0.2, verb="list"))
    answer = httpx.get(f"{cluster.url}/api/v1/pods", timeout=5)
    assert (answer.status_code, answer.elapsed.total_seconds() >= 0.2) == (200, True)


def test_every_request_is_on_record_with_its_body_and_its_answer(cluster):
    patch(cluster, RESTART)
    patch(cluster, RESTART, name="nosuch")
    seen = [(call.verb, call.resource, call.name, call.status, call.changed) for call in cluster.calls()]
    assert seen == [
        ("patch", "deployments", "api", 200, True),
        ("patch", "deployments", "nosuch", 404, False),
    ]
    assert cluster.calls()[0].body == RESTART
    cluster.forget_calls()
    assert cluster.calls() == []


def test_a_hundred_replicas_settle_at_once(cluster):
    cluster.add_deployment("production", "big", replicas=100)
    assert len(cluster.pods("production", "app=big")) == 100
