"""Every kubectl command that changes the cluster: exact effects, exact rights, exact changes."""

import pytest
from cluster_counts import TABLES, analyse, changes_of, effects_of, reads_of

from agent.domain.access import ChangeForm, ClusterChange, ClusterRight, Network
from agent.domain.command import Refusal

DEPLOY = "deployments.apps"
API = f"{DEPLOY} prod/api"
GONE = ["get pods prod/api-1", "list pods prod/api-1", "watch pods prod/api-1"]

CHANGES = [
    (
        "kubectl rollout restart deploy/api -n prod",
        [("rollout", "prod/deployment/api", 1, "prod"), ("pod_restart", "prod/deployment/api", 5, "prod")],
        [f"get {API}"],
        [f"restart: patch {API} pods=5"],
    ),
    (
        "kubectl rollout restart deployment api db -n prod",
        [
            ("rollout", "prod/deployment/api", 1, "prod"),
            ("pod_restart", "prod/deployment/api", 5, "prod"),
            ("rollout", "prod/deployment/db", 1, "prod"),
            ("pod_restart", "prod/deployment/db", 3, "prod"),
        ],
        [f"get {API}", f"get {DEPLOY} prod/db"],
        [f"restart: patch {API} pods=5", f"restart: patch {DEPLOY} prod/db pods=3"],
    ),
    (
        "kubectl rollout restart ds/idle --namespace=prod",
        [("rollout", "prod/daemonset/idle", 1, "prod"), ("pod_restart", "prod/daemonset/idle", 0, "prod")],
        ["get daemonsets.apps prod/idle"],
        ["restart: patch daemonsets.apps prod/idle pods=0"],
    ),
    (
        "kubectl rollout undo deploy/api -n prod",
        [("rollout", "prod/deployment/api", 1, "prod"), ("pod_restart", "prod/deployment/api", 5, "prod")],
        [f"get {API}", "list replicasets.apps prod/*"],
        [f"undo: patch {API} pods=5"],
    ),
    (
        "kubectl rollout undo sts/db -n prod --to-revision=2",
        [("rollout", "prod/statefulset/db", 1, "prod"), ("pod_restart", "prod/statefulset/db", 3, "prod")],
        ["get statefulsets.apps prod/db", "list controllerrevisions.apps prod/*"],
        ["undo: patch statefulsets.apps prod/db pods=3"],
    ),
    (
        "kubectl delete pod api-1 -n prod",
        [("pod_restart", "prod/pod/api-1", 1, "prod")],
        GONE,
        ["delete: delete pods prod/api-1"],
    ),
    (
        "kubectl delete pods a b -n prod --wait=false",
        [("pod_restart", "prod/pod/a,pod/b", 2, "prod")],
        [],
        ["delete: delete pods prod/a", "delete: delete pods prod/b"],
    ),
    (
        "kubectl delete po/api-1 -n other --wait --timeout=30s --grace-period=5",
        [("pod_restart", "other/pod/api-1", 1, "other")],
        [each.replace("prod", "other") for each in GONE],
        ["delete: delete pods other/api-1"],
    ),
    (
        "kubectl delete pod -l app=api -n prod",
        [("pod_restart", "prod/pods with app=api", 2, "prod")],
        ["list pods prod/*", "get pods prod/*", "watch pods prod/*"],
        ["delete: delete pods prod/* at_most=2 names=api-1,api-2"],
    ),
    (
        "kubectl delete pods --field-selector=status.phase=Failed -n prod --wait=false",
        [("pod_restart", "prod/pods with status.phase=Failed", 2, "prod")],
        ["list pods prod/*"],
        ["delete: delete pods prod/* at_most=2 names=api-1,api-2"],
    ),
    (
        "kubectl delete deploy/api -n prod --wait=false",
        [("delete", "prod/deployment/api", 1, "prod")],
        [],
        [f"delete: delete {API}"],
    ),
    (
        "kubectl delete pod,pvc a -n prod --wait=false",
        [("pod_restart", "prod/pod/a", 1, "prod"), ("delete", "prod/persistentvolumeclaim/a", 1, "prod")],
        [],
        ["delete: delete pods prod/a", "delete: delete persistentvolumeclaims prod/a"],
    ),
    (
        "kubectl delete job migrate seed -n prod --wait=false",
        [("delete", "prod/job/migrate,job/seed", 2, "prod")],
        [],
        ["delete: delete jobs.batch prod/migrate", "delete: delete jobs.batch prod/seed"],
    ),
    (
        "kubectl scale deploy/api --replicas=8 -n prod",
        [("scale", "prod/deployment/api", 3, "prod")],
        [f"get {API}"],
        ["scale: patch deployments.apps/scale prod/api replicas=8 from=5"],
    ),
    (
        "kubectl scale deploy/api --replicas=5 -n prod --timeout=1m",
        [("scale", "prod/deployment/api", 1, "prod")],
        [f"get {API}", "get deployments.apps/scale prod/api"],
        ["scale: patch deployments.apps/scale prod/api replicas=5 from=5"],
    ),
    (
        "kubectl scale sts db api --replicas=1 -n prod",
        [("scale", "prod/statefulset/db", 2, "prod"), ("scale", "prod/statefulset/api", 4, "prod")],
        ["get statefulsets.apps prod/db", "get statefulsets.apps prod/api"],
        [
            "scale: patch statefulsets.apps/scale prod/db replicas=1 from=3",
            "scale: patch statefulsets.apps/scale prod/api replicas=1 from=5",
        ],
    ),
    (
        "kubectl scale rs/api-1 --current-replicas=2 --replicas=4 -n elsewhere",
        [("scale", "elsewhere/replicaset/api-1", 2, "elsewhere")],
        ["get replicasets.apps elsewhere/api-1", "get replicasets.apps/scale elsewhere/api-1"],
        ["scale: update replicasets.apps/scale elsewhere/api-1 replicas=4 from=2"],
    ),
    (
        "kubectl exec -n prod deploy/redis -- redis-cli FLUSHDB",
        [("cache_operation", "prod/deployment/redis: redis localhost:6379", 1, "prod")],
        [f"get {DEPLOY} prod/redis", "list pods prod/*"],
        ["exec: create deployments.apps/exec prod/redis argv=redis-cli FLUSHDB"],
    ),
    (
        "kubectl exec redis-0 -c cache -n prod -- redis-cli -r 4 DEL a b",
        [("cache_operation", "prod/pod/redis-0: redis localhost:6379", 8, "prod")],
        ["get pods prod/redis-0"],
        ["exec: create pods/exec prod/redis-0 argv=redis-cli -r 4 DEL a b container=cache"],
    ),
    (
        "kubectl exec -n prod svc/api -- curl -s localhost:8080/health",
        [("read", "prod/service/api: localhost:8080", 1, "prod")],
        ["get services prod/api", "list pods prod/*"],
        ["exec: create services/exec prod/api argv=curl -s localhost:8080/health"],
    ),
    (
        "kubectl exec api-1 -- df -h",
        [("read", "pod/api-1: file systems", 1, "")],
        ["get pods default/api-1"],
        ["exec: create pods/exec default/api-1 argv=df -h"],
    ),
    (
        "kubectl cordon n1",
        [("config_change", "node/n1", 1, "")],
        ["get nodes -/n1"],
        ["cordon: patch nodes -/n1"],
    ),
    (
        "kubectl uncordon n1 n2",
        [("config_change", "node/n1", 1, ""), ("config_change", "node/n2", 1, "")],
        ["get nodes -/n1", "get nodes -/n2"],
        ["uncordon: patch nodes -/n1", "uncordon: patch nodes -/n2"],
    ),
    (
        "kubectl drain n1 --ignore-daemonsets --timeout=5m --grace-period=30",
        [
            ("config_change", "node/n1", 1, ""),
            ("pod_restart", "prod/pods of node/n1", 2, "prod"),
            ("pod_restart", "web/pods of node/n1", 1, "web"),
        ],
        ["get nodes -/n1", "list pods */*", "get daemonsets.apps */*", "get pods prod/*", "get pods web/*"],
        [
            "cordon: patch nodes -/n1",
            "evict: create pods/eviction prod/* at_most=2 names=api-1,api-2",
            "evict: create pods/eviction web/* names=front-1",
        ],
    ),
    (
        "kubectl drain empty --ignore-daemonsets",
        [("config_change", "node/empty", 1, "")],
        ["get nodes -/empty", "list pods */*", "get daemonsets.apps */*"],
        ["cordon: patch nodes -/empty"],
    ),
]


@pytest.mark.parametrize(("command", "effects", "reads", "changes"), CHANGES, ids=[row[0] for row in CHANGES])
def test_a_change_is_priced_exactly_and_may_do_nothing_else(command, effects, reads, changes):
    found = analyse(command)
    assert effects_of(found) == effects
    assert reads_of(found) == reads
    assert changes_of(found) == changes
    assert found.access.network is Network.CLUSTER
    assert found.access.hosts == found.access.writes == found.access.cloud == ()


REFUSED = [
    ("kubectl rollout restart deploy -n prod", "without names"),
    ("kubectl rollout restart deploy/api", "names no namespace"),
    ("kubectl rollout restart deploy/api -n staging", "cannot count the pods of staging/deployment/api"),
    ("kubectl rollout restart deploy/api deployment/api -n prod", "names the same one twice"),
    ("kubectl rollout restart deploy -l app=api -n prod", "cannot count what a selector finds"),
    ("kubectl rollout restart rs/api -n prod", "of replicasets is not available"),
    ("kubectl rollout undo job/api -n prod", "of jobs is not available"),
    ("kubectl rollout pause deploy/api -n prod", "not available to the agent"),
    ("kubectl delete pod api-1", "names no namespace"),
    ("kubectl delete pod a a -n prod", "names the same one twice"),
    ("kubectl delete pod -n prod", "without names"),
    ("kubectl delete pod -l app=web -n prod", "app=web selects no pod in prod"),
    ("kubectl delete pod -l app=api -n staging", "cannot count the pods in staging that app=api selects"),
    ("kubectl delete pod -l app=api", "names no namespace"),
    ("kubectl delete pod -l ' ' -n prod", "selects everything"),
    ("kubectl delete pod -l '' -n prod", "is not a selector"),
    ("kubectl delete pod --field-selector , -n prod", "selects everything"),
    ("kubectl delete pod api-1 -l app=api -n prod", "by a selector is for pods alone"),
    ("kubectl delete deploy -l app=api -n prod", "by a selector is for pods alone"),
    ("kubectl delete pod,svc -l app=api -n prod", "by a selector is for pods alone"),
    ("kubectl delete pods --all -n prod", "cannot count"),
    ("kubectl delete pod -l app=api -A", "cannot count"),
    ("kubectl delete pod -l app=api -n prod --force", "two pods with one identity"),
    ("kubectl delete pod a -n prod --grace-period=0", "is not a number from 1"),
    ("kubectl delete pod a -n prod --now", "two pods with one identity"),
    ("kubectl delete pod a -n prod --cascade=orphan", "two pods with one identity"),
    ("kubectl delete secret db -n prod", "of secrets is not available"),
    ("kubectl delete pod,secret db -n prod", "of secrets is not available"),
    ("kubectl delete ns/prod", "of namespaces is not available"),
    ("kubectl delete namespace prod -n prod", "of namespaces is not available"),
    ("kubectl delete node n1", "of nodes is not available"),
    ("kubectl delete pv/data -n prod", "of persistentvolumes is not available"),
    ("kubectl delete crd/x -n prod", "of customresourcedefinitions is not available"),
    ("kubectl delete all --all -n prod", "cannot count"),
    ("kubectl delete all x -n prod", "of all is not available"),
    ("kubectl delete deploy -n prod", "without names"),
    ("kubectl scale deploy/api --replicas=0 -n prod", "would stop it"),
    ("kubectl scale deploy/api --replicas=1001 -n prod", "more than 1000"),
    ("kubectl scale deploy/api --replicas=2", "names no namespace"),
    ("kubectl scale deploy/api --replicas=2 -n staging", "cannot count how many replicas"),
    ("kubectl scale deploy/unknown --replicas=2 -n prod", "with --current-replicas=N anywhere"),
    ("kubectl scale deploy/api deploy/api --replicas=2 -n prod", "names the same one twice"),
    ("kubectl scale ds/api --replicas=2 -n prod", "of daemonsets is not available"),
    ("kubectl scale deploy --replicas=2 -n prod", "without names"),
    ("kubectl scale deploy -l app=api --replicas=2 -n prod", "cannot count"),
    ("kubectl exec -n prod deploy/api", "without `--` and a command"),
    ("kubectl exec -n prod deploy/api -- sh -c id", "in deployment/api"),
    ("kubectl exec -n prod deploy/ -- ls", "nothing runs inside deployments"),
    ("kubectl exec -n prod cm/x -- ls", "nothing runs inside configmap/x"),
    ("kubectl exec deploy/redis -- redis-cli FLUSHDB", "names no namespace"),
    ("kubectl cordon", "an argument is missing"),
    ("kubectl cordon n1 n1", "names the same node twice"),
    ("kubectl cordon -l zone=a", "cannot count"),
    ("kubectl cordon N1", "is not a node"),
    ("kubectl drain n1", "without --ignore-daemonsets"),
    ("kubectl drain n1 n2 --ignore-daemonsets", "one argument too many"),
    ("kubectl drain n9 --ignore-daemonsets", "cannot count the pods that it would evict from n9"),
    ("kubectl drain n1 --ignore-daemonsets --force", "nothing brings back"),
    ("kubectl drain n1 --ignore-daemonsets --delete-emptydir-data", "data of pods"),
    ("kubectl drain n1 --ignore-daemonsets --disable-eviction", "disruption budgets"),
    ("kubectl drain n1 --ignore-daemonsets --grace-period=0", "is not a number from 1"),
    ("kubectl drain n1 --ignore-daemonsets --grace-period=-1", "is not a number from 1"),
    ("kubectl drain -l zone=a --ignore-daemonsets", "cannot count"),
    ("kubectl drain n1 --ignore-daemonsets --pod-selector=a=b", "cannot count"),
    ("kubectl taint nodes a b", "not available to the agent"),
]


@pytest.mark.parametrize(("command", "reason"), REFUSED, ids=[row[0] for row in REFUSED])
def test_what_cannot_be_counted_or_held_is_refused_with_its_reason(command, reason):
    found = analyse(command)
    assert isinstance(found, Refusal), f"priced: {found}"
    assert reason in str(found)


@pytest.mark.parametrize(
    "command",
    [
        "kubectl rollout restart deploy/api -n prod",
        "kubectl rollout undo deploy/api -n prod",
        "kubectl delete pod -l app=api -n prod",
        "kubectl scale deploy/api --replicas=2 -n prod",
        "kubectl drain n1 --ignore-daemonsets",
        "helm rollback shop 3 -n prod",
    ],
)
def test_without_the_live_world_what_must_be_counted_is_refused(command):
    found = TABLES.analyse(command.split())
    assert isinstance(found, Refusal)
    assert "cannot count" in found.reason


@pytest.mark.parametrize(
    ("command", "namespaces"),
    [
        ("kubectl cordon n1", ()),
        ("kubectl drain n1 --ignore-daemonsets", ("prod", "web")),
        ("kubectl delete pod a -n prod", ("prod",)),
        ("kubectl exec api-1 -- df", ("",)),
    ],
)
def test_a_command_reaches_the_namespaces_that_it_changes(command, namespaces):
    assert analyse(command).namespaces == namespaces


HELM = [
    (
        "helm rollback shop 3 -n prod",
        [
            ("rollout", "prod/release shop: deployment/api", 1, "prod"),
            ("pod_restart", "prod/release shop: deployment/api", 5, "prod"),
            ("rollout", "prod/release shop: statefulset/db", 1, "prod"),
            ("pod_restart", "prod/release shop: statefulset/db", 3, "prod"),
        ],
    ),
    ("helm rollback bare 3 -n prod", [("rollout", "prod/release bare", 1, "prod")]),
    ("helm status shop -n prod", [("read", "release shop", 1, "prod")]),
    ("helm list -A", [("read", "releases", 1, "*")]),
]


@pytest.mark.parametrize(("command", "effects"), HELM, ids=[row[0] for row in HELM])
def test_helm_is_priced_and_granted_nothing_by_the_proxy(command, effects):
    found = analyse(command)
    assert effects_of(found) == effects
    assert (found.access.network, found.access.cluster, found.access.changes) == (Network.CLUSTER, (), ())


def test_a_release_that_nobody_can_count_is_refused():
    assert "cannot count the workloads" in str(analyse("helm rollback lost 3 -n prod"))


def test_a_role_grants_running_a_command_as_the_api_server_asks_for_it():
    in_workload = ClusterChange(
        ClusterRight("create", "deployments", "apps", "exec", "prod", "api"), ChangeForm.EXEC
    )
    in_pod = ClusterChange(ClusterRight("create", "pods", "", "exec", "prod", "api-1"), ChangeForm.EXEC)
    restart = ClusterChange(
        ClusterRight("patch", "deployments", "apps", "", "prod", "api"), ChangeForm.RESTART
    )
    assert in_workload.rights == (
        ClusterRight("get", "pods", "", "exec", "prod"),
        ClusterRight("create", "pods", "", "exec", "prod"),
    )
    assert {right.name for right in in_pod.rights} == {"api-1"}
    assert restart.rights == (restart.right,)
