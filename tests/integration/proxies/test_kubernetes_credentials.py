"""Our credentials come from a kubeconfig or from our pod; what would run a program is an error in words."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
import yaml

from agent.adapters.kubernetes.credentials import ClusterCredentials, credentials
from agent.adapters.proxies.gateways import LiveGateways
from agent.config.sections import Kubernetes
from agent.domain.access import Access, Network
from agent.domain.command import PricedCommand
from agent.domain.errors import ConfigError
from agent.simulators.kubernetes.simulator import KubernetesSimulator

PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
DATA = base64.b64encode(PEM.encode()).decode()


def _kubeconfig(path: Path, *, user: object = None, cluster: object = None, name: str = "one") -> str:
    document = {
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": "production"}}],
        "clusters": [{"name": name, "cluster": cluster or {"server": "https://10.0.0.1:6443/"}}],
        "users": [{"name": name, "user": user or {}}],
    }
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return str(path)


def _found(path: str, context: str | None = None) -> ClusterCredentials:
    found = credentials(Kubernetes(kubeconfig=path, context=context), environment={})
    assert found is not None
    return found


def test_a_kubeconfig_with_certificates_and_a_token_is_read(tmp_path: Path) -> None:
    user = {"client-certificate-data": DATA, "client-key-data": DATA, "token": "t"}
    cluster = {"server": "https://10.0.0.1:6443/", "certificate-authority-data": DATA, "tls-server-name": "k"}
    found = _found(_kubeconfig(tmp_path / "c", user=user, cluster=cluster))
    assert (found.server, found.ca, found.client_certificate) == ("https://10.0.0.1:6443", PEM, PEM)
    assert (found.client_key, found.token(), found.server_name) == (PEM, "t", "k")
    assert found.namespace == "production"


def test_secrets_do_not_show_themselves(tmp_path: Path) -> None:
    user = {"client-certificate-data": DATA, "client-key-data": DATA, "token": "canary"}
    shown = repr(_found(_kubeconfig(tmp_path / "c", user=user)))
    assert "canary" not in shown
    assert shown.count("BEGIN") == 1


def test_files_are_found_beside_the_kubeconfig_and_a_token_is_read_anew(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text(PEM, encoding="utf-8")
    token = tmp_path / "token"
    token.write_text("first\n", encoding="utf-8")
    cluster = {"server": "https://10.0.0.1", "certificate-authority": "ca.crt"}
    found = _found(_kubeconfig(tmp_path / "c", user={"tokenFile": "token"}, cluster=cluster))
    assert (found.ca, found.token()) == (PEM, "first")
    token.write_text("second\n", encoding="utf-8")
    assert found.token() == "second"


@pytest.mark.parametrize(
    ("user", "cluster", "says"),
    [
        ({"exec": {"command": "aws"}}, None, "user.exec: runs a program to log in; give a token"),
        ({"auth-provider": {"name": "gcp"}}, None, "user.auth-provider: needs a plugin"),
        ({"username": "a", "password": "b"}, None, "user.username: logs in with a password"),
        ({"as": "admin"}, None, "user.as: acts as somebody else"),
        ({"client-certificate-data": DATA}, None, "has a client certificate or its key, and not both"),
        ({"client-key": "missing.pem"}, None, "which does not exist"),
        ({"client-key-data": "!"}, None, "is not base64 of PEM text"),
        ({"token": 5}, None, "user.token: must be a text"),
        (None, {"server": "https://x", "insecure-skip-tls-verify": True}, "would talk to anybody"),
        (None, {"server": "https://x", "proxy-url": "http://p"}, "is not supported"),
        (None, {"server": "http://10.0.0.1"}, "must be an https:// URL"),
        (None, {"server": "https://user@x"}, "must be an https:// URL"),
        (None, {"certificate-authority-data": DATA}, "must be an https:// URL"),
    ],
)
def test_what_cannot_be_used_is_told_with_its_place(
    tmp_path: Path, user: object, cluster: object, says: str
) -> None:
    path = _kubeconfig(tmp_path / "c", user=user, cluster=cluster)
    with pytest.raises(ConfigError) as told:
        credentials(Kubernetes(kubeconfig=path), environment={})
    assert says in str(told.value)
    assert path in str(told.value)


@pytest.mark.parametrize(
    "text", ["", "- a", "{", "{current-context: a}", "{contexts: 5, current-context: a}"]
)
def test_a_file_that_is_no_kubeconfig_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "c"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError):
        credentials(Kubernetes(kubeconfig=str(path)), environment={})


def test_a_kubeconfig_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        credentials(Kubernetes(), environment={"KUBECONFIG": str(tmp_path / "none")})


def test_of_two_files_the_context_that_is_asked_for_is_taken(tmp_path: Path) -> None:
    one = _kubeconfig(tmp_path / "a", cluster={"server": "https://one"})
    two = _kubeconfig(tmp_path / "b", cluster={"server": "https://two"}, name="two")
    environment = {"KUBECONFIG": f"{one}:{two}"}
    first = credentials(Kubernetes(), environment=environment)
    second = credentials(Kubernetes(context="two"), environment=environment)
    assert first is not None
    assert second is not None
    assert (first.server, second.server) == ("https://one", "https://two")


def test_in_a_pod_its_service_account_is_taken(tmp_path: Path) -> None:
    for name, text in (("token", "t\n"), ("ca.crt", PEM), ("namespace", "oncall")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    environment = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    found = credentials(Kubernetes(), environment=environment, service_account=tmp_path)
    assert found is not None
    assert (found.server, found.token(), found.namespace) == ("https://10.96.0.1:443", "t", "oncall")


def test_without_any_cluster_there_is_none(tmp_path: Path) -> None:
    assert credentials(Kubernetes(), environment={}, service_account=tmp_path) is None


def test_a_step_that_needs_a_cluster_is_told_that_there_is_none() -> None:
    gateways = LiveGateways(Kubernetes(), find=lambda _: None)
    command = PricedCommand(("kubectl",), access=Access(network=Network.CLUSTER))
    with gateways.open(command, marker="m") as opening:
        assert opening.port is None
        assert opening.problem.startswith("no Kubernetes cluster is configured: set kubernetes.kubeconfig")


def test_a_cluster_that_cannot_be_used_is_told_to_the_step(tmp_path: Path) -> None:
    path = _kubeconfig(tmp_path / "c", user={"exec": {"command": "aws"}})
    command = PricedCommand(("kubectl",), access=Access(network=Network.CLUSTER))
    with LiveGateways(Kubernetes(kubeconfig=path)).open(command, marker="m") as opening:
        assert opening.port is None
        assert "runs a program to log in" in opening.problem


@pytest.mark.parametrize("network", [Network.NONE, Network.DIRECT])
def test_a_step_without_a_gateway_gets_no_port(network: Network) -> None:
    command = PricedCommand(("jq",), access=Access(network=network))
    with LiveGateways(Kubernetes()).open(command, marker="m") as opening:
        assert (opening.port, opening.environment, opening.files, opening.problem) == (None, {}, {}, "")


def test_the_steps_kubeconfig_holds_no_credentials(tmp_path: Path) -> None:
    with KubernetesSimulator(tls=True) as sim:
        token = sim.add_user("oncall-agent", groups=("system:masters",), token="canary-token")
        path = sim.kubeconfig(tmp_path / "c", token=token)
        command = PricedCommand(("kubectl",), access=Access(network=Network.CLUSTER))
        with LiveGateways(Kubernetes(kubeconfig=str(path))).open(command, marker="m") as opening:
            (content,) = opening.files.values()
    assert b"canary-token" not in content
    assert b"CERTIFICATE" not in content
    assert f"http://127.0.0.1:{opening.port}/".encode() in content
