"""The web server: listens early, so that a taken port is told, and goes last, so that nobody is cut off."""

from __future__ import annotations

import sys
import threading

import structlog
import waitress.server
from flask import Flask
from waitress.task import ThreadedTaskDispatcher

from agent.domain.errors import ListenError
from agent.web.answering import Answering
from agent.web.connection import Channel
from agent.web.lane import Lane, WebhookDesk
from agent.web.lookout import Lookout

log = structlog.get_logger()

#: PagerDuty drops webhooks above 256 KiB (webhooks, "Behavior"); other sources send no more.
MAX_BODY_BYTES = 1 << 20

#: Slow clients must not keep webhooks and health checks out.
_MAX_CONNECTIONS = 1_000
_IDLE_CONNECTION_S = 15

#: As many webhooks are stored together at most. More would not answer sooner, for they share one interpreter
#: (measured with `python -m bench.accept`).
_THREADS = 16

#: A thread that waits for the interpreter is let in after this time, not after Python's own 5 ms: with many
#: connections each wait of 5 ms made the next ones longer. At 64 connections 311 webhooks/s became 679, and
#: p99 356 ms became 115 ms (`python -m bench.accept`).
_SWITCH_S = 0.0005

#: What clients get for their answers when it stops.
_ANSWER_S = 2.0

_Server = waitress.server.MultiSocketServer | waitress.server.BaseWSGIServer


class WebServer:
    """Serves the app from threads of its own; with a desk, webhooks go by a lane of theirs."""

    def __init__(self, app: Flask, *, host: str, port: int, desk: WebhookDesk | None = None) -> None:
        self._answering = Answering(app)
        self._lane = None if desk is None else Lane(desk, self._answering)
        self._host = host
        self._port = port
        self._server: _Server | None = None
        self._lookout = Lookout()

    def bind(self) -> None:
        """Take the address; ListenError if it is taken. Nobody is answered yet."""
        try:
            self._server = waitress.server.create_server(
                self._answering,
                map=self._lookout,
                _dispatcher=self._threads(),
                host=self._host,
                port=self._port,
                max_request_body_size=MAX_BODY_BYTES,
                # kept, so that the API sees that a proxy stands in front of it; nothing trusts them
                clear_untrusted_proxy_headers=False,
                connection_limit=_MAX_CONNECTIONS,
                channel_timeout=_IDLE_CONNECTION_S,
                cleanup_interval=5,
                ident=None,
            )
        except OSError as error:
            raise ListenError(
                f"cannot listen on {self._host}:{self._port}: {error.strerror or error}; "
                "stop what listens there, or set server.port"
            ) from error
        for each in self._lookout.values():
            if isinstance(each, waitress.server.BaseWSGIServer):  # one for each address of a name
                each.channel_class = Channel
                each.pull_trigger = self._lookout.waking(each.pull_trigger)  # type: ignore[method-assign]

    def _threads(self) -> ThreadedTaskDispatcher:
        threads = self._lane or ThreadedTaskDispatcher()
        threads.set_thread_count(_THREADS)
        return threads

    def listen(self) -> str:
        """Answer from now on; gives the URL."""
        if self._server is None:
            raise RuntimeError("the web server has no address yet")
        sys.setswitchinterval(_SWITCH_S)
        if self._lane is not None:
            self._lane.open()
        # not waited for at the end: clients that keep their connection open would hold up the stop
        threading.Thread(target=self._lookout.run, name="web", daemon=True).start()
        return f"http://{self._host}:{_port_of(self._server)}"

    def stop(self) -> None:
        """Only at the end: until then a webhook is answered 503, and sent again."""
        if self._server is None:
            return
        if not self._answering.wait_until_answered(at_most_s=_ANSWER_S):
            log.warning("answers_cut_off", note="what was stored and not answered is sent again, and known")
        self._server.close()
        if self._lane is not None:
            self._lane.close()


def _port_of(server: _Server) -> int:
    """The port really listened on; a name such as localhost may stand for two sockets."""
    if isinstance(server, waitress.server.MultiSocketServer):
        return int(server.effective_listen[0][1])
    if server.socket is None:
        raise RuntimeError("the web server has no socket")
    return int(server.socket.getsockname()[1])
