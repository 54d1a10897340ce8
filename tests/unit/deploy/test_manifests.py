"""Every overlay builds, has no field that the API does not know, and its parts name each other rightly."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes.client
import pytest
import yaml

from agent.config import Config

ROOT = Path(__file__).parents[3]
#: As the generators of older and newer clients write them.
LIST = re.compile(r"[Ll]ist\[(.*)\]")
MAPPING = re.compile(r"dict\(str, (.*)\)|Dict\[str, (.*)\]")
PLAIN = {"str", "int", "float", "bool", "object", "datetime", "date"}


def test_no_manifest_has_a_field_that_the_api_does_not_know(manifests):
    for manifest in manifests:
        assert list(problems(manifest, f"V1{manifest['kind']}", manifest["kind"])) == []


def problems(value: Any, model: str, where: str) -> Iterator[str]:
    """What the API server would refuse or drop, by the client's own models."""
    if value is None or model in PLAIN:
        yield from _of_plain(value, model, where)
    elif many := LIST.fullmatch(model):
        for index, each in enumerate(value):
            yield from problems(each, many[1], f"{where}[{index}]")
    elif many := MAPPING.fullmatch(model):
        for key, each in value.items():
            yield from problems(each, many[1] or many[2], f"{where}.{key}")
    else:
        yield from _of_model(value, model, where)


def _of_plain(value: Any, model: str, where: str) -> Iterator[str]:
    types = {"str": str, "int": int, "bool": bool}
    if value is None or not isinstance(value, types.get(model, object)):
        yield f"{where}: {value!r} is no {model}"


def _of_model(value: Any, model: str, where: str) -> Iterator[str]:
    described = getattr(kubernetes.client, model)
    names = {written: name for name, written in described.attribute_map.items()}
    for key, each in value.items():
        if key not in names:
            yield f"{where}.{key}: {model} has no such field"
        else:
            yield from problems(each, described.openapi_types[names[key]], f"{where}.{key}")
    try:
        described(**{names[key]: each for key, each in value.items() if key in names})
    except ValueError as error:
        yield f"{where}: {error}"


@pytest.mark.parametrize(
    ("change", "where", "problem"),
    [
        ({"spec": {"limit": {}}}, "ResourceQuota.spec.limit", "no such field"),
        ({"metadata": {"name": 5}}, "ResourceQuota.metadata.name", "5 is no str"),
        ({"metadata": {"labels": {"a": 5}}}, "ResourceQuota.metadata.labels.a", "5 is no str"),
        (
            {"spec": {"scopeSelector": {"matchExpressions": [{"operator": "In"}]}}},
            "ResourceQuota.spec.scopeSelector.matchExpressions[0]",
            "scope",  # the client's own words: its scopeName is missing
        ),
    ],
)
def test_the_check_itself_finds_what_is_wrong(change, where, problem):
    found = [each.partition(": ") for each in problems(change, "V1ResourceQuota", "ResourceQuota")]
    assert any(place == where and problem in words for place, _, words in found)


def one(manifests: Any, kind: str) -> Any:
    (found,) = [each for each in manifests if each["kind"] == kind]
    return found


def pod(manifests: Any) -> Any:
    return one(manifests, "StatefulSet")["spec"]["template"]


def test_every_namespaced_manifest_says_its_namespace(manifests):
    for manifest in manifests:
        is_cluster_wide = manifest["kind"] in ("Namespace", "ClusterRole", "ClusterRoleBinding")
        assert ("namespace" in manifest["metadata"]) is not is_cluster_wide, manifest["kind"]


def test_what_the_pod_mounts_is_there(manifests):
    spec = pod(manifests)["spec"]
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    claims = {
        each["metadata"]["name"] for each in one(manifests, "StatefulSet")["spec"]["volumeClaimTemplates"]
    }
    mounted = {
        mount["name"]
        for container in [*spec["containers"], *spec.get("initContainers", [])]
        for mount in container["volumeMounts"]
    }
    assert mounted == volumes.keys() | claims
    maps = {each["metadata"]["name"] for each in manifests if each["kind"] == "ConfigMap"}
    named = {volume["configMap"]["name"] for volume in volumes.values() if "configMap" in volume}
    assert named <= maps


def test_services_policies_and_budgets_select_the_pod(manifests):
    labels = pod(manifests)["metadata"]["labels"].items()
    selectors = [
        one(manifests, "Service")["spec"]["selector"],
        one(manifests, "StatefulSet")["spec"]["selector"]["matchLabels"],
        one(manifests, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        one(manifests, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
    ]
    for selector in selectors:
        assert selector
        assert selector.items() <= labels


def config_of(manifests: Any) -> Config:
    (text,) = [each["data"]["config.yaml"] for each in manifests if "config.yaml" in each.get("data", {})]
    return Config.model_validate(yaml.safe_load(text))


def test_the_configuration_is_valid_and_fits_the_pod(manifests):
    config = config_of(manifests)
    container = pod(manifests)["spec"]["containers"][0]
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    assert config.server.port == container["ports"][0]["containerPort"]
    assert config.server.host == "0.0.0.0"
    assert config.server.api_token is not None
    assert any(config.runbooks.path.startswith(path) for path in mounts)
    assert str(config.audit_path()).startswith("/data/")
    assert container["args"] == ["serve", "--config", "/etc/oncall-agent/config.yaml"]


def test_no_secret_stands_in_a_manifest(manifests):
    assert not any(manifest["kind"] == "Secret" for manifest in manifests)
    for path, reference in config_of(manifests).secret_references():
        assert reference.file is not None, path
        assert reference.file.startswith("/run/oncall-agent/secrets/")
    variables = pod(manifests)["spec"]["containers"][0]["env"]
    assert not any("value" in each and "PASS" in each["name"] for each in variables)


def test_the_documentation_names_every_key_of_the_secrets(manifests):
    text = (ROOT / "docs" / "kubernetes.md").read_text()
    for _, reference in config_of(manifests).secret_references():
        assert f"--from-file={Path(str(reference.file)).name}=" in text
    for variable in pod(manifests)["spec"]["containers"][0]["env"]:
        key = variable.get("valueFrom", {}).get("secretKeyRef")
        assert key is None or f"--from-literal={key['key']}=" in text or f"--from-file={key['key']}=" in text


def test_the_probes_ask_what_the_daemon_answers(manifests):
    container = pod(manifests)["spec"]["containers"][0]
    assert container["livenessProbe"]["httpGet"] == {"path": "/health", "port": "http"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/ready", "port": "http"}
    assert container["startupProbe"]["httpGet"]["path"] == "/health"


def test_a_stop_leaves_the_running_attempt_its_time(manifests):
    step = config_of(manifests).execution.step_timeout_s
    assert pod(manifests)["spec"]["terminationGracePeriodSeconds"] > step


def test_one_pod_works_under_one_name(manifests):
    assert one(manifests, "StatefulSet")["spec"]["replicas"] == 1
    (name,) = [
        each
        for each in pod(manifests)["spec"]["containers"][0]["env"]
        if each["name"].endswith("_EXECUTOR_ID")
    ]
    assert name["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"


def test_the_network_policy_lets_nobody_reach_the_metadata_service(manifests):
    policy = one(manifests, "NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert [rule["ports"] for rule in policy["ingress"]] == [[{"port": "http", "protocol": "TCP"}]]
    blocks = [to["ipBlock"] for rule in policy["egress"] for to in rule.get("to", []) if "ipBlock" in to]
    everywhere = {block["cidr"]: block["except"] for block in blocks}
    assert everywhere["0.0.0.0/0"] == ["169.254.0.0/16"]
    assert "fd00:ec2::254/128" in everywhere["::/0"]


def test_every_shipped_runbook_is_in_the_config_map(sqlite):
    (data,) = [each["data"] for each in sqlite if each["metadata"]["name"] == "oncall-agent-runbooks"]
    shipped = {path.name: path.read_text() for path in (ROOT / "runbooks").rglob("*.md")}
    assert data == shipped


def test_images_have_a_version_and_no_registry(manifests):
    spec = pod(manifests)["spec"]
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        assert re.fullmatch(r"[a-z-]+:v?[0-9]+\.[0-9]+\.[0-9]+", container["image"])


def test_the_image_is_built_for_the_user_that_the_pod_runs_as(sqlite):
    lines = (ROOT / "deploy" / "Dockerfile").read_text().splitlines()
    assert f"USER {pod(sqlite)['spec']['securityContext']['runAsUser']}" in lines
    (base, *_) = [line.split()[1] for line in lines if line.startswith("FROM")]
    assert base == "python:3.11-slim"
    assert 'ENTRYPOINT ["oncall-agent"]' in lines
