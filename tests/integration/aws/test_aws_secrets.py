"""Secrets that are kept in AWS."""

import pytest

from agent.adapters.aws.secrets import fetch
from agent.config import close_vault, parse
from agent.config.secrets import SecretReference
from agent.domain.errors import Reason, ServiceError
from agent.simulators.server import Fault
from agent.surroundings import open_cloud_vault

REGION = "eu-west-1"


def get(url, timeout_s=5, **place):
    return fetch(SecretReference(**place), region=REGION, endpoint_url=url, timeout_s=timeout_s)


def test_a_parameter_is_read_decrypted(boto, moto_url):
    boto("ssm").put_parameter(Name="/oncall/token", Value="made-up-token\n", Type="SecureString")
    assert get(moto_url, aws_ssm="/oncall/token") == "made-up-token"


def test_a_secret_is_read(boto, moto_url):
    boto("secretsmanager").create_secret(Name="oncall/token", SecretString="made-up-token")
    assert get(moto_url, aws_secret="oncall/token") == "made-up-token"


@pytest.mark.parametrize("place", [{"aws_ssm": "/none"}, {"aws_secret": "none"}])
def test_one_that_is_not_there_is_named(happened, moto_url, place):
    with pytest.raises(ServiceError, match=r"not found|can't find") as error:
        get(moto_url, **place)
    assert error.value.reason is Reason.NOT_FOUND


def test_a_binary_secret_is_refused_without_being_shown(boto, moto_url):
    boto("secretsmanager").create_secret(Name="binary", SecretBinary=b"made-up-bytes")
    with pytest.raises(ServiceError, match="aws_secret binary is empty or binary") as error:
        get(moto_url, aws_secret="binary")
    assert "made-up" not in str(error.value)


def test_a_place_outside_of_aws_is_refused(moto_url):
    with pytest.raises(ServiceError, match="not kept in AWS"):
        get(moto_url, env="TOKEN")


def test_a_policy_that_misses_the_right_is_told(faulty):
    faulty.misbehave(Fault(400, body='{"__type": "AccessDeniedException", "message": "no"}'))
    with pytest.raises(ServiceError, match="IAM policy misses ssm:GetParameter"):
        get(faulty.url, aws_ssm="/oncall/token")


def test_no_answer_in_time_is_an_error_and_not_a_wait(faulty):
    faulty.misbehave(Fault(0, delay_s=1.5, times=-1))
    with pytest.raises(ServiceError) as error:
        get(faulty.url, timeout_s=0.2, aws_ssm="/oncall/token")
    assert error.value.reason is Reason.TIMEOUT


def test_without_credentials_it_is_said(faulty, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(ServiceError, match="no AWS credentials"):
        get(faulty.url, aws_ssm="/oncall/token")


@pytest.fixture
def vault():
    yield open_cloud_vault
    close_vault()


def test_a_reference_of_the_configuration_is_fetched_once_and_named_when_it_cannot_be(boto, moto_url, vault):
    boto("ssm").put_parameter(Name="/oncall/key", Value="made-up-key", Type="SecureString")
    config = parse({"aws": {"region": REGION, "endpoint_url": moto_url}}, path="config.yaml")
    vault(config)
    assert SecretReference(aws_ssm="/oncall/key").resolve().reveal() == "made-up-key"
    boto("ssm").delete_parameter(Name="/oncall/key")
    assert SecretReference(aws_ssm="/oncall/key").resolve().reveal() == "made-up-key"
    with pytest.raises(ValueError, match="not found"):
        SecretReference(aws_ssm="/oncall/none").resolve()
