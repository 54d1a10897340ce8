"""A change is looked at in the live world right before it is sent, and tied to what was seen."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from agent.domain.access import ChangeForm, ClusterChange, ClusterRight
from agent.domain.command import Refusal
from agent.safety.cluster_facts import holds, pods_of
from agent.safety.cluster_pins import pinned
from agent.safety.cluster_requests import ClusterRequest, read

BASE = "/apis/apps/v1/namespaces/production"
API = f"{BASE}/deployments/api"
POD = "/api/v1/namespaces/production/pods/api-1"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"


def _read(line: str, content_type: str = STRATEGIC) -> ClusterRequest:
    method, _, target = line.partition(" ")
    found = read(method, target, (("content-type", content_type),))
    assert isinstance(found, ClusterRequest)
    return found


def _right(resource: str = "deployments", group: str = "apps", name: str = "api") -> ClusterRight:
    return ClusterRight("patch", resource, group, namespace="production", name=name)


def _holds(
    change: ClusterChange,
    line: str,
    world: Mapping[str, object],
    *,
    body: object = None,
    kind: str = STRATEGIC,
) -> Refusal | None:
    return holds(change, _read(line, kind), json.dumps(body).encode(), world.get)


@pytest.mark.parametrize(
    ("workload", "pods"),
    [
        ({"spec": {"replicas": 3}, "status": {"replicas": 2}}, 3),
        ({"spec": {"replicas": 3}, "status": {"replicas": 4}}, 4),
        ({"spec": {"replicas": 0}, "status": {}}, 0),
        ({"spec": {"replicas": 3}}, 3),
        ({"spec": {}, "status": {"replicas": 0}}, 1),
        ({"spec": {}, "status": {"desiredNumberScheduled": 3, "currentNumberScheduled": 5}}, 5),
        ({"spec": {}, "status": {"desiredNumberScheduled": 3}}, 3),
        ({"spec": {"replicas": "3"}}, None),
        ({"spec": {"replicas": True}}, None),
    ],
)
def test_the_larger_of_wanted_and_present_pods_counts(workload: object, pods: int | None) -> None:
    assert pods_of(workload) == pods


@pytest.mark.parametrize(("present", "fine"), [(1, True), (2, True), (3, False)])
def test_a_restart_touches_no_more_pods_than_were_charged(present: int, fine: bool) -> None:
    change = ClusterChange(_right(), ChangeForm.RESTART, pods=2)
    world = {API: {"spec": {"replicas": present}}}
    assert (_holds(change, f"PATCH {API}", world) is None) is fine


@pytest.mark.parametrize(
    "world", [{}, {API: None}, {API: []}, {API: {}}, {API: {"spec": {"replicas": "many"}}}]
)
def test_what_cannot_be_looked_at_is_not_changed(world: Mapping[str, object]) -> None:
    change = ClusterChange(_right(), ChangeForm.RESTART, pods=2)
    assert _holds(change, f"PATCH {API}", world)


def test_a_restart_that_was_charged_for_no_pods_is_refused() -> None:
    change = ClusterChange(_right(), ChangeForm.RESTART)
    assert _holds(change, f"PATCH {API}", {API: {"spec": {"replicas": 0}}})


@pytest.mark.parametrize(
    ("present", "from_replicas", "pods", "fine"),
    [
        (2, 2, None, True),
        (3, 2, None, False),
        (6, 6, 2, True),
        (4, None, 1, True),
        (1, None, 1, False),
        (7, None, 3, True),
        (8, None, 3, False),
        (99, None, None, True),
    ],
)
def test_a_scale_moves_what_was_charged(
    present: int, from_replicas: int | None, pods: int | None, fine: bool
) -> None:
    change = ClusterChange(_right(), ChangeForm.SCALE, replicas=4, from_replicas=from_replicas, pods=pods)
    world = {API: {"spec": {"replicas": present}}}
    assert (_holds(change, f"PATCH {API}/scale", world) is None) is fine


@pytest.mark.parametrize("workload", [None, {}, {"spec": {}}, {"spec": {"replicas": "0"}}])
def test_a_scale_from_an_unknown_number_is_refused(workload: object) -> None:
    change = ClusterChange(_right(), ChangeForm.SCALE, replicas=1, from_replicas=0)
    assert _holds(change, f"PATCH {API}/scale", {API: workload})


LISTED = "/api/v1/namespaces/production/pods?fieldSelector=metadata.name%3Dapi-1"
OWNED = {
    "metadata": {
        "name": "api-1",
        "labels": {"app": "api", "pod-template-hash": "abc"},
        "ownerReferences": [{"kind": "ReplicaSet", "name": "api-abc", "uid": "set", "controller": True}],
    },
    "spec": {"containers": [{"name": "api"}, {"name": "sidecar"}], "nodeName": "node-a"},
}
DEPLOYMENT = {"metadata": {"name": "api", "uid": "d"}, "spec": {"selector": {"matchLabels": {"app": "api"}}}}


def _pod(**changes: object) -> dict[str, object]:
    return {**OWNED, "metadata": {**OWNED["metadata"], **changes}}


def _owner(**changes: object) -> dict[str, object]:
    return _pod(
        ownerReferences=[
            {"kind": "ReplicaSet", "name": "api-abc", "uid": "set", "controller": True, **changes}
        ]
    )


@pytest.mark.parametrize(
    ("pod", "fine"),
    [
        (OWNED, True),
        (_pod(ownerReferences=[]), False),
        (_owner(controller=False), False),
        (_owner(name="other-abc"), False),
        (_owner(name="api-canary-abc"), False),
        (_owner(kind="Job"), False),
        (_pod(labels={"app": "other", "pod-template-hash": "abc"}), False),
        (_pod(labels={"app": "api"}), False),
        (_pod(name="api-2"), False),
        ({"metadata": {}}, False),
        (None, False),
    ],
)
def test_exec_in_a_deployment_is_exec_in_one_of_its_pods(pod: object, fine: bool) -> None:
    change = ClusterChange(_right(), ChangeForm.EXEC, argv=("ls",))
    world = {LISTED: {"items": [pod]}, API: DEPLOYMENT}
    assert (_holds(change, f"GET {POD}/exec?command=ls", world) is None) is fine


@pytest.mark.parametrize(
    ("resource", "group", "path", "workload", "fine"),
    [
        ("statefulsets", "apps", f"{BASE}/statefulsets/api", {"metadata": {"uid": "set"}}, True),
        ("statefulsets", "apps", f"{BASE}/statefulsets/api", {"metadata": {"uid": "other"}}, False),
        ("statefulsets", "apps", f"{BASE}/statefulsets/api", {"metadata": {}}, False),
        ("replicasets", "apps", f"{BASE}/replicasets/api", {"metadata": {"uid": "set"}}, True),
        (
            *("jobs", "batch", "/apis/batch/v1/namespaces/production/jobs/api"),
            {"metadata": {"uid": "set"}},
            True,
        ),
        (
            *("services", "", "/api/v1/namespaces/production/services/api"),
            {"spec": {"selector": {"app": "api"}}},
            True,
        ),
        (
            *("services", "", "/api/v1/namespaces/production/services/api"),
            {"spec": {"selector": {"app": "b"}}},
            False,
        ),
        ("services", "", "/api/v1/namespaces/production/services/api", {"spec": {"selector": {}}}, False),
        ("services", "", "/api/v1/namespaces/production/services/api", {"spec": {}}, False),
    ],
)
def test_exec_in_another_workload_is_exec_in_one_of_its_pods(
    resource: str, group: str, path: str, workload: object, fine: bool
) -> None:
    change = ClusterChange(_right(resource, group), ChangeForm.EXEC, argv=("ls",))
    world = {LISTED: {"items": [OWNED]}, path: workload}
    assert (_holds(change, f"GET {POD}/exec?command=ls", world) is None) is fine


@pytest.mark.parametrize("listed", [None, {}, {"items": []}, {"items": [OWNED, OWNED]}])
def test_exec_in_a_pod_that_cannot_be_looked_at_is_refused(listed: object) -> None:
    change = ClusterChange(_right(), ChangeForm.EXEC, argv=("ls",))
    assert _holds(change, f"GET {POD}/exec?command=ls", {LISTED: listed, API: DEPLOYMENT, POD: OWNED})


@pytest.mark.parametrize(
    ("container", "annotations", "fine"),
    [
        ("api", {}, True),
        ("sidecar", {}, False),
        ("sidecar", {"kubectl.kubernetes.io/default-container": "sidecar"}, True),
        ("api", {"kubectl.kubernetes.io/default-container": "sidecar"}, False),
    ],
)
def test_without_a_container_the_default_one_is_meant(
    container: str, annotations: object, fine: bool
) -> None:
    change = ClusterChange(_right("pods", "", "api-1"), ChangeForm.EXEC, argv=("ls",))
    line = f"GET {POD}/exec?command=ls&container={container}"
    assert (_holds(change, line, {POD: _pod(annotations=annotations)}) is None) is fine


@pytest.mark.parametrize(("node", "fine"), [("node-a", True), ("node-b", False)])
def test_a_pod_is_evicted_from_the_node_that_is_drained(node: str, fine: bool) -> None:
    change = ClusterChange(ClusterRight("create", "nodes", name=node), ChangeForm.EVICT)
    assert (_holds(change, f"POST {POD}/eviction", {POD: OWNED}) is None) is fine


TEMPLATE = {
    "metadata": {"labels": {"app": "api"}, "creationTimestamp": None},
    "spec": {"containers": [{"name": "api", "image": "api:1", "resources": {}}]},
}
WITH_HASH = {**TEMPLATE, "metadata": {"labels": {"app": "api", "pod-template-hash": "abc"}}}
SETS = f"{BASE}/replicasets?labelSelector=app%3Dapi"
UNDO = ClusterChange(_right(), ChangeForm.UNDO, pods=9)


def _past(template: object = WITH_HASH, uid: str = "d", **annotations: str) -> dict[str, object]:
    owner = {"uid": uid, "controller": True}
    return {
        "metadata": {"ownerReferences": [owner], "annotations": annotations},
        "spec": {"template": template},
    }


def _operations(template: object, annotations: object = None) -> list[dict[str, object]]:
    operations = [{"op": "replace", "path": "/spec/template", "value": template}]
    if annotations is not None:
        operations.append({"op": "replace", "path": "/metadata/annotations", "value": annotations})
    return operations


def _swapped(image: str) -> dict[str, object]:
    return {**TEMPLATE, "spec": {"containers": [{"name": "api", "image": image}]}}


@pytest.mark.parametrize(
    ("past", "body", "fine"),
    [
        ([_past()], _operations(TEMPLATE), True),
        ([_past(_swapped("api:0")), _past()], _operations(TEMPLATE), True),
        ([_past()], _operations(_swapped("evil:1")), False),
        ([_past(uid="other")], _operations(TEMPLATE), False),
        ([], _operations(TEMPLATE), False),
        ([_past(cause="a")], _operations(TEMPLATE, {"cause": "a", "now": "b"}), True),
        ([_past(cause="a")], _operations(TEMPLATE, {"cause": "else"}), False),
        ([_past()], _operations(TEMPLATE, {"added": "c"}), False),
        (
            [_past()],
            _operations({**TEMPLATE, "spec": {**TEMPLATE["spec"], "volumes": [{"$patch": "delete"}]}}),
            False,
        ),
    ],
)
def test_an_undo_of_a_deployment_goes_to_a_template_that_it_had(
    past: list[object], body: object, fine: bool
) -> None:
    now = {**DEPLOYMENT, "spec": {**DEPLOYMENT["spec"], "replicas": 2}}
    now["metadata"] = {**DEPLOYMENT["metadata"], "annotations": {"now": "b"}}
    world = {API: now, SETS: {"items": past}}
    assert (_holds(UNDO, f"PATCH {API}", world, body=body, kind=JSON_PATCH) is None) is fine


@pytest.mark.parametrize(("image", "fine"), [("db:1", True), ("evil:1", False)])
def test_an_undo_of_a_stateful_set_goes_to_a_kept_revision(image: str, fine: bool) -> None:
    path = f"{BASE}/statefulsets/db"
    template = {"$patch": "replace", "spec": {"containers": [{"name": "db", "image": "db:1"}]}}
    asked = {"$patch": "replace", "spec": {"containers": [{"name": "db", "image": image}]}}
    revision = {"metadata": {"ownerReferences": [{"uid": "s"}]}, "data": {"spec": {"template": template}}}
    world = {
        path: {"metadata": {"uid": "s"}, "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "db"}}}},
        f"{BASE}/controllerrevisions?labelSelector=app%3Ddb": {"items": [revision]},
    }
    change = ClusterChange(_right("statefulsets", "apps", "db"), ChangeForm.UNDO, pods=1)
    body = {"spec": {"template": asked}}
    assert (_holds(change, f"PATCH {path}", world, body=body) is None) is fine


def test_a_counted_change_is_tied_to_the_version_that_was_counted() -> None:
    restart = pinned(ChangeForm.RESTART, _read(f"PATCH {API}"), b'{"spec": {"a": 1}}', version="7")
    undo = pinned(ChangeForm.UNDO, _read(f"PATCH {API}", JSON_PATCH), b"[]", version="7")
    put = _read(f"PUT {API}/scale", "application/json")
    same = pinned(ChangeForm.SCALE, put, b'{"metadata": {"name": "a", "resourceVersion": "7"}}', version="7")
    assert isinstance(restart, bytes)
    assert json.loads(restart) == {"spec": {"a": 1}, "metadata": {"resourceVersion": "7"}}
    assert undo == b'[{"op": "test", "path": "/metadata/resourceVersion", "value": "7"}]'
    assert isinstance(same, bytes)
    assert json.loads(same) == {"metadata": {"name": "a", "resourceVersion": "7"}}


def test_what_kubectl_saw_before_the_count_is_refused() -> None:
    put = _read(f"PUT {API}/scale", "application/json")
    assert isinstance(
        pinned(ChangeForm.SCALE, put, b'{"metadata": {"resourceVersion": "6"}}', version="7"), Refusal
    )


def test_a_change_that_counts_nothing_on_its_object_is_sent_as_it_is() -> None:
    assert pinned(ChangeForm.DELETE, _read(f"DELETE {POD}"), b"", version="7") == b""
    assert pinned(ChangeForm.RESTART, _read(f"PATCH {API}"), b"{}", version="") == b"{}"
