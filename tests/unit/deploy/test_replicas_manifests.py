"""Workers and web as pods of their own, on one PostgreSQL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.deploy.conftest import Manifest, build
from tests.unit.deploy.test_manifests import config_of, problems
from tests.unit.deploy.test_pod_security import CONTROLS

ROOT = Path(__file__).parents[3]
WORKERS, WEB = "oncall-agent", "oncall-agent-web"


@pytest.fixture
def manifests(scratch: Path) -> tuple[Manifest, ...]:
    return build("replicas", scratch)


def named(manifests: tuple[Manifest, ...], kind: str, name: str) -> Any:
    (found,) = [each for each in manifests if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


def pods(manifests: tuple[Manifest, ...]) -> dict[str, Any]:
    return {
        WORKERS: named(manifests, "StatefulSet", WORKERS)["spec"]["template"],
        WEB: named(manifests, "Deployment", WEB)["spec"]["template"],
    }


def test_no_manifest_has_a_field_that_the_api_does_not_know(manifests):
    for manifest in manifests:
        assert list(problems(manifest, f"V1{manifest['kind']}", manifest["kind"])) == []


@pytest.mark.parametrize("name", CONTROLS)
@pytest.mark.parametrize("whose", [WORKERS, WEB])
def test_every_pod_keeps_to_the_restricted_standard(name, whose, manifests):
    assert list(CONTROLS[name](pods(manifests)[whose]["spec"])) == []


def test_each_worker_works_under_the_name_of_its_pod(manifests):
    stateful = named(manifests, "StatefulSet", WORKERS)["spec"]
    assert stateful["replicas"] == 3
    (container,) = stateful["template"]["spec"]["containers"]
    assert container["args"] == ["serve", "--role", "worker", "--config", "/etc/oncall-agent/config.yaml"]
    names = {each["name"]: each for each in container["env"]}
    path = names["ONCALL_AGENT_EXECUTOR_ID"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert path == "metadata.name"


def test_web_takes_nobodys_name_and_has_no_rights_in_the_cluster(manifests):
    spec = pods(manifests)[WEB]["spec"]
    (container,) = spec["containers"]
    assert container["args"] == ["serve", "--role", "web", "--config", "/etc/oncall-agent/config.yaml"]
    assert not any(each["name"].endswith("_EXECUTOR_ID") for each in container["env"])
    assert spec["automountServiceAccountToken"] is False
    assert "serviceAccountName" not in spec
    assert named(manifests, "Deployment", WEB)["spec"]["replicas"] >= 2


def test_what_comes_in_goes_to_web_and_nothing_else_selects_the_others_pods(manifests):
    labels = {name: pod["metadata"]["labels"] for name, pod in pods(manifests).items()}
    assert labels[WORKERS].items().isdisjoint(labels[WEB].items())
    assert named(manifests, "Service", "oncall-agent")["spec"]["selector"] == labels[WEB]
    for name, kind in ((WORKERS, "StatefulSet"), (WEB, "Deployment")):
        assert named(manifests, kind, name)["spec"]["selector"]["matchLabels"] == labels[name]
        for guard, path in (("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")):
            assert named(manifests, guard, name)["spec"][path]["matchLabels"] == labels[name]


def test_a_spread_over_machines_is_of_ones_own_pods(manifests):
    for pod in pods(manifests).values():
        (spread,) = pod["spec"]["topologySpreadConstraints"]
        assert spread["labelSelector"]["matchLabels"] == pod["metadata"]["labels"]


def test_both_read_the_same_configuration_and_reach_the_same_database(manifests):
    workers, web = (pod["spec"] for pod in pods(manifests).values())
    config = config_of(manifests)
    for spec in (workers, web):
        (container,) = spec["containers"]
        variables = {each["name"] for each in container["env"]}
        assert {"PGHOST", "PGUSER", "PGPASSWORD", "PGSSLMODE"} <= variables
        assert config.server.port == container["ports"][0]["containerPort"]
    assert config.database.url.startswith("postgresql://")
    volumes = [{each["name"]: each for each in spec["volumes"]} for spec in (workers, web)]
    for name in ("config", "secrets", "runbooks"):
        assert volumes[0][name] == volumes[1][name]


def test_what_web_mounts_is_there(manifests):
    spec = pods(manifests)[WEB]["spec"]
    (container,) = spec["containers"]
    assert {each["name"] for each in container["volumeMounts"]} == {each["name"] for each in spec["volumes"]}
    maps = {each["metadata"]["name"] for each in manifests if each["kind"] == "ConfigMap"}
    assert {each["configMap"]["name"] for each in spec["volumes"] if "configMap" in each} <= maps


@pytest.mark.parametrize("whose", [WORKERS, WEB])
def test_the_probes_ask_what_every_role_answers(manifests, whose):
    (container,) = pods(manifests)[whose]["spec"]["containers"]
    assert container["livenessProbe"]["httpGet"] == {"path": "/health", "port": "http"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/ready", "port": "http"}
    assert container["startupProbe"]["httpGet"]["path"] == "/health"


def test_web_reaches_the_database_and_nothing_else(manifests):
    egress = named(manifests, "NetworkPolicy", WEB)["spec"]["egress"]
    ports = {port["port"] for rule in egress for port in rule["ports"]}
    assert ports == {53, 5432}


def test_the_documentation_tells_how_to_apply_it():
    assert "kubectl apply -k deploy/k8s/overlays/replicas" in (ROOT / "docs" / "replicas.md").read_text()
