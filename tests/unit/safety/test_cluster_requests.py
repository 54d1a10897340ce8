"""A request to the Kubernetes API has one reading, or it is refused."""

from __future__ import annotations

import pytest

from agent.domain.command import Refusal
from agent.safety.cluster_requests import ClusterRequest, read

PODS = "/api/v1/namespaces/production/pods"
DEPLOYMENTS = "/apis/apps/v1/namespaces/production/deployments"


def _read(line: str, *headers: tuple[str, str]) -> ClusterRequest | Refusal:
    method, _, target = line.partition(" ")
    return read(method, target, headers)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (f"GET {PODS}", "list pods in production"),
        (f"GET {PODS}?limit=500", "list pods in production"),
        (f"GET {PODS}?labelSelector=app%3Dapi", "list pods in production"),
        (f"GET {PODS}?watch=true", "watch pods in production"),
        (f"GET {PODS}?watch=false", "list pods in production"),
        (f"GET {PODS}?fieldSelector=metadata.name%3Dapi-1", "list pods api-1 in production"),
        (f"GET {PODS}?fieldSelector=metadata.name%3D%3Dapi-1&watch=1", "watch pods api-1 in production"),
        (f"GET {PODS}?fieldSelector=metadata.name%3Da,metadata.name%3Db", "list pods in production"),
        (f"GET {PODS}?fieldSelector=metadata.name!%3Da", "list pods in production"),
        (f"GET {PODS}?fieldSelector=spec.nodeName%3Da", "list pods in production"),
        (f"GET {PODS}/api-1", "get pods api-1 in production"),
        (f"GET {PODS}/api-1/log?follow=true&container=api", "get pods/log api-1 in production"),
        (f"GET {PODS}/api-1/exec?command=ls", "get pods/exec api-1 in production"),
        (f"POST {PODS}/api-1/eviction", "create pods/eviction api-1 in production"),
        (f"DELETE {PODS}/api-1", "delete pods api-1 in production"),
        (f"DELETE {PODS}", "deletecollection pods in production"),
        ("GET /api/v1/pods", "list pods"),
        ("GET /api/v1/nodes/node-a", "get nodes node-a"),
        ("GET /api/v1/namespaces", "list namespaces"),
        ("GET /api/v1/namespaces/production", "get namespaces production"),
        ("GET /api/v1/namespaces/production/status", "get namespaces/status production"),
        (f"PATCH {DEPLOYMENTS}/api", "patch deployments.apps api in production"),
        (f"PUT {DEPLOYMENTS}/api/scale", "update deployments.apps/scale api in production"),
        ("GET /api", "get /api"),
        ("GET /apis", "get /apis"),
        ("GET /apis/apps/v1", "get /apis/apps/v1"),
        ("GET /version?timeout=32s", "get /version"),
        ("GET /openapi/v3/apis/apps/v1?hash=ABC", "get /openapi/v3/apis/apps/v1"),
    ],
)
def test_requests_are_read_as_the_api_server_reads_them(line: str, says: str) -> None:
    assert str(_read(line)) == says


@pytest.mark.parametrize(
    "line",
    [
        "HEAD /api/v1/pods",
        "OPTIONS /api",
        "CONNECT 10.0.0.1:443",
        "get /api/v1/pods",
        "GET http://elsewhere/api/v1/pods",
        "GET //api/v1/pods",
        "GET /api//v1/pods",
        "GET /api/v1/pods/",
        "GET /api/v1/namespaces/production/../secrets",
        "GET /api/v1/namespaces/./secrets",
        "GET /api/v1/namespaces/production%2Fsecrets",
        "GET /api/v1/namespaces/production/pods/a%2fexec",
        "GET /api/v1/namespaces/production/%70ods",
        "GET /api/v1/namespaces/production/pods%00",
        "GET /api/v1/namespaces/production/pods;a=b",
        "GET /api/v1/namespaces/production/pods\\secrets",
        "GET /API/v1/pods",
        "GET /api/v2/pods",
        "GET /api/v1/watch/namespaces/production/secrets",
        "GET /api/v1/proxy/nodes/node-a",
        "GET /api/v1/nodes/node-a/proxy",
        "GET /api/v1/nodes/node-a/proxy/pods",
        f"GET {PODS}/api-1/portforward",
        f"POST {PODS}/api-1/attach",
        f"PATCH {PODS}/api-1/ephemeralcontainers",
        "POST /api/v1/namespaces/production/serviceaccounts/admin/token",
        f"POST {PODS}/api-1/binding",
        f"GET {PODS}/a/b/c/d",
        "GET /healthz",
        "GET /metrics",
        "GET /logs/kubelet.log",
        "POST /api",
        "GET /",
        f"GET {PODS}?watch=true&watch=false",
        f"GET {PODS}?watch=yes",
        f"GET {PODS}/api-1?watch=true",
        f"GET {PODS}?fieldSelector=metadata.name%3Da&fieldSelector=metadata.name%3Db",
        f"GET {PODS}?fieldSelector=a;b",
        f"GET {PODS}?fieldSelector=%zz",
        f"GET {PODS}?fieldSelector=%ff",
        f"GET {PODS}?fieldSelector=a%0ab",
        f"GET {PODS}?%77atch=true",
        f"GET {PODS}?unheardOf=1",
        f"GET {PODS}/api-1/log?insecureSkipTLSVerifyBackend=true",
        f"DELETE {PODS}/api-1?gracePeriodSeconds=0",
        f"PATCH {DEPLOYMENTS}/api?force=true&fieldManager=me",
        f"GET {PODS}?limit=1#fragment",
        f"GET {PODS}?a b",
    ],
)
def test_what_could_be_read_differently_or_is_never_needed_is_refused(line: str) -> None:
    assert isinstance(_read(line), Refusal)


@pytest.mark.parametrize(
    "name",
    [
        *("Authorization", "Impersonate-User", "impersonate-group", "Impersonate-Extra-scopes"),
        *("X-Remote-User", "X-HTTP-Method-Override", "x-http-method-override", "X-Method-Override"),
        *("X-Original-URL", "X-Rewrite-URL", "Cookie", "Proxy-Authorization"),
    ],
)
def test_a_step_cannot_speak_as_somebody_else_or_by_another_method(name: str) -> None:
    refusal = _read(f"GET {PODS}", (name, "system:admin"))
    assert isinstance(refusal, Refusal)
    assert name in refusal.reason


def test_a_token_cannot_hide_in_a_subprotocol() -> None:
    line, name = f"GET {PODS}/a/exec?command=ls", "Sec-WebSocket-Protocol"
    token = "base64url.bearer.authorization.k8s.io.dG9rZW4, v5.channel.k8s.io"
    assert isinstance(_read(line, ("Upgrade", "websocket"), (name, token)), Refusal)
    assert not isinstance(_read(line, ("Upgrade", "websocket"), (name, "v5.channel.k8s.io")), Refusal)


def test_an_upgrade_is_for_exec_alone() -> None:
    assert isinstance(_read(f"GET {PODS}", ("Upgrade", "websocket")), Refusal)
    assert isinstance(_read(f"GET {PODS}/a/log", ("Upgrade", "h2c")), Refusal)
    assert not isinstance(_read(f"GET {PODS}/a/exec?command=ls", ("Upgrade", "websocket")), Refusal)


def test_what_is_sent_on_is_written_anew_and_reads_the_same() -> None:
    found = _read(f"GET {PODS}?labelSelector=app+in+%28a%2Cb%29&limit=500")
    assert isinstance(found, ClusterRequest)
    assert found.target == f"{PODS}?labelSelector=app%20in%20%28a%2Cb%29&limit=500"
    assert _read(f"GET {found.target}") == found


def test_an_argv_keeps_its_order_spaces_and_signs() -> None:
    found = _read(f"GET {PODS}/a/exec?command=redis-cli&command=SET&command=a+b%26c&command=%2B")
    assert isinstance(found, ClusterRequest)
    assert found.values("command") == ("redis-cli", "SET", "a b&c", "+")
    assert _read(f"GET {found.target}") == found


def test_quiet_answers_are_known_beforehand() -> None:
    quiet = [f"GET {PODS}?watch=true", f"GET {PODS}/a/log?follow=true"]
    for line in quiet:
        found = _read(line)
        assert isinstance(found, ClusterRequest)
        assert found.streams
    found = _read(f"GET {PODS}")
    assert isinstance(found, ClusterRequest)
    assert not found.streams
