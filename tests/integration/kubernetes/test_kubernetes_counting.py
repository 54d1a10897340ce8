"""Counts in the cluster come from what is there now; what cannot be told is None."""

from dataclasses import replace

import pytest
from adapter_world import AdapterWorld
from flask import Flask, redirect

from agent.adapters.kubernetes.client import KubernetesApi
from agent.adapters.kubernetes.counting import KubernetesCounting
from agent.adapters.kubernetes.credentials import ClusterCredentials, credentials
from agent.adapters.live_counter import LiveCounter
from agent.config.sections import Kubernetes
from agent.domain.errors import Reason, ServiceError
from agent.simulators.kubernetes.objects import PODS
from agent.simulators.kubernetes.simulator import Disturbance, KubernetesSimulator
from agent.simulators.server import Simulator


@pytest.fixture
def sim():
    with KubernetesSimulator() as simulator:
        simulator.add_deployment("production", "api", replicas=3, labels={"tier": "web"})
        simulator.add_deployment("production", "api-canary", replicas=1, labels={"tier": "web"})
        simulator.add_stateful_set("production", "redis", replicas=2)
        simulator.add_daemon_set("production", "agent")
        yield simulator


@pytest.fixture
def counter(sim):
    return AdapterWorld(sim).counter


@pytest.mark.parametrize(
    ("kind", "name", "pods"),
    [("deployment", "api", 3), ("statefulset", "redis", 2), ("daemonset", "agent", 2)],
)
def test_a_workload_counts_its_pods(counter, kind, name, pods):
    assert counter.workload_pods("production", kind, name) == pods


def test_a_workload_that_was_scaled_counts_what_it_has_now(sim, counter):
    sim.scale("production", "api", 5)
    assert counter.workload_pods("production", "deployment", "api") == 5
    assert counter.workload_replicas("production", "deployment", "api") == 5


def test_pods_that_are_ending_already_are_nobodys_to_end():
    with KubernetesSimulator(instant=False) as sim:
        sim.add_deployment("production", "api", replicas=4)
        sim.settle()
        sim.scale("production", "api", 1)
        assert len(sim.pods("production")) == 4
        assert AdapterWorld(sim).counter.workload_pods("production", "deployment", "api") == 1


def test_a_list_that_was_cut_is_no_count():
    app = Flask("cluster")

    @app.get("/api/v1/namespaces/production/pods")
    def pods():
        return {"kind": "PodList", "metadata": {"continue": "more"}, "items": []}

    with Simulator(app) as server:
        api = KubernetesApi(ClusterCredentials(server=server.url))
        assert LiveCounter(lambda: KubernetesCounting(api)).selected_pods("production", "", "") is None


@pytest.mark.parametrize("body", ["", "[]", "{}", "not JSON", '{"items": [{}], "metadata": {}}'])
def test_an_answer_of_another_form_is_no_count(body):
    app = Flask("cluster")

    @app.get("/<path:path>")
    def anything(path):
        return body

    with Simulator(app) as server:
        api = KubernetesApi(ClusterCredentials(server=server.url))
        assert LiveCounter(lambda: KubernetesCounting(api)).selected_pods("production", "", "") is None


def test_a_redirect_is_not_followed_with_our_token():
    app = Flask("cluster")

    @app.get("/<path:path>")
    def elsewhere(path):
        return redirect("/stolen") if path != "stolen" else {"metadata": {}, "items": []}

    with Simulator(app) as server:
        api = KubernetesApi(ClusterCredentials(server=server.url, static_token="made-up-token"))
        assert LiveCounter(lambda: KubernetesCounting(api)).selected_pods("production", "", "") is None
        assert [each.path for each in server.requests()] == ["/api/v1/namespaces/production/pods"]


def test_the_cluster_of_a_kubeconfig_is_asked_over_tls(tmp_path):
    with KubernetesSimulator(tls=True) as sim:
        sim.add_deployment("production", "api", replicas=2)
        section = Kubernetes(kubeconfig=str(sim.kubeconfig(tmp_path / "kubeconfig")))
        api = KubernetesApi(credentials(section))
        assert KubernetesCounting(api).workload_pods("production", "deployment", "api") == 2
        stranger = KubernetesApi(replace(api.credentials, ca=""))
        with pytest.raises(ServiceError) as error:
            KubernetesCounting(stranger).workload_pods("production", "deployment", "api")
        assert error.value.reason is Reason.UNREACHABLE


def test_a_daemonset_has_no_replicas_to_tell(counter):
    assert counter.workload_replicas("production", "daemonset", "agent") is None


def test_selected_pods_are_named_in_order(sim, counter):
    found = counter.selected_pods("production", "tier=web", "")
    assert len(found) == 4
    assert list(found) == sorted(found)
    assert counter.selected_pods("production", "tier=none", "") == ()


def test_a_field_selector_narrows_the_pods(sim, counter):
    name = sim.pod_names("production", "app=redis")[0]
    assert counter.selected_pods("production", "", f"metadata.name={name}") == (name,)


def change_pod(sim, name, change):
    sim.add_pod("production", name)
    pod = sim.state.get(PODS, "production", name)
    pod["spec"]["nodeName"] = "node-a"
    change(pod)
    sim.state.update(PODS, pod)


def test_a_drain_counts_neither_daemonsets_nor_finished_nor_mirror_pods(sim, counter):
    mirror = {"kubernetes.io/config.mirror": "hash"}
    change_pod(sim, "static", lambda pod: pod["metadata"].update(annotations=mirror))
    change_pod(sim, "finished", lambda pod: pod["status"].update(phase="Succeeded"))
    change_pod(sim, "by-hand", lambda pod: None)
    counted = [name for _, name in counter.node_pods("node-a")]
    there = [
        pod["metadata"]["name"]
        for pod in sim.pods("production")
        if pod["spec"]["nodeName"] == "node-a" and pod["metadata"]["name"].startswith(("api", "redis"))
    ]
    assert counted == sorted(["by-hand", *there])


def test_a_release_counts_its_own_workloads(sim, counter):
    for kind, name in (("Deployment", "shop"), ("StatefulSet", "shop-db")):
        sim.apply(
            {
                "apiVersion": "apps/v1",
                "kind": kind,
                "metadata": {
                    "name": name,
                    "namespace": "production",
                    "annotations": {
                        "meta.helm.sh/release-name": "shop",
                        "meta.helm.sh/release-namespace": "production",
                    },
                },
                "spec": {
                    "replicas": 2,
                    "serviceName": name,
                    "selector": {"matchLabels": {"app": name}},
                    "template": {
                        "metadata": {"labels": {"app": name}},
                        "spec": {"containers": [{"name": "main", "image": "shop:1"}]},
                    },
                },
            }
        )
    assert counter.release_workloads("production", "shop") == (
        ("deployment", "shop", 2),
        ("statefulset", "shop-db", 2),
    )
    assert counter.release_workloads("production", "other") == ()


def test_what_is_not_there_cannot_be_counted(counter):
    assert counter.workload_pods("production", "deployment", "none") is None
    assert counter.workload_pods("none", "deployment", "api") is None
    assert counter.workload_pods("production", "cronjob", "api") is None


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 429, 500, 502, 503, 504])
def test_a_cluster_that_does_not_answer_well_is_no_count(sim, counter, status):
    sim.disturb(Disturbance(status, times=-1))
    assert counter.workload_pods("production", "deployment", "api") is None
    assert counter.selected_pods("production", "tier=web", "") is None
    assert counter.node_pods("node-a") is None
    assert counter.release_workloads("production", "shop") is None


def test_a_list_that_fails_is_not_replaced_by_what_the_workload_says(sim, counter):
    sim.disturb(Disturbance(500, verb="list", resource="pods", times=-1))
    assert counter.workload_pods("production", "deployment", "api") is None


def test_a_slow_cluster_is_asked_no_longer_than_the_timeout(sim):
    sim.disturb(Disturbance(0, delay_s=1.5, times=-1))
    counter = AdapterWorld(sim, timeout_s=0.2).counter
    assert counter.workload_pods("production", "deployment", "api") is None


def test_a_count_is_never_asked_for_twice(sim, counter):
    sim.forget_calls()
    sim.disturb(Disturbance(503, times=-1, retry_after_s=0))
    counter.workload_pods("production", "deployment", "api")
    assert len(sim.calls()) <= 1


def test_a_cluster_that_is_gone_is_no_count():
    with KubernetesSimulator() as sim:
        counter = AdapterWorld(sim).counter
    assert counter.selected_pods("production", "", "") is None


def test_the_token_is_sent_and_a_wrong_one_is_no_count(sim):
    token = sim.add_user("jane", groups=("system:masters",))
    assert AdapterWorld(sim, token=token).counter.workload_pods("production", "deployment", "api") == 3
    assert AdapterWorld(sim, token="wrong").counter.workload_pods("production", "deployment", "api") is None
