"""The simulated cluster allows what its roles say, and denies in the real server's words."""

import httpx
import pytest
import yaml
from kubernetes_words import PROGRAMS, binding, lines, role, rule

from agent.simulators.kubernetes.rbac import User
from agent.simulators.kubernetes.simulator import KubernetesSimulator

READ = rule("", "pods", "get list")
RESTART = rule("apps", "deployments", "get list watch patch", "api")


def grant(sim: KubernetesSimulator, *rules: dict) -> str:
    token = sim.add_service_account("production", "agent")
    sim.apply(role("agent", *rules))
    sim.apply(binding("agent", "agent", role="agent"))
    return token


def test_who_has_no_role_is_denied_everything_but_asking(secure, kubectl_with):
    kubectl = kubectl_with(secure, secure.add_service_account("production", "agent"))
    denied = (
        'pods is forbidden: User "system:serviceaccount:production:agent" cannot list resource "pods" '
        'in API group "" in the namespace "production"'
    )
    assert denied in kubectl.refused("get", "pods")
    assert 'cannot get resource "deployments" in API group "apps"' in kubectl.refused(
        "rollout", "restart", "deploy/api"
    )
    assert "at the cluster scope" in kubectl.refused("get", "nodes")
    assert kubectl.run("auth", "can-i", "get", "pods").stdout == "no\n"
    assert "system:serviceaccount:production:agent" in kubectl("auth", "whoami")


def test_a_role_allows_its_verbs_on_its_names_in_its_namespace(secure, kubectl_with):
    kubectl = kubectl_with(secure, grant(secure, READ, RESTART))
    secure.add_deployment("production", "web")
    secure.add_deployment("staging", "api")
    kubectl("rollout", "restart", "deploy/api")
    kubectl("rollout", "status", "deploy/api", "--timeout=5s")
    assert 'deployments.apps "web" is forbidden' in kubectl.refused("rollout", "restart", "deploy/web")
    assert 'in the namespace "staging"' in kubectl.refused(
        "rollout", "restart", "deploy/api", "-n", "staging"
    )
    assert 'cannot delete resource "pods"' in kubectl.refused("delete", "pods", "-l", "app=api")
    assert [(call.user[-5:], call.verb) for call in secure.changes()] == [("agent", "patch")]


def test_can_i_knows_subresources(secure, kubectl_with):
    kubectl = kubectl_with(secure, grant(secure, READ, rule("", "pods/exec", "create")))
    assert kubectl("auth", "can-i", "create", "pods", "--subresource=exec") == "yes\n"
    assert kubectl.run("auth", "can-i", "create", "pods/exec").stdout == "no\n"  # a pod of that name
    assert kubectl.run("auth", "can-i", "create", "pods").stdout == "no\n"
    assert kubectl("auth", "can-i", "get", "/version") == "yes\n"
    table = lines(kubectl("auth", "can-i", "--list"))
    assert any(line.split()[0] == "pods/exec" and "[create]" in line for line in table)


@pytest.mark.usefixtures("needs_web_socket_exec")
@pytest.mark.parametrize(
    ("granted", "asked", "words"),
    [
        ("get", [("get", 403), ("create", 403)], 'cannot create resource "pods/exec"'),
        ("create", [("get", 403), ("create", 400)], "does not speak SPDY"),
        ("get create", [("get", 101)], ""),
    ],
)
def test_exec_needs_get_and_create(secure, kubectl_with, granted, asked, words):
    kubectl = kubectl_with(secure, grant(secure, READ, rule("", "pods/exec", granted)))
    done = kubectl.run("exec", secure.pod_names("production")[0], "--", "true")
    assert [(call.verb, call.status) for call in secure.calls(resource="pods/exec")] == asked
    assert words in done.stderr
    assert (done.returncode == 0) is (not words)


@pytest.mark.usefixtures("needs_web_socket_exec")
def test_a_cluster_may_be_told_to_ask_for_get_alone(kubectl_with):
    with KubernetesSimulator(tls=True, exec_needs=()) as sim:
        sim.add_pod("production", "lonely", programs=PROGRAMS)
        kubectl = kubectl_with(sim, grant(sim, READ, rule("", "pods/exec", "get")))
        assert kubectl("exec", "lonely", "--", "printf", "hello") == "hello"


def test_roles_created_by_kubectl_count(secure, kubectl_with, tmp_path):
    admin = kubectl_with(secure)
    agent = kubectl_with(secure, secure.add_service_account("production", "agent"))
    path = tmp_path / "rbac.yaml"
    objects = [role("agent", READ), binding("agent", "agent", role="agent")]
    path.write_text(yaml.safe_dump_all(objects))
    admin("apply", "-f", str(path))
    admin("create", "clusterrole", "restarter", "--verb=get,patch", "--resource=deployments.apps")
    subject = "--serviceaccount=production:agent"
    admin("create", "rolebinding", "restart", "--clusterrole=restarter", subject)
    assert agent("get", "pods", "-o", "name").count("pod/api-") == 2
    agent("rollout", "restart", "deploy/api")
    admin("delete", "rolebinding", "restart")
    assert "forbidden" in agent.refused("rollout", "restart", "deploy/api")


def test_somebody_may_be_impersonated_by_an_administrator_only(secure, kubectl_with):
    token = grant(secure, READ)
    account = "--as=system:serviceaccount:production:agent"
    assert kubectl_with(secure)("auth", "can-i", "list", "pods", account) == "yes\n"
    assert kubectl_with(secure).run("auth", "can-i", "delete", "pods", account).stdout == "no\n"
    refused = kubectl_with(secure, token).refused("get", "pods", "--as=admin")
    assert 'users "admin" is forbidden' in refused
    assert 'cannot impersonate resource "users"' in refused


def test_a_token_that_nobody_has_is_unauthorized(secure, kubectl_with):
    assert "must be logged in" in kubectl_with(secure, "nonsense").refused("get", "pods")


def test_plain_http_without_a_token_is_whoever_the_cluster_was_told():
    with KubernetesSimulator(http_user=User("nobody", ("system:authenticated",))) as sim:
        answer = httpx.get(f"{sim.url}/api/v1/namespaces/default/pods")
        token = sim.add_user("jane", groups=("system:masters",))
        known = httpx.get(
            f"{sim.url}/api/v1/namespaces/default/pods", headers={"Authorization": f"Bearer {token}"}
        )
    assert (answer.status_code, known.status_code) == (403, 200)
    assert 'User "nobody" cannot list resource "pods"' in answer.json()["message"]
    assert answer.json()["details"] == {"kind": "pods"}


def test_rules_with_wildcards_and_resource_names_are_read_as_kubernetes_reads_them():
    def may(*rules: dict, **asked: str) -> bool:
        with KubernetesSimulator() as sim:
            token = grant(sim, *rules)
            spec = {"namespace": "production", **asked}
            answer = httpx.post(
                f"{sim.url}/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
                json={"spec": {"resourceAttributes": spec}},
                headers={"Authorization": f"Bearer {token}"},
            )
            return answer.json()["status"]["allowed"]

    deployment = {"group": "apps", "resource": "deployments"}
    assert may(rule("*", "*", "*"), verb="delete", **deployment)
    assert may(rule("*", "*", "*"), verb="create", resource="pods", subresource="exec")
    assert may(rule("apps", "*/scale", "patch"), verb="patch", subresource="scale", **deployment)
    assert not may(rule("apps", "deployments", "patch"), verb="patch", subresource="scale", **deployment)
    assert not may(rule("", "deployments", "patch"), verb="patch", **deployment)
    assert not may(rule("apps", "deployments", "patch", "api"), verb="patch", **deployment)
    assert may(rule("apps", "deployments", "patch", "api"), verb="patch", name="api", **deployment)
