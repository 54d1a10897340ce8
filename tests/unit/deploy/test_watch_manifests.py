"""The dead-man's switch in a cluster: its CronJob fits the agent that it watches, and may do nothing else."""

from __future__ import annotations

from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from agent.cli import watch
from tests.unit.deploy.conftest import Manifest, build
from tests.unit.deploy.test_manifests import config_of, pod, problems
from tests.unit.deploy.test_pod_security import CONTROLS


@pytest.fixture
def watched(scratch: Any) -> tuple[Manifest, ...]:
    return build("sqlite with watch", scratch)


def named(manifests: tuple[Manifest, ...], kind: str, name: str = "oncall-agent-watch") -> Any:
    (found,) = [each for each in manifests if each["kind"] == kind and each["metadata"]["name"] == name]
    return found


@pytest.fixture
def job(watched: tuple[Manifest, ...]) -> Any:
    return named(watched, "CronJob")


@pytest.fixture
def spec(job: Any) -> Any:
    return job["spec"]["jobTemplate"]["spec"]["template"]["spec"]


def options(spec: Any) -> dict[str, str]:
    pairs = (argument.removeprefix("--").split("=", 1) for argument in spec["containers"][0]["args"][2:])
    return dict(pairs)


def test_no_manifest_has_a_field_that_the_api_does_not_know(watched: tuple[Manifest, ...]) -> None:
    for manifest in watched:
        assert list(problems(manifest, f"V1{manifest['kind']}", manifest["kind"])) == []


@pytest.mark.parametrize("name", CONTROLS)
def test_its_pod_keeps_to_the_restricted_standard(name: str, spec: Any) -> None:
    assert list(CONTROLS[name](spec)) == []


def test_it_is_one_at_a_time_and_each_run_has_the_time_that_it_may_need(job: Any, spec: Any) -> None:
    assert job["spec"]["concurrencyPolicy"] == "Forbid"
    template = job["spec"]["jobTemplate"]["spec"]
    assert template["backoffLimit"] == 0
    assert template["activeDeadlineSeconds"] > float(options(spec)["stale-after"]) + 60 + 30


def test_the_command_is_one_that_there_is(spec: Any) -> None:
    app = typer.Typer()
    app.callback()(lambda: None)
    watch.register(app)
    ran = CliRunner().invoke(app, [*spec["containers"][0]["args"], "--config=/nowhere/config.yaml"])
    assert ran.exit_code != 0
    assert "No such option" not in ran.output
    assert "/nowhere/config.yaml cannot be used" in str(ran.exception)


def test_it_asks_the_agents_own_service(watched: tuple[Manifest, ...], spec: Any) -> None:
    service = named(watched, "Service", "oncall-agent")
    assert options(spec)["url"] == f"http://{service['metadata']['name']}/ready"
    assert [port["port"] for port in service["spec"]["ports"]] == [80]


def test_its_policy_lets_it_reach_the_agent_and_nothing_reaches_it(watched: tuple[Manifest, ...]) -> None:
    job, policy = named(watched, "CronJob"), named(watched, "NetworkPolicy")["spec"]
    labels = job["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in policy
    selected = [
        to["podSelector"]["matchLabels"]
        for rule in policy["egress"]
        for to in rule["to"]
        if "podSelector" in to
    ]
    agent = next(each for each in watched if each["kind"] == "StatefulSet")["spec"]["template"]
    assert any(each.items() <= agent["metadata"]["labels"].items() for each in selected)


def test_the_agents_own_service_does_not_select_it(watched: tuple[Manifest, ...]) -> None:
    labels = named(watched, "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"]
    for kind, name in (("Service", "oncall-agent"), ("StatefulSet", "oncall-agent")):
        selector = named(watched, kind, name)["spec"]["selector"]
        assert not selector.get("matchLabels", selector).items() <= labels.items()


def test_it_has_of_all_secrets_the_one_that_pages(watched: tuple[Manifest, ...], spec: Any) -> None:
    section = config_of(watched).pagerduty
    assert section is not None
    assert section.routing_key is not None
    (secret,) = [volume["secret"] for volume in spec["volumes"] if "secret" in volume]
    (mount,) = [each for each in spec["containers"][0]["volumeMounts"] if each["name"] == "secrets"]
    (item,) = secret["items"]
    assert f"{mount['mountPath']}/{item['path']}" == section.routing_key.file
    assert spec["automountServiceAccountToken"] is False


def test_it_runs_the_agents_own_image_as_the_agents_own_user(
    watched: tuple[Manifest, ...], spec: Any
) -> None:
    agent = pod(watched)["spec"]
    assert spec["containers"][0]["image"] == agent["containers"][0]["image"]
    assert spec["securityContext"]["runAsUser"] == agent["securityContext"]["runAsUser"]


def test_what_it_mounts_is_there(watched: tuple[Manifest, ...], spec: Any) -> None:
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    assert {mount["name"] for mount in spec["containers"][0]["volumeMounts"]} == volumes.keys()
    maps = {each["metadata"]["name"] for each in watched if each["kind"] == "ConfigMap"}
    assert volumes["config"]["configMap"]["name"] in maps
    assert options(spec)["state"].startswith("/tmp/")
