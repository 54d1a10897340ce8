"""The real AWS command line in the real sandbox reaches its endpoint through the egress proxy, nothing else.

It is taken from a trusted folder, else from the one that ONCALL_AGENT_TEST_AWS names (open to every user).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace

import boto3
import pytest
from moto.server import ThreadedMotoServer
from raw_origin import origin
from sandboxed import carried_out, judged

from agent.domain.effects import EffectClass
from agent.ports import CommandResult
from agent.safety.effects import TRUSTED_PATH
from agent.safety.pricing import Cloud

REGION = "eu-west-1"
#: The first versions that heed AWS_ENDPOINT_URL (AWS SDKs and Tools Reference, service-specific endpoints).
FIRST_WITH_ENDPOINT = {1: (1, 29, 0), 2: (2, 13, 0)}
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@dataclass(frozen=True)
class Aws:
    """The program, and whether it heeds AWS_ENDPOINT_URL."""

    path: tuple[str, ...]
    heeds_variable: bool

    def run(self, command: str, *, at: int) -> CommandResult:
        """As it is judged for an endpoint on this loopback port."""
        priced = judged(command, cloud=Cloud(endpoint=f"127.0.0.1:{at}"))
        if not self.heeds_variable:
            url = f"http://127.0.0.1:{os.environ['AWS_ENDPOINT_URL'].rpartition(':')[2]}"
            priced = replace(priced, argv=(*priced.argv, "--endpoint-url", url))
        return carried_out(priced, path=self.path)


@pytest.fixture(scope="module")
def aws() -> Aws:
    path = (*filter(None, [os.environ.get("ONCALL_AGENT_TEST_AWS")]), *TRUSTED_PATH)
    program = shutil.which("aws", path=":".join(path))
    if program is None:
        pytest.skip("the AWS command line is not installed in a trusted folder")
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    version = tuple(map(int, re.findall(r"\d+", told)[:3]))
    return Aws(path, version >= FIRST_WITH_ENDPOINT.get(version[0], (0,)))


@pytest.fixture(scope="module")
def moto_port() -> Iterator[int]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    yield server.get_host_and_port()[1]
    server.stop()


@pytest.fixture
def endpoint(moto_port: int, monkeypatch: pytest.MonkeyPatch) -> int:
    _environment(monkeypatch, moto_port)
    return moto_port


def _environment(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")


@pytest.fixture
def instance(endpoint: int) -> str:
    ec2 = boto3.client("ec2", region_name=REGION, endpoint_url=f"http://127.0.0.1:{endpoint}")
    image = ec2.describe_images(MaxResults=5)["Images"][0]["ImageId"]
    made = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)
    return str(made["Instances"][0]["InstanceId"])


def test_who_the_agent_is_is_asked_through_the_proxy(aws: Aws, endpoint: int) -> None:
    command = f"aws sts get-caller-identity --region {REGION} --query Account --output text"
    result = aws.run(command, at=endpoint)
    assert (result.exit_code, result.stdout, result.problem) == (0, "123456789012\n", ""), result.stderr


def test_an_instance_is_found_and_rebooted(aws: Aws, endpoint: int, instance: str) -> None:
    found = aws.run(
        f"aws ec2 describe-instances --region {REGION} --instance-ids {instance} --output text"
        " --query Reservations[].Instances[].State.Name",
        at=endpoint,
    )
    command = f"aws ec2 reboot-instances --region {REGION} --instance-ids {instance}"
    effects = judged(command).effects
    rebooted = aws.run(command, at=endpoint)
    assert found.stdout == "running\n", found.stderr
    assert [(effect.effect_class, effect.count) for effect in effects] == [(EffectClass.INSTANCE_REBOOT, 1)]
    assert rebooted.exit_code == 0, rebooted.stderr


def test_an_endpoint_that_it_was_not_priced_for_is_refused(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    with origin(OK) as other, origin(OK) as priced:
        _environment(monkeypatch, other.port)
        result = aws.run(f"aws sts get-caller-identity --region {REGION}", at=priced.port)
        assert not other.connected.is_set()
    assert result.exit_code != 0
    assert f"oncall-agent: refused: this command was not priced for 127.0.0.1:{other.port}" in result.stderr


def test_without_credentials_it_does_not_get_those_of_the_machine(
    aws: Aws, endpoint: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    result = aws.run(f"aws sts get-caller-identity --region {REGION}", at=endpoint)
    assert result.exit_code != 0
    assert "credentials" in result.stderr.lower()
