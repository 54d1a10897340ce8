"""The one way to AWS: each request is sent once, bounded in time, and its error told in words."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import boto3
from botocore import exceptions as boto
from botocore.client import BaseClient
from botocore.config import Config
from botocore.parsers import ResponseParserError

from agent.domain.errors import Reason, ServiceError

_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized"})
_NOT_SIGNED_IN = frozenset(
    {
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "ExpiredToken",
        "ExpiredTokenException",
        "SignatureDoesNotMatch",
        "AuthFailure",
    }
)
_THROTTLED = frozenset(
    {"Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException"}
)
_MISSING = ("NotFound", "NotFoundFault", "DoesNotExist", "NotFoundException")
#: The connection was never made, so nothing was sent.
_UNREACHABLE = (
    boto.EndpointConnectionError,
    boto.ConnectTimeoutError,
    boto.ProxyConnectionError,
    boto.SSLError,
)
#: Sent, and no answer that can be understood.
_NO_ANSWER = (boto.HTTPClientError, boto.ConnectionClosedError)
_SAID = 300


class AwsApi:
    """AWS as our credentials see it; clients are made once for each service and region."""

    def __init__(self, *, region: str | None = None, endpoint_url: str | None, timeout_s: float) -> None:
        self._region = region
        self._endpoint_url = endpoint_url
        # "total_max_attempts" counts the first request too, unlike "max_attempts"
        # (botocore.config.Config): a change must never be sent twice behind our back.
        self._settings = Config(
            connect_timeout=timeout_s,
            read_timeout=timeout_s,
            retries={"total_max_attempts": 1, "mode": "standard"},
        )
        self._clients: dict[tuple[str, str], BaseClient] = {}
        self._lock = threading.Lock()

    def call(
        self, service: str, operation: str, /, *, region: str = "", **parameters: object
    ) -> Mapping[str, Any]:
        """Send one request (`operation` in boto3's spelling); ServiceError in words if it was not done."""
        try:
            client = self._client(service, region)
            answer: Mapping[str, Any] = getattr(client, operation)(**parameters)
        except boto.ClientError as error:
            raise _answered(error, service) from error
        except (boto.BotoCoreError, ResponseParserError) as error:
            raise _not_answered(error, f"{service} {operation}") from error
        return answer

    def _client(self, service: str, region: str) -> BaseClient:
        where = region or self._region or ""
        with self._lock:
            if (service, where) not in self._clients:
                # the stubs know services by literal names only
                session: Any = boto3.session.Session()
                self._clients[service, where] = session.client(
                    service,
                    region_name=where or None,
                    endpoint_url=self._endpoint_url,
                    config=self._settings,
                )
            return self._clients[service, where]


def request_id(answer: Mapping[str, Any]) -> str:
    """AWS's own id of the request, to be looked up in CloudTrail."""
    return str(answer.get("ResponseMetadata", {}).get("RequestId", ""))


def is_dry_run_success(error: ServiceError) -> bool:
    """Whether a request with DryRun would have been done: EC2 says so by an error of its own.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/CommonParameters.html
    """
    return isinstance(error.__cause__, boto.ClientError) and code_of(error) == "DryRunOperation"


def code_of(error: ServiceError) -> str:
    """AWS's code of the error, or "" if AWS did not answer."""
    cause = error.__cause__
    return str(cause.response.get("Error", {}).get("Code", "")) if isinstance(cause, boto.ClientError) else ""


def _answered(error: boto.ClientError, service: str) -> ServiceError:
    # taking a role may fail before the request itself
    asked = "sts" if error.operation_name.startswith("AssumeRole") else service
    action = f"{asked}:{error.operation_name}"
    code = str(error.response.get("Error", {}).get("Code", ""))
    said = str(error.response.get("Error", {}).get("Message", ""))[:_SAID]
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _DENIED:
        return _error(Reason.AUTH, f"the IAM policy misses {action}: {said}")
    if code in _NOT_SIGNED_IN:
        return _error(Reason.AUTH, f"the credentials are not accepted ({code}): {said}")
    if code in _THROTTLED or status == 429:
        return _error(Reason.RATE_LIMITED, f"{action} was throttled ({code})", retryable=True)
    if status >= 500:
        return _error(Reason.SERVER_ERROR, f"{action} was answered {status} ({code}): {said}", retryable=True)
    reason = Reason.NOT_FOUND if code.endswith(_MISSING) else Reason.REJECTED
    return _error(reason, f"{action} was refused ({code}): {said}")


def _not_answered(error: Exception, action: str) -> ServiceError:
    if isinstance(error, _UNREACHABLE):
        return _error(Reason.UNREACHABLE, f"{action} could not be sent: {error}", retryable=True)
    if isinstance(error, ResponseParserError):
        return _error(Reason.BAD_ANSWER, f"the answer to {action} is not understood: {error}")
    if isinstance(error, _NO_ANSWER):
        return _error(Reason.TIMEOUT, f"{action} was sent and not answered: {error}", retryable=True)
    if isinstance(
        error, boto.NoCredentialsError | boto.PartialCredentialsError | boto.CredentialRetrievalError
    ):
        return _error(Reason.AUTH, f"there are no AWS credentials for {action}: {error}")
    # all else is found out before anything is sent: parameters, region, profile
    return _error(Reason.REJECTED, f"{action} was not sent: {error}")


def _error(reason: Reason, words: str, *, retryable: bool = False) -> ServiceError:
    return ServiceError("AWS", reason, words, retryable=retryable)
