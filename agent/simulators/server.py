"""The ground of every simulator: a real HTTP server on loopback that records what arrives and can misbehave.

A simulated vendor is a Flask app; this serves it, keeps every request, and answers scripted faults
in front of it: a status, a delay, a Retry-After, or a closed connection.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Self

from flask import Flask, Response, jsonify, request
from werkzeug.serving import WSGIRequestHandler, make_server


@dataclass(frozen=True, slots=True)
class Recorded:
    """One request as it arrived, and the status that was answered."""

    at: float
    method: str
    path: str
    headers: Mapping[str, str]
    body: str
    status: int
    query: str = ""


@dataclass(slots=True)
class Fault:
    """Misbehave for requests whose path starts with `path`, `times` times (-1: until cleared).

    A status of 0 does not answer but goes on to the app after `delay_s`; -1 closes the connection
    without an answer. `method` narrows it to one HTTP method: writes may fail while looks are answered.
    """

    status: int
    path: str = "/"
    times: int = 1
    delay_s: float = 0.0
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = ""

    def is_for(self, method: str, path: str) -> bool:
        """Whether it is about this request."""
        return path.startswith(self.path) and self.method in ("", method)


class Simulator:
    """Serves one simulated vendor on loopback; `with Simulator(app) as sim: sim.url`."""

    def __init__(self, app: Flask, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._lock = threading.Lock()
        self._requests: list[Recorded] = []
        self._faults: list[Fault] = []
        self._install(app)
        self._server = make_server(host, port, app, threaded=True, request_handler=_QuietHandler)
        self._server.daemon_threads = True  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self.url = f"http://{host}:{self._server.server_port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering and close the port."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join(timeout=5)
        self._server.server_close()

    def requests(self, path_prefix: str = "/") -> list[Recorded]:
        """What arrived so far, oldest first."""
        with self._lock:
            return [each for each in self._requests if each.path.startswith(path_prefix)]

    def misbehave(self, *faults: Fault) -> None:
        """Answer with these faults, in order, before the app is asked."""
        with self._lock:
            self._faults.extend(faults)

    def behave(self) -> None:
        """Forget every scripted fault."""
        with self._lock:
            self._faults.clear()

    def _take_fault(self, method: str, path: str) -> Fault | None:
        with self._lock:
            for fault in self._faults:
                if fault.is_for(method, path):
                    if fault.times > 0:
                        fault.times -= 1
                        if fault.times == 0:
                            self._faults.remove(fault)
                    return fault
        return None

    def _install(self, app: Flask) -> None:
        @app.before_request
        def fault_first() -> Response | None:
            if request.path.startswith("/_sim/"):
                return None
            fault = self._take_fault(request.method, request.path)
            return None if fault is None else _misbehaviour(fault)

        @app.after_request
        def record(response: Response) -> Response:
            if not request.path.startswith("/_sim/"):
                with self._lock:
                    self._requests.append(
                        Recorded(
                            at=time.time(),
                            method=request.method,
                            path=request.path,
                            headers=dict(request.headers),
                            body=request.get_data(as_text=True),
                            status=response.status_code,
                            query=request.query_string.decode("latin-1"),
                        )
                    )
            return response

        @app.get("/_sim/requests")
        def recorded() -> Response:
            return jsonify([asdict(each) for each in self.requests()])

        @app.post("/_sim/faults")
        def script_faults() -> Response:
            self.misbehave(*(Fault(**each) for each in request.get_json()))
            return jsonify({"ok": True})

        @app.delete("/_sim/faults")
        def clear_faults() -> Response:
            self.behave()
            return jsonify({"ok": True})


def _misbehaviour(fault: Fault) -> Response | None:
    time.sleep(fault.delay_s)
    if fault.status == 0:
        return None
    if fault.status < 0:
        request.get_data()  # it is recorded whole, although its sender will not know
        request.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        return Response(status=500)
    return Response(fault.body, status=fault.status, headers=dict(fault.headers))


class _QuietHandler(WSGIRequestHandler):
    """The recording is the log."""

    def log(self, type: str, message: str, *args: object) -> None:  # noqa: ARG002  (werkzeug's signature)
        logging.getLogger("agent.simulators").debug(message, *args)
