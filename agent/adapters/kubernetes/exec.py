"""Runs one argv in a pod over a WebSocket, without a shell; bounded in time and size.

The vendor's own stream has no timeout for the handshake, follows redirects with our token and wants keys as
files; so the connection is made here, and only the frames are left to its WebSocket library.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import websocket

from agent.adapters.kubernetes.client import KubernetesApi, answered
from agent.adapters.kubernetes.credentials import ClusterCredentials
from agent.adapters.kubernetes.objects import Pod
from agent.adapters.live_job import Job, OutcomeUnknownError, still_running
from agent.adapters.patience import addresses_of, ending_after, watched
from agent.domain.access import ClusterRight
from agent.domain.errors import Reason, ServiceError
from agent.ports import CommandResult

#: Channel 0 stdin, 1 stdout, 2 stderr, 3 the exit status as a Status object (k8s.io/kubelet remotecommand).
_PROTOCOL = "v4.channel.k8s.io"
_STDOUT, _STDERR, _STATUS = 1, 2, 3
_CONNECT_S = 5.0
_LOOK_S = 0.2
_KEPT = 64 * 1024
_MOST_STATUS = 64 * 1024


@dataclass(slots=True)
class _Kept:
    """Head and tail of an output; what is between is counted."""

    head: bytearray = field(default_factory=bytearray)
    tail: bytearray = field(default_factory=bytearray)
    left_out: int = 0

    def add(self, data: bytes) -> None:
        room = max(0, _KEPT // 2 - len(self.head))
        self.head += data[:room]
        self.tail += data[room:]
        over = max(0, len(self.tail) - _KEPT // 2)
        self.left_out += over
        del self.tail[:over]

    def text(self) -> str:
        head, tail = (bytes(part).decode("utf-8", errors="replace") for part in (self.head, self.tail))
        return f"{head}\n… {self.left_out} bytes left out …\n{tail}" if self.left_out else head + tail


def run_in_pod(
    api: KubernetesApi, job: Job, pod: Pod, *, container: str, words: Sequence[str]
) -> CommandResult:
    """Run exactly these words; what they print is stdout and stderr, as they ended is the exit code."""
    right = ClusterRight("create", "pods", subresource="exec", namespace=pod.namespace, name=pod.name)
    if (ended := job.ended()) is not None:
        return ended
    stream = _open(api, right, container=container, words=words)
    job.has_sent = True
    try:
        return _followed(stream, job, f"{words[0]} in the pod {pod.name}")
    except (websocket.WebSocketException, OSError) as error:
        problem = _error(Reason.TIMEOUT, f"the connection to the pod {pod.name} broke: {error}")
        raise OutcomeUnknownError(problem) from error
    finally:
        stream.shutdown()


def _followed(stream: Any, job: Job, what: str) -> CommandResult:
    outputs = {_STDOUT: _Kept(), _STDERR: _Kept()}
    status = bytearray()
    stream.settimeout(_LOOK_S)
    next_look = job.clock.monotonic()
    while True:
        if job.clock.monotonic() >= next_look:
            next_look = job.clock.monotonic() + _LOOK_S
            if (ended := job.ended()) is not None:
                return _with_output(still_running(ended, what), outputs)
        try:
            opcode, frame = stream.recv_data()
        except websocket.WebSocketTimeoutException:
            continue
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            break
        channel, data = (frame[0], bytes(frame[1:])) if frame else (-1, b"")
        if channel in outputs:
            outputs[channel].add(data)
        elif channel == _STATUS and len(status) < _MOST_STATUS:
            status += data
    return _with_output(_result(bytes(status), what), outputs)


def _open(api: KubernetesApi, right: ClusterRight, *, container: str, words: Sequence[str]) -> Any:
    """Ask for the command; from the first byte on, only an answer can say that it was not started."""
    place = f"/api/v1/namespaces/{quote(right.namespace)}/pods/{quote(right.name)}/exec"
    asked = [("container", container), ("stdout", "true"), ("stderr", "true")]
    query = urlencode([*asked, *(("command", word) for word in words)])
    url = f"ws{api.credentials.server.removeprefix('http')}{place}?{query}"
    headers = [f"Authorization: Bearer {token}"] if (token := api.token()) else []
    stream: Any = websocket.WebSocket(enable_multithread=False)
    connection = _connect(api.credentials)
    try:
        with ending_after(_CONNECT_S):  # the library bounds each read of the handshake, not their sum
            watched(connection)
            stream.connect(
                url,
                socket=connection,
                header=headers,
                subprotocols=[_PROTOCOL],
                timeout=_CONNECT_S,
                redirect_limit=0,
            )
    except websocket.WebSocketBadStatusException as error:
        connection.close()
        refused = answered(error.status_code, _text(error.resp_body), right)
        raise (OutcomeUnknownError(refused) if error.status_code >= 500 else refused) from error
    except (websocket.WebSocketException, OSError) as error:
        connection.close()
        raise OutcomeUnknownError(_error(Reason.TIMEOUT, f"the exec was not answered: {error}")) from error
    return stream


def _connect(credentials: ClusterCredentials) -> socket.socket:
    parts = urlsplit(credentials.server)
    host, tls = parts.hostname or "", credentials.tls()
    port = parts.port or (443 if tls else 80)
    try:
        addresses_of(host, port, timeout_s=_CONNECT_S)  # in bounded time; asked again it is known
        plain = socket.create_connection((host, port), timeout=_CONNECT_S)
        return tls.wrap_socket(plain, server_hostname=credentials.server_name or host) if tls else plain
    except OSError as error:
        raise _error(Reason.UNREACHABLE, f"the API server cannot be reached: {error}") from error


def _result(status: bytes, what: str) -> CommandResult:
    """The exit code out of the final Status; without one nobody knows how it ended."""
    try:
        answer = json.loads(status)
        if answer.get("status") == "Success":
            return CommandResult(0)
        causes = answer.get("details", {}).get("causes", [])
        codes = [int(each["message"]) for each in causes if each.get("reason") == "ExitCode"]
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise OutcomeUnknownError(
            _error(Reason.BAD_ANSWER, f"the connection ended before {what} told its exit code")
        ) from error
    if codes:
        return CommandResult(codes[0])
    words = f"{what} could not be run: {answer.get('message', 'no reason given')}"
    return CommandResult(1, problem=words)


def _with_output(result: CommandResult, outputs: dict[int, _Kept]) -> CommandResult:
    stderr = outputs[_STDERR].text() or result.problem
    return replace(result, stdout=outputs[_STDOUT].text(), stderr=stderr)


def _text(body: object) -> str:
    return body.decode("utf-8", errors="replace") if isinstance(body, bytes) else ""


def _error(reason: Reason, words: str) -> ServiceError:
    return ServiceError("Kubernetes", reason, words, retryable=False)
