"""What our credentials may not do is known before a step finds out."""

import pytest
from adapter_world import AdapterWorld

from agent.adapters.kubernetes.client import missing_right
from agent.adapters.kubernetes.preflight import KubernetesPreflight
from agent.domain.access import ClusterRight
from agent.domain.errors import Reason, ServiceError
from agent.simulators.kubernetes.simulator import Disturbance, KubernetesSimulator

ROLE = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: oncall-agent, namespace: production}
rules:
- {apiGroups: [apps], resources: [deployments], verbs: [get, patch], resourceNames: [api]}
- {apiGroups: [""], resources: [pods], verbs: [list]}
- {apiGroups: [""], resources: [pods/log], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: oncall-agent, namespace: production}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: oncall-agent}
subjects: [{kind: ServiceAccount, name: oncall-agent, namespace: production}]
"""
HELD = (
    ClusterRight("patch", "deployments", "apps", namespace="production", name="api"),
    ClusterRight("get", "pods", subresource="log", namespace="production"),
    ClusterRight("list", "pods", namespace="production"),
)
MISSING = (
    ClusterRight("patch", "deployments", "apps", namespace="production", name="other"),
    ClusterRight("patch", "deployments", "apps", namespace="production"),
    ClusterRight("create", "pods", subresource="exec", namespace="production"),
    ClusterRight("list", "pods", namespace="*"),
    ClusterRight("list", "pods", namespace="staging"),
    ClusterRight("patch", "nodes", name="node-a"),
)


@pytest.fixture
def sim():
    with KubernetesSimulator() as simulator:
        simulator.add_namespace("production")
        simulator.apply(ROLE)
        yield simulator


@pytest.fixture
def preflight(sim):
    token = sim.add_service_account("production", "oncall-agent")
    return KubernetesPreflight(AdapterWorld(sim, token=token).api)


def test_exactly_what_the_role_misses_is_denied(preflight):
    assert preflight.denied([*HELD, *MISSING]) == MISSING


def test_an_administrator_is_denied_nothing(sim):
    assert KubernetesPreflight(AdapterWorld(sim).api).denied([*HELD, *MISSING]) == ()


def test_each_right_is_asked_for_once(sim, preflight):
    sim.forget_calls()
    preflight.denied([*HELD, *HELD, *HELD])
    assert len(sim.calls(resource="selfsubjectaccessreviews")) == len(HELD)


def test_no_rights_need_no_questions(sim, preflight):
    sim.forget_calls()
    assert preflight.denied([]) == ()
    assert sim.calls() == []


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, Reason.AUTH),
        (403, Reason.AUTH),
        (404, Reason.NOT_FOUND),
        (409, Reason.REJECTED),
        (429, Reason.RATE_LIMITED),
        (500, Reason.SERVER_ERROR),
        (503, Reason.SERVER_ERROR),
    ],
)
def test_a_cluster_that_cannot_be_asked_is_an_error_and_not_a_yes(sim, preflight, status, reason):
    sim.disturb(Disturbance(status, times=-1))
    with pytest.raises(ServiceError) as error:
        preflight.denied(HELD)
    assert error.value.reason is reason


def test_the_token_is_not_in_an_error(sim):
    world = AdapterWorld(sim, token="made-up-secret-token")
    with pytest.raises(ServiceError, match="credentials are not accepted") as error:
        KubernetesPreflight(world.api).denied(HELD)
    assert "made-up-secret-token" not in str(error.value)


@pytest.mark.parametrize(
    ("right", "words"),
    [
        (MISSING[1], "your Role misses patch on deployments.apps in production"),
        (MISSING[2], "your Role misses create on pods/exec in production"),
        (MISSING[3], "your ClusterRole misses list on pods in all namespaces"),
        (MISSING[5], "your ClusterRole misses patch on nodes"),
    ],
)
def test_a_missing_right_is_told_as_what_to_add(right, words):
    assert missing_right(right) == words
