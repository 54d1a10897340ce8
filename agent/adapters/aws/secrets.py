"""Secrets that are kept in AWS: `{aws_ssm: NAME}` and `{aws_secret: NAME}` of the configuration."""

from __future__ import annotations

from agent.adapters.aws.client import AwsApi
from agent.config.secrets import SecretReference
from agent.domain.errors import Reason, ServiceError


def fetch(
    reference: SecretReference, *, region: str | None, endpoint_url: str | None, timeout_s: float
) -> str:
    """The value behind a reference; ServiceError in words, never with the value, if it cannot be had."""
    api = AwsApi(region=region, endpoint_url=endpoint_url, timeout_s=timeout_s)
    if reference.aws_ssm is not None:
        answer = api.call("ssm", "get_parameter", Name=reference.aws_ssm, WithDecryption=True)
        value = answer.get("Parameter", {}).get("Value", "")
    elif reference.aws_secret is not None:
        answer = api.call("secretsmanager", "get_secret_value", SecretId=reference.aws_secret)
        value = answer.get("SecretString", "")
    else:
        raise _problem(reference, "is not kept in AWS; name aws_ssm or aws_secret")
    if not isinstance(value, str) or not value.strip():
        raise _problem(reference, "is empty or binary; keep it as text")
    return value.strip()


def _problem(reference: SecretReference, words: str) -> ServiceError:
    return ServiceError("AWS", Reason.REJECTED, f"{reference.place()} {words}", retryable=False)
