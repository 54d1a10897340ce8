"""The Roles that `rbac` prints are enough for the shipped runbooks with real kubectl, and nothing more."""

from __future__ import annotations

import copy
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.domain.runbook import Action
from agent.library import Library
from agent.safety import actions_kubernetes, language
from agent.safety.actions_arguments import Arguments, read
from agent.simulators.kubernetes.objects import DEPLOYMENTS, SERVICE_ACCOUNTS, STORED
from agent.simulators.kubernetes.simulator import ContainerPrograms, KubernetesSimulator
from tests.integration.cli.conftest import HELLO, Shell

ROOT = Path(__file__).parents[3]
RUNBOOKS = ROOT / "runbooks"
IDENTITY = ("oncall-agent", "oncall-agent")

Manifest = dict[str, Any]


def generated(shell: Shell) -> list[Manifest]:
    result = shell("rbac", str(RUNBOOKS))
    assert result.code == 0, result.err
    return list(yaml.safe_load_all(result.out))


@pytest.fixture
def cluster() -> Iterator[KubernetesSimulator]:
    programs = ContainerPrograms(
        programs={"redis-cli": ("/bin/echo", "OK"), "curl": ("/bin/echo", '{"redis": "connected"}')}
    )
    with KubernetesSimulator(tls=True) as simulator:
        for namespace in ("production", "staging"):
            simulator.add_deployment(namespace, "web", replicas=2)
        simulator.add_deployment("platform", "kt-gateway", replicas=1)
        for name in ("redis-primary", "api-gateway"):
            simulator.add_deployment("production", name, replicas=1, programs=programs)
        yield simulator


def _as_kubectl(name: str, action: Action) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The kubectl command that does what a typed action does; an action elsewhere has none."""
    known = actions_kubernetes.ACTIONS.get(action.name)
    if known is not None:
        arguments = read(action, known.form)
        assert isinstance(arguments, Arguments)
        yield name, known.command(arguments)


def put(cluster: KubernetesSimulator, manifest: Manifest) -> None:
    """As `kubectl apply` does: in place of what bears this name."""
    kind = next(each for each in STORED if each.kind == manifest["kind"])
    metadata = manifest["metadata"]
    if kind is SERVICE_ACCOUNTS:
        return  # it is there, with its token
    if cluster.state.find(kind, metadata.get("namespace", ""), metadata["name"]) is not None:
        cluster.state.remove(kind, metadata.get("namespace", ""), metadata["name"])
    cluster.apply(manifest)


class Steps:
    """The kubectl commands of the shipped runbooks, run as the ServiceAccount of the Roles."""

    def __init__(self, cluster: KubernetesSimulator, directory: Path) -> None:
        self._cluster = cluster
        self._environment = {
            "HOME": str(directory),
            "KUBECONFIG": str(directory / "kubeconfig"),
            "PATH": "/usr/bin:/bin",
        }
        token = cluster.add_service_account(*reversed(IDENTITY))
        cluster.kubeconfig(directory / "kubeconfig", token=token, namespace="default")

    def commands(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """(step as the comments call it, argv) in every namespace that it may be for."""
        for runbook in Library(RUNBOOKS).runbooks.values():
            verify = runbook.verification.steps if runbook.verification else ()
            named = [*((f"step {each.index}", each) for each in runbook.steps)]
            named += [(f"verify step {each.index}", each) for each in verify]
            for name, step in named:
                if step.action is not None:
                    yield from _as_kubectl(f"{runbook.id} {name}", step.action)
                    continue
                template = language.parse(step.command)
                assert isinstance(template, language.ParsedTemplate)
                for namespace in ("production", "staging") if template.placeholders else ("",):
                    yield from self._bound(f"{runbook.id} {name}", template, namespace)

    def _bound(
        self, name: str, template: language.ParsedTemplate, namespace: str
    ) -> Iterator[tuple[str, tuple[str, ...]]]:
        pod = self._cluster.pod_names(namespace, "app=web")[0] if namespace else ""
        values = {"namespace": namespace, "pod": pod, "app": "web", "domain": "a.example", "mountpoint": "/"}
        script = language.bind(template, {name: value or "x" for name, value in values.items()})
        assert isinstance(script, language.Script)
        yield from ((name, each.argv) for each in script.commands() if each.argv[0] == "kubectl")

    def denied(self, only: str = "", namespace: str = "") -> list[str]:
        """The commands that the cluster denied something; whatever else became of them."""
        found = []
        for name, argv in list(self.commands()):
            if (only and name not in only) or (namespace and namespace not in argv):
                continue
            self._cluster.forget_calls()
            self._run(argv)
            if any(call.status == 403 for call in self._cluster.calls()):
                found.append(name)
                if only:
                    return found
        return found

    def failed(self) -> set[str]:
        """The commands that did not end well."""
        return {name for name, argv in list(self.commands()) if self._run(argv) != 0}

    def _run(self, argv: tuple[str, ...]) -> int | None:
        if argv[1:3] == ("rollout", "restart"):
            # twice within a second kubectl refuses by itself, without asking the cluster
            self._cluster.state.remove(DEPLOYMENTS, "platform", "kt-gateway")
            self._cluster.add_deployment("platform", "kt-gateway", replicas=1)
        try:
            return subprocess.run(argv, env=self._environment, capture_output=True, timeout=5).returncode
        except subprocess.TimeoutExpired:
            return None  # it goes on asking for what it is denied


@pytest.fixture
def steps(cluster: KubernetesSimulator, tmp_path: Path) -> Steps:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed; `make packages` installs it")
    version = subprocess.run(["kubectl", "version", "--client"], capture_output=True, text=True).stdout
    if "GitVersion" in version or int(version.split("v1.")[1].split(".")[0]) < 30:
        pytest.skip("the simulator executes over WebSocket only, which kubectl does from 1.30")
    return Steps(cluster, tmp_path)


def test_the_generated_roles_are_enough_for_the_shipped_runbooks(
    shell: Shell, cluster: KubernetesSimulator, steps: Steps
) -> None:
    assert {name for name, _ in steps.commands()} >= {"redis-connection-timeout step 1"}
    assert steps.denied() != []
    for manifest in generated(shell):
        put(cluster, manifest)
    assert steps.denied() == []
    # nothing has crashed, so there is no earlier log
    assert steps.failed() <= {"kube-pod-crash-looping step 2"}


def test_without_any_one_of_their_verbs_some_step_is_denied(
    shell: Shell, cluster: KubernetesSimulator, steps: Steps
) -> None:
    manifests = generated(shell)
    for manifest in manifests:
        put(cluster, manifest)
    comments = needed_by(shell)
    needless = []
    for role in [each for each in manifests if each["kind"] == "Role"]:
        for at, rule in enumerate(role["rules"]):
            for verb in rule["verbs"]:
                put(cluster, without(role, at, verb))
                namespace = role["metadata"]["namespace"]
                if not steps.denied(comments[namespace][at], namespace):
                    needless.append(f"{verb} {rule['resources']} in {namespace}")
        put(cluster, role)
    assert needless == []


def without(role: Manifest, at: int, verb: str) -> Manifest:
    changed = copy.deepcopy(role)
    changed["rules"][at]["verbs"].remove(verb)
    if not changed["rules"][at]["verbs"]:
        del changed["rules"][at]
    return changed


def needed_by(shell: Shell) -> dict[str, list[str]]:
    """The steps that the comments name, written out, by namespace and number of the rule."""
    found: dict[str, list[str]] = {}
    documents = shell("rbac", str(RUNBOOKS)).out.split("\n---\n")
    for document in documents:
        manifest = yaml.safe_load(document)
        if manifest["kind"] == "Role":
            lines = [line.strip("# ") for line in document.splitlines() if line.startswith("  #")]
            found[manifest["metadata"]["namespace"]] = [_written_out(line) for line in lines]
    return found


def _written_out(comment: str) -> str:
    """`a steps 1, 2, verify step 1; b step 3` as `a step 1|a step 2|a verify step 1|b step 3`."""
    names = []
    for part in comment.split("; "):
        runbook, _, rest = part.partition(" ")
        kind = ""
        for word in rest.split(", "):
            *words, number = word.split()
            kind = " ".join(words).replace("steps", "step") or kind
            names.append(f"{runbook} {kind} {number}")
    return "|".join(names) + "|"


def test_the_deployed_manifests_are_the_generated_ones(shell: Shell) -> None:
    deployed = (ROOT / "deploy" / "k8s" / "base" / "rbac.yaml").read_text()
    assert shell("rbac", str(RUNBOOKS)).out == deployed, "oncall-agent rbac > deploy/k8s/base/rbac.yaml"


def test_a_step_that_is_refused_is_told_and_not_granted(shell: Shell) -> None:
    shell.runbook("hello", HELLO.replace("echo ready", "kubectl delete pod web -n shop"))
    result = shell("rbac")
    assert result.code == 1
    assert "not granted: hello step 1" in result.err
    assert "delete" not in yaml.safe_dump_all(list(yaml.safe_load_all(result.out)))


def test_rights_go_to_the_service_account_that_is_named(shell: Shell) -> None:
    shell.runbook("hello", HELLO.replace("echo ready", "kubectl get pods -n shop"))
    documents = list(yaml.safe_load_all(shell("rbac", "--service-account", "night", "-n", "ops").out))
    assert documents[0]["metadata"] == {"name": "night", "namespace": "ops"}
    assert documents[-1]["subjects"] == [{"kind": "ServiceAccount", "name": "night", "namespace": "ops"}]


def test_iam_prints_a_policy_and_who_needs_what(shell: Shell) -> None:
    shell.runbook("hello", HELLO)
    result = shell("iam")
    assert result.code == 0
    (deny,) = result.json["Statement"]
    assert deny["Effect"] == "Deny"


EXEC = HELLO.replace("echo ready", "kubectl exec -n production deploy/redis-primary -- redis-cli PING")
READER = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "Role",
    "metadata": {"name": "oncall-agent", "namespace": "production"},
    "rules": [
        {"apiGroups": ["", "apps"], "resources": ["pods", "deployments"], "verbs": ["get", "list"]},
        {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get"]},
    ],
}


@pytest.fixture
def short_of_exec(
    shell: Shell, cluster: KubernetesSimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Shell:
    """A Role that lets the agent look, and not run commands in pods."""
    shell.runbook("hello", EXEC)
    token = cluster.add_service_account(*reversed(IDENTITY))
    for manifest in yaml.safe_load_all(shell("rbac").out):
        put(cluster, READER if manifest["kind"] == "Role" else manifest)
    cluster.kubeconfig(tmp_path / "kubeconfig", token=token, namespace="default")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    return shell


def test_lint_with_the_cluster_says_which_right_a_step_lacks(short_of_exec: Shell) -> None:
    result = short_of_exec("lint", "--cluster", "--json")
    (finding,) = result.json["findings"]
    assert finding["message"] == "your Role misses create on pods/exec in production"
    assert finding["path"].endswith("hello.md")
    assert finding["line"] > 1
    assert result.code == 1
    assert short_of_exec("lint", "--json").json["findings"] == []


def test_doctor_says_which_right_a_step_lacks(short_of_exec: Shell) -> None:
    rows = short_of_exec("doctor", "--json").json
    (seen,) = [row for row in rows if row["name"] == "kubernetes"]
    assert seen["grade"] == "bad"
    assert seen["seen"] == "your Role misses create on pods/exec in production (hello step 1)"


def test_doctor_is_content_with_the_generated_roles(
    short_of_exec: Shell, cluster: KubernetesSimulator
) -> None:
    for manifest in yaml.safe_load_all(short_of_exec("rbac").out):
        put(cluster, manifest)
    rows = short_of_exec("doctor", "--json").json
    (seen,) = [row for row in rows if row["name"] == "kubernetes"]
    assert (seen["grade"], seen["seen"]) == ("ok", "our Role has all that 1 steps need")


def test_doctor_says_that_a_cluster_is_missing(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    shell.runbook("hello", EXEC)
    rows = shell("doctor", "--json").json
    (seen,) = [row for row in rows if row["name"] == "kubernetes"]
    assert seen["grade"] == "bad"
    assert "names no cluster" in seen["seen"]


def test_doctor_needs_no_cluster_for_runbooks_that_reach_none(shell: Shell) -> None:
    shell.runbook("hello", HELLO)
    rows = shell("doctor", "--json").json
    assert [row["grade"] for row in rows if row["name"] == "kubernetes"] == ["note"]
