"""The one way to the Kubernetes API: each request is sent once, bounded in time and size, its error in words.

What is asked for is a ClusterRight, the same value that preflight and the least Role are made of, so that a
request and the right that it needs cannot differ.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import urllib3
from kubernetes import client as vendor
from urllib3 import exceptions as http

from agent.adapters.exchange import why_not_reached
from agent.adapters.kubernetes.credentials import ClusterCredentials
from agent.adapters.patience import addresses_of, ending_after, time_left_s, watched
from agent.domain.access import ClusterRight
from agent.domain.errors import Reason, ServiceError

DEFAULT_TIMEOUT_S = 5.0
#: More than the largest list of pods that can be counted in time.
MAX_ANSWER = 64 * 1024 * 1024
_CHUNK = 64 * 1024
_SAID = 300
_APIS = {
    "": vendor.CoreV1Api,
    "apps": vendor.AppsV1Api,
    "authorization.k8s.io": vendor.AuthorizationV1Api,
}
_NOUNS = {
    "deployments": "deployment",
    "statefulsets": "stateful_set",
    "daemonsets": "daemon_set",
    "replicasets": "replica_set",
    "pods": "pod",
    "nodes": "node",
    "selfsubjectaccessreviews": "self_subject_access_review",
}
_VERBS = {
    "get": "read",
    "list": "list",
    "create": "create",
    "patch": "patch",
    "update": "replace",
    "delete": "delete",
}
#: Fails before a byte of the request is sent.
_UNREACHABLE = (
    http.NewConnectionError,
    http.ConnectTimeoutError,
    http.NameResolutionError,
    http.SSLError,
)


class KubernetesApi:
    """The cluster as our credentials see it. Safe for several threads."""

    def __init__(self, credentials: ClusterCredentials, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        self.credentials = credentials
        self._timeout_s = timeout_s
        configuration = vendor.Configuration(host=credentials.server)
        self._vendor = vendor.ApiClient(configuration)
        self._vendor.rest_client.pool_manager = _connections(credentials)

    def call(
        self, right: ClusterRight, *, timeout_s: float | None = None, **options: object
    ) -> Mapping[str, Any]:
        """Do what the right allows, once; ServiceError in words if it was not done."""
        text = self.text(right, timeout_s=timeout_s, **options)
        try:
            answer = json.loads(text)
        except ValueError as error:
            raise _error(Reason.BAD_ANSWER, f"the answer to {in_words(right)} is not JSON") from error
        if not (isinstance(answer, dict) and isinstance(answer.get("kind"), str)):
            raise _error(Reason.BAD_ANSWER, f"the answer to {in_words(right)} is no object of Kubernetes")
        return answer

    def text(self, right: ClusterRight, *, timeout_s: float | None = None, **options: object) -> str:
        """The same, with the answer as it came."""
        limit_s = timeout_s or self._timeout_s
        self._sign()
        with ending_after(limit_s) as ending:
            try:
                text = self._asked(right, limit_s, options)
            except vendor.ApiException as error:
                raise _refused(error, right) from error
            except _UNREACHABLE as error:
                words = f"{in_words(right)} could not be sent: {_why(error)}"
                raise _error(Reason.UNREACHABLE, words, retryable=True) from error
            except http.HTTPError as error:
                if ending.is_over or isinstance(error, http.ReadTimeoutError):
                    raise _too_late(right, limit_s) from error
                words = f"{in_words(right)} was sent, and its connection broke before the answer was whole"
                raise _error(Reason.TIMEOUT, words, retryable=True) from error
        if ending.is_over:  # what was read of a connection that we cut is no answer
            raise _too_late(right, limit_s)
        return text

    def _asked(self, right: ClusterRight, limit_s: float, options: Mapping[str, object]) -> str:
        where = {key: value for key, value in _place(right).items() if value}
        method = getattr(_APIS[right.group](self._vendor), _method(right))
        # a pair: older versions of the client take a single fraction for no timeout at all
        patience = (limit_s, limit_s)
        return _body(method(**where, **options, _preload_content=False, _request_timeout=patience))

    def token(self) -> str:
        """Our bearer token as it is now, or ""."""
        try:
            return self.credentials.token()
        except OSError as error:
            raise _error(Reason.AUTH, f"the token cannot be read: {error}") from error

    def _sign(self) -> None:
        """A ServiceAccount's token is renewed in its file: it is read for every request."""
        if token := self.token():
            self._vendor.configuration.api_key["authorization"] = f"Bearer {token}"


class _Patient(urllib3.connection.HTTPConnection):
    """A connection that gives up, and lets itself be cut, when its time is over."""

    def connect(self) -> None:
        """Look the name up first, in bounded time; the library asks again and is told at once."""
        try:
            addresses_of(self.host, self.port, timeout_s=time_left_s())
        except TimeoutError as error:
            raise http.ConnectTimeoutError(self, "its name was not looked up in time") from error
        except (OSError, UnicodeError) as error:
            raise http.NewConnectionError(self, "its name was not found") from error
        super().connect()

    def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]
        """The head of the answer; its body is read from the same connection."""
        watched(self.sock)
        return super().getresponse()


class _PatientTls(_Patient, urllib3.connection.HTTPSConnection):
    pass


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Patient


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _PatientTls


def _connections(credentials: ClusterCredentials) -> urllib3.PoolManager:
    """No retries, no redirects and no proxy: the vendor's own pool would repeat what it cannot know.

    Certificates stay in memory; the vendor's own pool wants them as files.
    """
    # a number would make urllib3 wrap the cause; False tells it as it is, and does not follow redirects
    tls = credentials.tls()
    if tls is None:
        manager = urllib3.PoolManager(retries=False)
    elif credentials.server_name:
        name = credentials.server_name
        manager = urllib3.PoolManager(
            retries=False, ssl_context=tls, server_hostname=name, assert_hostname=name
        )
    else:
        manager = urllib3.PoolManager(retries=False, ssl_context=tls)
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
    return manager


def _place(right: ClusterRight) -> dict[str, str]:
    return {"namespace": right.namespace if right.namespace != "*" else "", "name": right.name}


def _method(right: ClusterRight) -> str:
    """The vendor's method: `patch` of `deployments/scale` is `patch_namespaced_deployment_scale`."""
    noun = _NOUNS[right.resource]
    if right.namespace == "*":
        return f"{_VERBS[right.verb]}_{noun}_for_all_namespaces"
    scope = "namespaced_" if right.namespace else ""
    below = f"_{right.subresource}" if right.subresource else ""
    return f"{_VERBS[right.verb]}_{scope}{noun}{below}"


def _body(answer: urllib3.HTTPResponse) -> str:
    parts: list[bytes] = []
    size = 0
    try:
        # read1 gives what has arrived: read would wait for a whole chunk, however slowly it drips
        while part := answer.read1(_CHUNK):
            parts.append(part)
            size += len(part)
            if size > MAX_ANSWER:
                raise _error(Reason.BAD_ANSWER, f"an answer is larger than {MAX_ANSWER} bytes")
    finally:
        answer.close()
    return b"".join(parts).decode("utf-8", errors="replace")


def in_words(right: ClusterRight) -> str:
    """A right as people say it: `patch on deployments.apps/scale in production`."""
    group = f".{right.group}" if right.group else ""
    below = f"/{right.subresource}" if right.subresource else ""
    where = {"": "", "*": " in all namespaces"}.get(right.namespace, f" in {right.namespace}")
    name = f" {right.name}" if right.name else ""
    return f"{right.verb} on {right.resource}{group}{below}{name}{where}"


def missing_right(right: ClusterRight) -> str:
    """What to add to the agent's Role."""
    role = "Role" if right.namespace not in ("", "*") else "ClusterRole"
    any_name = ClusterRight(right.verb, right.resource, right.group, right.subresource, right.namespace)
    return f"your {role} misses {in_words(any_name)}"


def answered(
    status: int, body: str, right: ClusterRight, *, retry_after_s: float | None = None
) -> ServiceError:
    """What the API said when it did not do what was asked, in words that say what to mend."""
    words = in_words(right)
    said = f": {_said(body)}" if _said(body) else ""
    if status == 401:
        return _error(Reason.AUTH, f"the credentials are not accepted ({words}){said}")
    if status == 403:
        return _error(Reason.AUTH, f"{missing_right(right)}{said}")
    if status == 404:
        return _error(Reason.NOT_FOUND, f"{words}: there is none{said}")
    if status == 429:
        message = f"{words} is not allowed now{said}"
        return ServiceError(
            "Kubernetes", Reason.RATE_LIMITED, message, retryable=True, retry_after_s=retry_after_s
        )
    if status >= 500:
        return _error(Reason.SERVER_ERROR, f"{words} was answered {status}{said}", retryable=True)
    return _error(Reason.REJECTED, f"{words} was refused ({status}){said}", retryable=status == 409)


def _refused(error: vendor.ApiException, right: ClusterRight) -> ServiceError:
    if not error.status:  # the vendor's way to tell that TLS failed
        why = why_not_reached(error.__context__)
        return _error(Reason.UNREACHABLE, f"{in_words(right)} could not be sent: {why}", retryable=True)
    return answered(int(error.status), error.body or "", right, retry_after_s=_retry_after(error))


def is_conflict(error: ServiceError) -> bool:
    """Whether the object had changed since it was read, so that nothing was written."""
    return isinstance(error.__cause__, vendor.ApiException) and error.__cause__.status == 409


def _said(body: str) -> str:
    try:
        message = json.loads(body or "{}").get("message", "")
    except (ValueError, AttributeError):
        return ""
    return str(message)[:_SAID]


def _retry_after(error: vendor.ApiException) -> float | None:
    text = str((error.headers or {}).get("Retry-After", ""))
    return float(text) if text.isdecimal() else None


def _why(error: http.HTTPError) -> str:
    if isinstance(error, http.ConnectTimeoutError) and not isinstance(error, http.NewConnectionError):
        return "the server does not answer"
    return why_not_reached(error)


def _too_late(right: ClusterRight, limit_s: float) -> ServiceError:
    words = f"{in_words(right)} was sent and not answered within {limit_s:g} s"
    return _error(Reason.TIMEOUT, words, retryable=True)


def _error(reason: Reason, words: str, *, retryable: bool = False) -> ServiceError:
    return ServiceError("Kubernetes", reason, words, retryable=retryable)
