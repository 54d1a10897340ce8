"""A pod's own streams: its log, and commands that run in it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from flask import Request, Response
from werkzeug.datastructures import Headers

from agent.simulators.kubernetes.errors import ApiError, bad_request
from agent.simulators.kubernetes.exec import (
    Ask,
    Channels,
    ContainerPrograms,
    ExecResponse,
    Execution,
    Session,
    subprotocol,
)
from agent.simulators.kubernetes.objects import PODS, Object, name_of, namespace_of
from agent.simulators.kubernetes.selectors import label_selector
from agent.simulators.kubernetes.state import KubernetesState
from agent.simulators.kubernetes.verbs import Place


@dataclass(frozen=True, slots=True)
class Chosen:
    """The containers that something was declared for; an empty container name means all."""

    namespace: str
    selector: str = ""
    pod: str = ""
    container: str = ""

    def concerns(self, pod: Object, container: str) -> bool:
        """Whether this container is meant."""
        return (
            namespace_of(pod) == self.namespace
            and self.pod in {"", name_of(pod)}
            and self.container in {"", container}
            and label_selector(self.selector)(pod)
        )


class PodStreams:
    """Logs as they were set, and exec with the programs that were declared; the latest word counts."""

    def __init__(self, state: KubernetesState) -> None:
        self._state = state
        self._lock = threading.Lock()
        self._programs: list[tuple[Chosen, ContainerPrograms]] = []
        self._logs: list[tuple[Chosen, bool, str]] = []
        self._executions: list[Execution] = []

    def declare(self, chosen: Chosen, programs: ContainerPrograms) -> None:
        """These containers have these programs from now on."""
        with self._lock:
            self._programs.insert(0, (chosen, programs))

    def set_log(self, chosen: Chosen, text: str, *, previous: bool = False) -> None:
        """These containers have written this."""
        with self._lock:
            self._logs.insert(0, (chosen, previous, text))

    def executions(self) -> list[Execution]:
        """What ran in pods and has ended, oldest first."""
        with self._lock:
            return list(self._executions)

    def log(self, place: Place, query: Mapping[str, str]) -> str:
        """The text that `kubectl logs` shows."""
        pod = self._state.get(PODS, place.namespace, place.name)
        container = _container(pod, query.get("container", ""))
        previous = query.get("previous") in {"1", "true"}
        with self._lock:
            text = next(
                (
                    text
                    for chosen, old, text in self._logs
                    if old == previous and chosen.concerns(pod, container)
                ),
                None,
            )
        if text is None and previous:
            raise bad_request(f'previous terminated container "{container}" in pod "{place.name}" not found')
        return _cut(text or "", query)

    def open(self, place: Place, request: Request) -> Response:
        """Exec: the answer that takes the connection over."""
        pod = self._state.get(PODS, place.namespace, place.name)
        if place.subresource != "exec":
            raise bad_request(f"this server does not do {place.subresource}; exec works")
        container = _container(pod, request.args.get("container", ""))
        if pod["status"].get("phase") != "Running":
            raise _not_running(pod)
        ask, protocol = Ask.of(request), subprotocol(request)
        programs, headers = self._programs_of(pod, container), Headers(request.headers)

        def record(code: int | None) -> None:
            with self._lock:
                ran = Execution(place.namespace, place.name, container, ask.argv, code)
                self._executions.append(ran)

        def take_over(connection: socket.socket) -> None:
            channels = Channels(connection, headers, protocol)
            Session(channels, ask, programs, stopped=lambda: self._state.closed).run(record)

        return ExecResponse(take_over)

    def _programs_of(self, pod: Object, container: str) -> ContainerPrograms:
        with self._lock:
            found = (programs for chosen, programs in self._programs if chosen.concerns(pod, container))
            return next(found, ContainerPrograms())


def _not_running(pod: Object) -> ApiError:
    phase = pod["status"].get("phase", "Unknown")
    message = f"cannot exec into a container in a pod that is not running; current phase is {phase}"
    return ApiError(400, "BadRequest", message)


def _container(pod: Object, asked: str) -> str:
    names = [each["name"] for each in pod["spec"].get("containers") or []]
    if not asked:
        return names[0] if names else ""
    if asked not in names:
        raise bad_request(f"container {asked} is not valid for pod {name_of(pod)}")
    return asked


def _cut(text: str, query: Mapping[str, str]) -> str:
    if query.get("tailLines", "").isdigit():
        lines = text.splitlines(keepends=True)
        text = "".join(lines[max(0, len(lines) - int(query["tailLines"])) :])
    if query.get("limitBytes", "").isdigit():
        text = text.encode()[: int(query["limitBytes"])].decode("utf-8", "ignore")
    return text
