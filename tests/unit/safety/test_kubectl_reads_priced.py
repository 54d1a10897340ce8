"""Every kubectl command that looks: one read each, and exactly the rights that kubectl asks for."""

import pytest
from cluster_counts import analyse, effects_of, reads_of

from agent.domain.access import Network
from agent.domain.command import Refusal
from agent.safety.effects import EffectTables

DEPLOY = "deployments.apps"
EVENTS = "list events prod/*"

READS = [
    ("kubectl get pods -n prod", "prod/pods", ["list pods prod/*"]),
    ("kubectl get pods", "pods", ["list pods default/*"]),
    ("kubectl get pods -A", "*/pods", ["list pods */*"]),
    ("kubectl get pods -l app=api -n prod", "prod/pods", ["list pods prod/*"]),
    ("kubectl get pod a b -n prod", "prod/pod/a,pod/b", ["get pods prod/a", "get pods prod/b"]),
    (
        "kubectl get po/a deploy/api -n prod",
        "prod/pod/a,deployment/api",
        ["get pods prod/a", f"get {DEPLOY} prod/api"],
    ),
    (
        "kubectl get deploy,svc -n prod",
        "prod/deployments,services",
        [f"list {DEPLOY} prod/*", "list services prod/*"],
    ),
    ("kubectl get deployments.apps api -n prod", "prod/deployment/api", [f"get {DEPLOY} prod/api"]),
    ("kubectl get events -n prod", "prod/events", [EVENTS]),
    (
        "kubectl get events.events.k8s.io -n prod",
        "prod/events",
        ["list events.events.k8s.io prod/*"],
    ),
    ("kubectl get ingresses -n prod", "prod/ingresses", ["list ingresses.networking.k8s.io prod/*"]),
    ("kubectl get ing/web -n prod", "prod/ingress/web", ["get ingresses.networking.k8s.io prod/web"]),
    (
        "kubectl get netpol/x -n prod",
        "prod/networkpolicy/x",
        ["get networkpolicies.networking.k8s.io prod/x"],
    ),
    (
        "kubectl get hpa -n prod",
        "prod/horizontalpodautoscalers",
        ["list horizontalpodautoscalers.autoscaling prod/*"],
    ),
    (
        "kubectl get pdb,cj,jobs,pvc -n prod",
        "prod/poddisruptionbudgets,cronjobs,jobs,persistentvolumeclaims",
        [
            "list poddisruptionbudgets.policy prod/*",
            "list cronjobs.batch prod/*",
            "list jobs.batch prod/*",
            "list persistentvolumeclaims prod/*",
        ],
    ),
    ("kubectl get nodes", "nodes", ["list nodes -/*"]),
    ("kubectl get no/n1 -n prod", "node/n1", ["get nodes -/n1"]),
    (
        "kubectl get sc,pc",
        "storageclasses,priorityclasses",
        ["list storageclasses.storage.k8s.io -/*", "list priorityclasses.scheduling.k8s.io -/*"],
    ),
    (
        "kubectl get all -n prod",
        "prod/all",
        [
            "list pods prod/*",
            "list services prod/*",
            "list replicationcontrollers prod/*",
            f"list {DEPLOY} prod/*",
            "list statefulsets.apps prod/*",
            "list daemonsets.apps prod/*",
            "list replicasets.apps prod/*",
            "list jobs.batch prod/*",
            "list cronjobs.batch prod/*",
            "list horizontalpodautoscalers.autoscaling prod/*",
        ],
    ),
    ("kubectl describe pod a -n prod", "prod/pod/a", ["get pods prod/a", EVENTS]),
    ("kubectl describe pod a -n prod --show-events=false", "prod/pod/a", ["get pods prod/a"]),
    ("kubectl describe pods -n prod", "prod/pods", ["list pods prod/*", "get pods prod/*", EVENTS]),
    (
        "kubectl describe deploy/api -n prod",
        "prod/deployment/api",
        [f"get {DEPLOY} prod/api", "list replicasets.apps prod/*", EVENTS],
    ),
    (
        "kubectl describe sts/db -n prod",
        "prod/statefulset/db",
        ["get statefulsets.apps prod/db", "list pods prod/*", EVENTS],
    ),
    (
        "kubectl describe svc/api -n prod",
        "prod/service/api",
        ["get services prod/api", "list endpointslices.discovery.k8s.io prod/*", EVENTS],
    ),
    (
        "kubectl describe ingress web -n prod",
        "prod/ingress/web",
        [
            "get ingresses.networking.k8s.io prod/web",
            "list endpointslices.discovery.k8s.io prod/*",
            "get services prod/*",
            EVENTS,
        ],
    ),
    ("kubectl describe sa/x -n prod", "prod/serviceaccount/x", ["get serviceaccounts prod/x", EVENTS]),
    ("kubectl describe role/x -n prod", "prod/role/x", ["get roles.rbac.authorization.k8s.io prod/x"]),
    (
        "kubectl describe node n1",
        "node/n1",
        [
            "get nodes -/n1",
            "list pods */*",
            "get leases.coordination.k8s.io kube-node-lease/n1",
            "list events */*",
        ],
    ),
    (
        "kubectl describe ns prod",
        "namespace/prod",
        ["get namespaces -/prod", "list resourcequotas prod/*", "list limitranges prod/*"],
    ),
    (
        "kubectl wait --for=condition=Ready pod/a -n prod",
        "prod/pod/a",
        ["get pods prod/a", "list pods prod/a", "watch pods prod/a"],
    ),
    (
        "kubectl wait --for=condition=Ready pod -l app=api -n prod",
        "prod/pods",
        ["get pods prod/*", "list pods prod/*", "watch pods prod/*"],
    ),
    ("kubectl wait --for=create pod/a -n prod", "prod/pod/a", ["get pods prod/a"]),
    (
        "kubectl rollout status deploy/api -n prod --timeout=60s",
        "prod/deployment/api",
        [f"get {DEPLOY} prod/api", f"list {DEPLOY} prod/api", f"watch {DEPLOY} prod/api"],
    ),
    (
        "kubectl rollout history deploy/api -n prod",
        "prod/deployment/api",
        [f"get {DEPLOY} prod/api", "list replicasets.apps prod/*"],
    ),
    (
        "kubectl rollout history ds/agent -n prod",
        "prod/daemonset/agent",
        ["get daemonsets.apps prod/agent", "list controllerrevisions.apps prod/*"],
    ),
    ("kubectl logs a -n prod", "logs of prod/pod/a", ["get pods prod/a", "get pods/log prod/a"]),
    (
        "kubectl logs deploy/api -n prod --tail=5",
        "logs of prod/deployment/api",
        [f"get {DEPLOY} prod/api", "list pods prod/*", "get pods/log prod/*"],
    ),
    (
        "kubectl logs job/migrate -n prod",
        "logs of prod/job/migrate",
        ["get jobs.batch prod/migrate", "list pods prod/*", "get pods/log prod/*"],
    ),
    ("kubectl logs -l app=api -n prod", "logs of prod/app=api", ["list pods prod/*", "get pods/log prod/*"]),
    ("kubectl top pods -n prod", "pods of prod", ["list pods.metrics.k8s.io prod/*"]),
    ("kubectl top pod a -n prod", "pods of prod", ["get pods.metrics.k8s.io prod/a"]),
    ("kubectl top pods -A", "pods of the namespace", ["list pods.metrics.k8s.io */*"]),
    ("kubectl top nodes", "nodes", ["list nodes.metrics.k8s.io -/*", "list nodes -/*"]),
    ("kubectl top node n1", "nodes", ["get nodes.metrics.k8s.io -/n1", "get nodes -/n1"]),
    ("kubectl version", "kubectl version", []),
    ("kubectl api-resources", "kubectl api-resources", []),
    ("kubectl config current-context", "kubectl config current-context", []),
    ("kubectl cluster-info", "kubectl cluster-info", ["list services kube-system/*"]),
    ("kubectl auth whoami", "kubectl auth whoami", ["create selfsubjectreviews.authentication.k8s.io -/*"]),
    (
        "kubectl auth can-i create pods --subresource=exec -n prod",
        "own rights",
        ["create selfsubjectaccessreviews.authorization.k8s.io -/*"],
    ),
    (
        "kubectl auth can-i --list -n prod",
        "own rights",
        ["create selfsubjectrulesreviews.authorization.k8s.io -/*"],
    ),
]


@pytest.mark.parametrize(("command", "target", "rights"), READS, ids=[row[0] for row in READS])
def test_a_look_is_one_read_and_may_do_nothing_else(command, target, rights):
    found = analyse(command)
    assert [(name, what, count) for name, what, count, _ in effects_of(found)] == [("read", target, 1)]
    assert reads_of(found) == rights
    assert found.access.network is Network.CLUSTER
    assert found.access.changes == ()
    assert not any(right.resource == "secrets" for right in found.access.cluster)


SECRETS = [
    ("kubectl get secrets -n prod", ["list secrets prod/*"]),
    ("kubectl get pods,secrets -n prod", ["list pods prod/*", "list secrets prod/*"]),
    ("kubectl describe secret db -n prod", ["get secrets prod/db"]),
]


@pytest.mark.parametrize(("command", "rights"), SECRETS, ids=[row[0] for row in SECRETS])
def test_looking_at_a_secret_is_an_effect_that_no_limit_grants(command, rights):
    found = analyse(command)
    assert [(name, where) for name, _, _, where in effects_of(found)] == [
        ("read", "prod"),
        ("secret_read", "prod"),
    ]
    assert reads_of(found) == rights


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("kubectl rollout status pod/a -n prod", "pods have no rollout"),
        ("kubectl rollout history job/a -n prod", "jobs have no rollout"),
        ("kubectl logs -n prod", "without a pod"),
        ("kubectl logs a -l app=api -n prod", "two ways to say which"),
        ("kubectl logs cm/a -n prod", "nothing runs inside configmap/a"),
        ("kubectl logs deploy/ -n prod", "nothing runs inside deployments"),
        ("kubectl get pods/UPPER -n prod", "is not a resource's name"),
        ("kubectl get unicorns -n prod", "is not known"),
    ],
)
def test_what_is_not_understood_is_refused(command, reason):
    found = analyse(command)
    assert isinstance(found, Refusal)
    assert reason in str(found)


@pytest.mark.parametrize(
    ("command", "namespaces"),
    [
        ("kubectl get pods -n prod", ("prod",)),
        ("kubectl get pods", ("",)),
        ("kubectl get pods -A", ("*",)),
        ("kubectl get nodes -n prod", ()),
        ("kubectl get pods,nodes -n prod", ("prod",)),
        ("kubectl top nodes", ()),
        ("kubectl version", ()),
    ],
)
def test_the_namespaces_are_told_to_the_limits_on_namespaces(command, namespaces):
    assert analyse(command).namespaces == namespaces


def test_a_resource_of_the_teams_own_has_its_api_group(tmp_path):
    path = tmp_path / "team.yaml"
    path.write_text("kubernetes: {resources: {widgets: {names: [wd], group: example.com}}}")
    found = EffectTables.load([path]).analyse(["kubectl", "get", "wd/a", "-n", "prod"])
    assert reads_of(found) == ["get widgets.example.com prod/a"]
