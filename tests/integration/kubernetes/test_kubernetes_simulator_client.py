"""The simulated cluster answers the `kubernetes` Python client."""

import pytest
from kubernetes import client, watch
from kubernetes_words import connected, core_v1, exec_stream

from agent.simulators.kubernetes.simulator import Disturbance


def test_reads_writes_and_scales(cluster):
    with connected(cluster) as connection:
        apps, core = client.AppsV1Api(connection), client.CoreV1Api(connection)
        deployment = apps.read_namespaced_deployment("api", "production")
        assert (deployment.spec.replicas, deployment.status.available_replicas) == (3, 3)
        apps.patch_namespaced_deployment_scale("api", "production", {"spec": {"replicas": 4}})
        pods = core.list_namespaced_pod("production", label_selector="app=api").items
        assert len(pods) == 4
        gone = core.delete_namespaced_pod(pods[0].metadata.name, "production")
        assert gone.metadata.deletion_timestamp is not None
        assert pods[0].metadata.name not in cluster.pod_names("production")


def test_a_dry_run_changes_nothing(cluster):
    with connected(cluster) as connection:
        patch = {"spec": {"replicas": 9}}
        shown = client.AppsV1Api(connection).patch_namespaced_deployment(
            "api", "production", patch, dry_run="All"
        )
    assert (shown.spec.replicas, len(cluster.pods("production"))) == (9, 3)


def test_a_stale_write_is_a_conflict(cluster):
    with connected(cluster) as connection:
        apps = client.AppsV1Api(connection)
        old = apps.read_namespaced_deployment("api", "production")
        cluster.scale("production", "api", 2)
        with pytest.raises(client.ApiException) as caught:
            apps.replace_namespaced_deployment("api", "production", old)
    assert (caught.value.status, caught.value.reason) == (409, "CONFLICT")
    assert "the object has been modified" in caught.value.body


def test_cordon_eviction_and_logs(cluster):
    pod, *others = cluster.pod_names("production")
    cluster.set_log("production", "hello\n", pod=pod)
    with core_v1(cluster) as api:
        api.patch_node("node-a", {"spec": {"unschedulable": True}})
        assert api.read_namespaced_pod_log(pod, "production", tail_lines=1) == "hello\n"
        eviction = client.V1Eviction(metadata=client.V1ObjectMeta(name=pod, namespace="production"))
        api.create_namespaced_pod_eviction(pod, "production", eviction)
    [new] = (each for each in cluster.pods("production") if each["metadata"]["name"] not in others)
    assert (new["metadata"]["name"] != pod, new["spec"]["nodeName"]) == (True, "node-b")


def test_exec_speaks_the_older_channel_protocol(cluster):
    with core_v1(cluster) as api:
        done = exec_stream(api, cluster.pod_names("production")[0], ["ls", "/nonexistent", "/dev/null"])
        done.run_forever(timeout=10)
        assert (done.read_stdout(), done.returncode) == ("/dev/null\n", 2)
        assert "/nonexistent" in done.read_stderr()
        done.sock.shutdown()  # the client leaves a socket open that the server has closed


def test_may_i_is_answered_for_the_token(secure):
    token = secure.add_service_account("production", "agent")
    attributes = client.V1ResourceAttributes(verb="create", resource="pods", subresource="exec")
    spec = client.V1SelfSubjectAccessReviewSpec(resource_attributes=attributes)
    with connected(secure, token) as connection:
        review = client.AuthorizationV1Api(connection).create_self_subject_access_review(
            client.V1SelfSubjectAccessReview(spec=spec)
        )
        with pytest.raises(client.ApiException) as caught:
            client.CoreV1Api(connection).list_namespaced_pod("production")
    assert review.status.allowed is False
    assert caught.value.status == 403


def test_a_watch_tells_of_every_pod_that_comes_and_goes(cluster):
    with core_v1(cluster) as api:
        version = api.list_namespaced_pod("production").metadata.resource_version
        cluster.scale("production", "api", 4)
        cluster.scale("production", "api", 3)
        seen = [
            event["type"]
            for event in watch.Watch().stream(
                api.list_namespaced_pod, "production", resource_version=version, timeout_seconds=1
            )
        ]
    assert (seen[0], seen[-1]) == ("ADDED", "DELETED")
    assert set(seen[1:-1]) == {"MODIFIED"}


def test_a_server_in_trouble_answers_with_a_status(cluster):
    cluster.disturb(Disturbance(status=503, times=-1))
    with core_v1(cluster) as api, pytest.raises(client.ApiException) as caught:
        api.list_namespaced_pod("production")
    assert caught.value.status == 503
    cluster.disturb()
    with core_v1(cluster) as api:
        assert len(api.list_namespaced_pod("production").items) == 3
