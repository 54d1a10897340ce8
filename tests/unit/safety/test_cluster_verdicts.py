"""One attempt may ask of the cluster what its command was priced for, in that form, and no oftener."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.domain.access import Access, ChangeForm, ClusterChange, ClusterRight
from agent.domain.command import Refusal
from agent.safety.cluster_requests import ClusterRequest, read
from agent.safety.cluster_verdicts import Allowed, Ledger, judge

PODS = "/api/v1/namespaces/production/pods"
DEPLOYMENTS = "/apis/apps/v1/namespaces/production/deployments"
STRATEGIC = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
JSON = "application/json"
WHEN = "2026-03-01T10:00:00Z"


def _right(verb: str, resource: str, **more: str) -> ClusterRight:
    return ClusterRight(verb, resource, **{"namespace": "production", **more})


def _read(line: str, *, content_type: str = "", upgrade: str = "") -> ClusterRequest:
    method, _, target = line.partition(" ")
    headers = [("content-type", content_type)] if content_type else []
    found = read(method, target, [*headers, ("upgrade", upgrade)] if upgrade else headers)
    assert isinstance(found, ClusterRequest), found
    return found


def _judge(
    line: str, access: Access, *, body: object = None, content_type: str = "", upgrade: str = ""
) -> Allowed | Refusal:
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return judge(_read(line, content_type=content_type, upgrade=upgrade), data, access, used={})


READS = [
    (_right("list", "pods"), f"GET {PODS}", True),
    (_right("list", "pods"), f"GET {PODS}?labelSelector=app%3Dapi", True),
    (_right("list", "pods"), f"GET {PODS}?watch=true", False),
    (_right("list", "pods"), f"GET {PODS}/api-1", False),
    (_right("list", "pods"), "GET /api/v1/namespaces/staging/pods", False),
    (_right("list", "pods"), "GET /api/v1/pods", False),
    (_right("list", "pods", namespace=""), "GET /api/v1/pods", False),
    (_right("list", "pods", namespace="*"), "GET /api/v1/pods", True),
    (_right("list", "pods", namespace="*"), "GET /api/v1/namespaces/staging/pods", True),
    (_right("get", "pods", name="api-1"), f"GET {PODS}/api-1", True),
    (_right("get", "pods", name="api-1"), f"GET {PODS}/api-2", False),
    (_right("get", "pods", name="api-1"), f"GET {PODS}?fieldSelector=metadata.name%3Dapi-1", True),
    (_right("get", "pods", name="api-1"), f"GET {PODS}?fieldSelector=metadata.name%3Dapi-2", False),
    (_right("list", "pods", name="api-1"), f"GET {PODS}", False),
    (_right("list", "pods", name="api-1"), f"GET {PODS}?fieldSelector=metadata.name!%3Dapi-1", False),
    (_right("watch", "pods", name="api-1"), f"GET {PODS}?fieldSelector=metadata.name%3Dapi-1&watch=1", True),
    (_right("get", "pods"), f"GET {PODS}/anything", True),
    (_right("get", "pods"), f"GET {PODS}/api-1/log", False),
    (_right("get", "pods", subresource="log"), f"GET {PODS}/api-1/log", True),
    (_right("get", "pods", subresource="log", name="api-2"), f"GET {PODS}/api-1/log", False),
    (_right("get", "pods", subresource="exec"), f"GET {PODS}/api-1/exec?command=ls", False),
    (_right("create", "pods", subresource="exec"), f"POST {PODS}/api-1/exec?command=ls", False),
    (_right("get", "deployments"), f"GET {DEPLOYMENTS}/api", False),
    (_right("get", "deployments", group="apps"), f"GET {DEPLOYMENTS}/api", True),
    (_right("get", "pods"), "GET /api/v1/namespaces/production/secrets/api-1", False),
    (_right("get", "secrets", name="one"), "GET /api/v1/namespaces/production/secrets/one", True),
    (_right("get", "secrets", name="one"), "GET /api/v1/namespaces/production/secrets", False),
    (_right("get", "nodes", namespace=""), "GET /api/v1/nodes/node-a", True),
    (_right("list", "nodes", namespace=""), "GET /api/v1/nodes", True),
    (_right("list", "events", namespace="*"), "GET /api/v1/events?fieldSelector=type%3DWarning", True),
    (_right("delete", "pods"), f"DELETE {PODS}/api-1", False),
    (_right("deletecollection", "pods"), f"DELETE {PODS}", False),
    (_right("patch", "deployments", group="apps"), f"PATCH {DEPLOYMENTS}/api", False),
    (_right("create", "pods"), f"POST {PODS}", False),
    (_right("update", "deployments", group="apps"), f"PUT {DEPLOYMENTS}/api", False),
    (
        ClusterRight("create", "selfsubjectaccessreviews", "authorization.k8s.io"),
        "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        True,
    ),
    (
        ClusterRight("create", "subjectaccessreviews", "authorization.k8s.io"),
        "POST /apis/authorization.k8s.io/v1/subjectaccessreviews",
        False,
    ),
    (ClusterRight("create", "selfsubjectaccessreviews"), "POST /api/v1/selfsubjectaccessreviews", False),
]


@pytest.mark.parametrize(("right", "line", "allowed"), READS, ids=[f"{r[0]} {r[1]}" for r in READS])
def test_a_read_needs_its_right(right: ClusterRight, line: str, allowed: bool) -> None:
    verdict = _judge(line, Access(cluster=(right,)))
    assert isinstance(verdict, Allowed) is allowed
    if isinstance(verdict, Allowed):
        assert verdict.change is None


@pytest.mark.parametrize("line", ["GET /version", "GET /api", "GET /apis/apps/v1", "GET /openapi/v2"])
def test_what_apis_there_are_may_always_be_asked(line: str) -> None:
    assert _judge(line, Access()) == Allowed()


def test_a_get_has_no_body() -> None:
    assert isinstance(_judge("GET /version", Access(), body={}), Refusal)


def _change(form: ChangeForm, right: ClusterRight, **more: object) -> Access:
    return Access(changes=(replace(ClusterChange(right, form), **more),))


DEPLOYMENT = _right("patch", "deployments", group="apps", name="api")
RESTART = _change(ChangeForm.RESTART, DEPLOYMENT, pods=2)
UNDO = _change(ChangeForm.UNDO, DEPLOYMENT, pods=2)
SCALE = _change(ChangeForm.SCALE, DEPLOYMENT, replicas=3, from_replicas=2)
DELETE = _change(ChangeForm.DELETE, _right("delete", "pods"), names=("a", "b"), at_most=2)
EVICT = _change(ChangeForm.EVICT, _right("create", "pods", subresource="eviction"), names=("a",))
NODE = ClusterRight("patch", "nodes", name="node-a")
CORDON = _change(ChangeForm.CORDON, NODE)
UNCORDON = _change(ChangeForm.UNCORDON, NODE)


def _restart(when: object = WHEN, **more: object) -> dict[str, object]:
    annotations = {"kubectl.kubernetes.io/restartedAt": when, **more}
    return {"spec": {"template": {"metadata": {"annotations": annotations}}}}


def _replace(path: str, value: object, op: str = "replace") -> dict[str, object]:
    return {"op": op, "path": path, "value": value}


TEMPLATE = {"metadata": {}, "spec": {"containers": []}}
GONE = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
EVICTION = {
    "kind": "Eviction",
    "apiVersion": "policy/v1",
    "metadata": {"name": "a", "namespace": "production"},
}
PATCH, PATCH_SCALE, PUT_SCALE = (
    *(f"PATCH {DEPLOYMENTS}/api", f"PATCH {DEPLOYMENTS}/api/scale"),
    f"PUT {DEPLOYMENTS}/api/scale",
)
PATCH_NODE = "PATCH /api/v1/nodes/node-a"
TWO_KEYS = b'{"spec": {"replicas": 3, "replicas": 9}}'

CHANGES = [
    (RESTART, PATCH, STRATEGIC, _restart(), True),
    (RESTART, PATCH, MERGE, _restart("2026-03-01T10:00:00+02:00"), True),
    (RESTART, f"{PATCH}?fieldManager=kubectl-rollout", STRATEGIC, _restart(), True),
    (RESTART, f"{PATCH}?dryRun=All", STRATEGIC, _restart(), True),
    (RESTART, PATCH, JSON, _restart(), False),
    (RESTART, PATCH, "application/apply-patch+yaml", _restart(), False),
    (RESTART, PATCH, "", _restart(), False),
    (RESTART, PATCH, STRATEGIC, _restart("now"), False),
    (RESTART, PATCH, STRATEGIC, _restart(None), False),
    (RESTART, PATCH, STRATEGIC, _restart(other="x"), False),
    (RESTART, PATCH, STRATEGIC, {**_restart(), "metadata": {}}, False),
    (RESTART, PATCH, STRATEGIC, {"spec": {"replicas": 0}}, False),
    (RESTART, PATCH, STRATEGIC, [], False),
    (RESTART, PATCH, STRATEGIC, b"", False),
    (RESTART, PATCH, STRATEGIC, b"\x00\x01", False),
    (RESTART, PATCH, STRATEGIC, b"[" * 100_000, False),
    (RESTART, f"PATCH {DEPLOYMENTS}/other", STRATEGIC, _restart(), False),
    (RESTART, "PATCH /apis/apps/v1/namespaces/staging/deployments/api", STRATEGIC, _restart(), False),
    (RESTART, "PATCH /apis/apps/v1/namespaces/production/statefulsets/api", STRATEGIC, _restart(), False),
    (RESTART, PATCH_SCALE, STRATEGIC, _restart(), False),
    (RESTART, f"PUT {DEPLOYMENTS}/api", JSON, _restart(), False),
    (RESTART, f"DELETE {DEPLOYMENTS}/api", "", b"", False),
    (UNDO, PATCH, JSON_PATCH, [_replace("/spec/template", TEMPLATE)], True),
    (
        *(UNDO, PATCH, JSON_PATCH),
        [_replace("/spec/template", TEMPLATE), _replace("/metadata/annotations", {})],
        True,
    ),
    (UNDO, PATCH, JSON_PATCH, [_replace("/spec/template", TEMPLATE, "add")], False),
    (UNDO, PATCH, JSON_PATCH, [_replace("/spec/replicas", 0)], False),
    (UNDO, PATCH, JSON_PATCH, [_replace("/spec/template", TEMPLATE)] * 2, False),
    (UNDO, PATCH, JSON_PATCH, [_replace("/spec/template", TEMPLATE), _replace("/spec/replicas", 0)], False),
    (UNDO, PATCH, JSON_PATCH, [], False),
    (UNDO, PATCH, STRATEGIC, {"spec": {"template": {"$patch": "replace", **TEMPLATE}}}, True),
    (UNDO, PATCH, MERGE, {"spec": {"template": {"$patch": "replace", **TEMPLATE}}}, False),
    (UNDO, PATCH, STRATEGIC, {"spec": {"template": TEMPLATE}}, False),
    (UNDO, PATCH, STRATEGIC, {"spec": {"template": {"$patch": "replace"}, "replicas": 0}}, False),
    (SCALE, PATCH_SCALE, MERGE, {"spec": {"replicas": 3}}, True),
    (SCALE, PATCH_SCALE, MERGE, {"spec": {"replicas": 4}}, False),
    (SCALE, PATCH_SCALE, MERGE, {"spec": {"replicas": 3.0}}, False),
    (SCALE, PATCH_SCALE, MERGE, TWO_KEYS, False),
    (SCALE, f"PATCH {DEPLOYMENTS}/api", MERGE, {"spec": {"replicas": 3}}, False),
    (SCALE, PUT_SCALE, JSON, {"metadata": {"name": "api"}, "spec": {"replicas": 3}}, True),
    (SCALE, PUT_SCALE, JSON, {"metadata": {"name": "other"}, "spec": {"replicas": 3}}, False),
    (SCALE, PUT_SCALE, JSON, {"metadata": {"name": "api"}, "spec": {}}, False),
    (SCALE, f"DELETE {DEPLOYMENTS}/api/scale", "", b"", False),
    (DELETE, f"DELETE {PODS}/a", JSON, GONE, True),
    (DELETE, f"DELETE {PODS}/b", "", b"", True),
    (DELETE, f"DELETE {PODS}/c", JSON, GONE, False),
    (DELETE, f"DELETE {PODS}", JSON, GONE, False),
    (DELETE, f"DELETE {PODS}?pretty=true", JSON, GONE, False),
    (DELETE, f"DELETE {PODS}/a", JSON, {**GONE, "gracePeriodSeconds": 30}, True),
    (DELETE, f"DELETE {PODS}/a", JSON, {**GONE, "gracePeriodSeconds": 0}, False),
    (DELETE, f"DELETE {PODS}/a", JSON, {**GONE, "propagationPolicy": "Orphan"}, False),
    (DELETE, f"DELETE {PODS}/a", JSON, {**GONE, "orphanDependents": True}, False),
    (DELETE, f"DELETE {PODS}/a", "application/vnd.kubernetes.protobuf", b"k8s\x00", False),
    (EVICT, f"POST {PODS}/a/eviction", JSON, EVICTION, True),
    (EVICT, f"POST {PODS}/b/eviction", JSON, EVICTION, False),
    (EVICT, f"POST {PODS}/a/eviction", JSON, {**EVICTION, "metadata": {"name": "b"}}, False),
    (
        *(EVICT, f"POST {PODS}/a/eviction", JSON),
        {**EVICTION, "deleteOptions": {"gracePeriodSeconds": 0}},
        False,
    ),
    (CORDON, PATCH_NODE, STRATEGIC, {"spec": {"unschedulable": True}}, True),
    (CORDON, PATCH_NODE, STRATEGIC, {"spec": {"unschedulable": 1}}, False),
    (CORDON, PATCH_NODE, STRATEGIC, {"spec": {"unschedulable": None}}, False),
    (CORDON, PATCH_NODE, STRATEGIC, {"spec": {"unschedulable": True, "taints": []}}, False),
    (CORDON, "PATCH /api/v1/nodes/node-b", STRATEGIC, {"spec": {"unschedulable": True}}, False),
    (CORDON, "DELETE /api/v1/nodes/node-a", "", b"", False),
    (UNCORDON, PATCH_NODE, STRATEGIC, {"spec": {"unschedulable": None}}, True),
    (UNCORDON, PATCH_NODE, STRATEGIC, {"spec": {"unschedulable": False}}, True),
    (UNCORDON, PATCH_NODE, STRATEGIC, {"spec": {"unschedulable": 0}}, False),
    (UNCORDON, PATCH_NODE, STRATEGIC, {"spec": {}}, False),
    (UNCORDON, PATCH_NODE, STRATEGIC, {"spec": {"unschedulable": True}}, False),
]


@pytest.mark.parametrize(("access", "line", "content_type", "body", "allowed"), CHANGES)
def test_a_change_goes_through_in_its_own_form_alone(
    access: Access, line: str, content_type: str, body: object, allowed: bool
) -> None:
    verdict = _judge(line, access, body=body, content_type=content_type)
    assert isinstance(verdict, Allowed) is allowed
    if isinstance(verdict, Allowed):
        assert verdict.change == access.changes[0]


EXEC = _change(
    ChangeForm.EXEC, _right("create", "pods", subresource="exec", name="a"), argv=("redis-cli", "PING")
)
EXEC_IN = _change(
    *(ChangeForm.EXEC, _right("create", "deployments", group="apps", subresource="exec", name="api")),
    argv=("redis-cli", "PING"),
    container="redis",
)
PING = "command=redis-cli&command=PING"


@pytest.mark.parametrize(
    ("access", "line", "upgrade", "allowed"),
    [
        (EXEC, f"GET {PODS}/a/exec?{PING}&stdout=true&stderr=true", "websocket", True),
        (EXEC, f"POST {PODS}/a/exec?{PING}&stdout=true", "SPDY/3.1", True),
        (EXEC, f"GET {PODS}/a/exec?{PING}&container=any", "WebSocket", True),
        (EXEC, f"GET {PODS}/a/exec?{PING}", "", False),
        (EXEC, f"POST {PODS}/a/exec?{PING}", "", False),
        (EXEC, f"GET {PODS}/a/exec?{PING}", "h2c", False),
        (EXEC, f"PUT {PODS}/a/exec?{PING}", "websocket", False),
        (EXEC, f"GET {PODS}/b/exec?{PING}", "websocket", False),
        (EXEC, f"GET {PODS}/a/exec?command=redis-cli&command=FLUSHALL", "websocket", False),
        (EXEC, f"GET {PODS}/a/exec?{PING}&command=x", "websocket", False),
        (EXEC, f"GET {PODS}/a/exec?command=PING&command=redis-cli", "websocket", False),
        (EXEC, f"GET {PODS}/a/exec?command=redis-cli+PING", "websocket", False),
        (EXEC, f"GET {PODS}/a/exec", "websocket", False),
        (EXEC, f"GET {PODS}/a/exec?{PING}&stdin=true", "websocket", False),
        (EXEC, f"GET {PODS}/a/exec?{PING}&tty=1", "websocket", False),
        (EXEC, f"GET {PODS}/a/exec?{PING}&stdin=false&tty=false", "websocket", True),
        (EXEC_IN, f"GET {PODS}/api-1/exec?{PING}&container=redis", "websocket", True),
        (EXEC_IN, f"GET {PODS}/api-1/exec?{PING}&container=other", "websocket", False),
        (EXEC_IN, f"GET {PODS}/api-1/exec?{PING}", "websocket", False),
        (EXEC_IN, f"GET /api/v1/namespaces/x/pods/api-1/exec?{PING}&container=redis", "websocket", False),
    ],
)
def test_exec_runs_exactly_the_priced_argv(access: Access, line: str, upgrade: str, allowed: bool) -> None:
    assert isinstance(_judge(line, access, upgrade=upgrade), Allowed) is allowed


def test_an_exec_without_an_argv_or_a_target_is_nothing_that_was_priced() -> None:
    nothing = _change(ChangeForm.EXEC, _right("create", "pods", subresource="exec", name="a"))
    nowhere = _change(ChangeForm.EXEC, _right("create", "pods", subresource="exec"), argv=("ls",))
    assert isinstance(_judge(f"GET {PODS}/a/exec", nothing, upgrade="websocket"), Refusal)
    assert isinstance(_judge(f"GET {PODS}/a/exec?command=ls", nowhere, upgrade="websocket"), Refusal)


@pytest.mark.parametrize(
    ("access", "line"),
    [
        (RESTART, f"GET {DEPLOYMENTS}/api"),
        (SCALE, f"GET {DEPLOYMENTS}/api/scale"),
        (DELETE, f"GET {PODS}/a"),
        (DELETE, f"GET {PODS}?fieldSelector=metadata.name%3Db&watch=true"),
        (CORDON, "GET /api/v1/nodes/node-a"),
    ],
)
def test_what_is_changed_may_be_looked_at(access: Access, line: str) -> None:
    assert _judge(line, access) == Allowed()


@pytest.mark.parametrize(
    ("access", "line"),
    [
        (RESTART, f"GET {DEPLOYMENTS}/other"),
        (RESTART, f"GET {DEPLOYMENTS}"),
        (RESTART, f"GET {DEPLOYMENTS}/api/scale"),
        (DELETE, f"GET {PODS}/c"),
        (DELETE, f"GET {PODS}"),
        (DELETE, f"GET {PODS}/a/log"),
        (CORDON, "GET /api/v1/nodes"),
    ],
)
def test_a_change_opens_nothing_beside_its_own_object(access: Access, line: str) -> None:
    assert isinstance(_judge(line, access), Refusal)


@pytest.mark.parametrize(
    ("namespace", "name", "allowed"),
    [("production", "a", True), ("staging", "a", False), ("staging", "b", True), ("production", "b", False)],
)
def test_names_from_several_namespaces_carry_theirs(namespace: str, name: str, allowed: bool) -> None:
    right = ClusterRight("create", "pods", subresource="eviction", namespace="*")
    access = _change(ChangeForm.EVICT, right, names=("production/a", "staging/b"), at_most=2)
    body = {"kind": "Eviction", "apiVersion": "policy/v1", "metadata": {"name": name}}
    line = f"POST /api/v1/namespaces/{namespace}/pods/{name}/eviction"
    assert isinstance(_judge(line, access, body=body, content_type=JSON), Allowed) is allowed


def test_the_refusal_says_how_often_it_was_charged() -> None:
    ledger = Ledger()
    request = _read(f"DELETE {PODS}/a")
    for name in ("a", "b"):
        other = _read(f"DELETE {PODS}/{name}")
        verdict = judge(other, b"", DELETE, used=ledger.used(other))
        assert isinstance(verdict, Allowed)
        assert ledger.take(verdict, other) is None
    refused = judge(request, b"", DELETE, used=ledger.used(request))
    assert isinstance(refused, Refusal)
    assert refused.reason == "this attempt was charged for one delete 2 times, and has used it"


def test_exec_refused_by_websocket_and_sent_again_by_post_is_one_use() -> None:
    ledger = Ledger()
    by_get = _read(f"GET {PODS}/a/exec?{PING}", upgrade="websocket")
    by_post = _read(f"POST {PODS}/a/exec?{PING}", upgrade="SPDY/3.1")
    first = judge(by_get, b"", EXEC, used=ledger.used(by_get))
    assert isinstance(first, Allowed)
    ledger.take(first, by_get)
    assert isinstance(judge(by_post, b"", EXEC, used=ledger.used(by_post)), Refusal)
    ledger.answered(first, by_get, status=403)
    second = judge(by_post, b"", EXEC, used=ledger.used(by_post))
    assert isinstance(second, Allowed)
    assert ledger.take(second, by_post) is None
    ledger.answered(second, by_post, status=101)
    assert isinstance(judge(by_post, b"", EXEC, used=ledger.used(by_post)), Refusal)


@pytest.mark.parametrize("status", [0, 101, 200, 201, 202, 408, 499, 500, 502, 503, 504])
def test_an_unknown_end_keeps_the_charge(status: int) -> None:
    ledger = Ledger()
    request = _read(f"GET {PODS}/a/exec?{PING}", upgrade="websocket")
    verdict = Allowed(EXEC.changes[0], 0)
    ledger.take(verdict, request)
    ledger.answered(verdict, request, status=status)
    assert isinstance(judge(request, b"", EXEC, used=ledger.used(request)), Refusal)


def test_two_that_were_allowed_at_once_are_not_both_charged_beyond_the_limit() -> None:
    ledger = Ledger()
    request = _read(f"GET {PODS}/a/exec?{PING}", upgrade="websocket")
    verdicts = [judge(request, b"", EXEC, used=ledger.used(request)) for _ in range(3)]
    taken = [ledger.take(verdict, request) for verdict in verdicts if isinstance(verdict, Allowed)]
    assert [refusal is None for refusal in taken] == [True, False, False]


LINES = st.sampled_from([f"DELETE {PODS}/{name}" for name in "abc"])
STATUSES = st.sampled_from([0, 101, 200, 202, 400, 403, 404, 409, 429, 500, 503])


@given(at_most=st.integers(0, 4), sequence=st.lists(st.tuples(LINES, STATUSES), max_size=30))
def test_changes_that_may_have_been_done_never_exceed_what_was_charged(
    at_most: int, sequence: list[tuple[str, int]]
) -> None:
    access = _change(ChangeForm.DELETE, _right("delete", "pods"), names=("a", "b"), at_most=at_most)
    ledger, done = Ledger(), 0
    for line, status in sequence:
        request = _read(line)
        verdict = judge(request, b"", access, used=ledger.used(request))
        if isinstance(verdict, Refusal) or ledger.take(verdict, request):
            continue
        ledger.answered(verdict, request, status=status)
        done += status not in (400, 403, 404, 409, 429)
    assert done <= at_most


@given(steps=st.lists(st.tuples(st.sampled_from(["judge", "take", "answer"]), LINES, STATUSES), max_size=60))
def test_the_law_holds_when_requests_overlap(steps: list[tuple[str, str, int]]) -> None:
    access = _change(ChangeForm.DELETE, _right("delete", "pods"), names=("a", "b"), at_most=2)
    ledger, waiting, sent, done = Ledger(), [], [], 0
    for what, line, status in steps:
        request = _read(line)
        if what == "judge":
            verdict = judge(request, b"", access, used=ledger.used(request))
            waiting += [(verdict, request)] if isinstance(verdict, Allowed) else []
        elif what == "take" and waiting:
            verdict, request = waiting.pop()
            sent += [] if ledger.take(verdict, request) else [(verdict, request)]
        elif what == "answer" and sent:
            verdict, request = sent.pop()
            ledger.answered(verdict, request, status=status)
            done += status not in (400, 403, 404, 409, 429)
        assert done + len(sent) <= 2
