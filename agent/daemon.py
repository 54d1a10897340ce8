"""The daemon: start, recovery, schedules, graceful stop."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
import waitress.server
from flask import Flask

from agent.adapters.audit_log import AuditLog
from agent.adapters.store import Store
from agent.delivery.desk import DeskSender
from agent.delivery.sending import Sender
from agent.dispatcher import Dispatcher
from agent.domain.errors import AgentError, ListenError
from agent.durable import Durable
from agent.pipeline.context import Context
from agent.watchdog import Watchdog

log = structlog.get_logger()

#: PagerDuty drops webhooks above 256 KiB (webhooks, "Behavior"); other sources send no more.
MAX_BODY_BYTES = 1 << 20

#: Slow clients must not keep webhooks and health checks out.
_MAX_CONNECTIONS = 1_000
_IDLE_CONNECTION_S = 15

#: How long a graceful stop waits for running attempts; Kubernetes kills after 30 s by default.
_GRACE_S = 15.0

#: A schedule that breaks this often in a row in ways nobody foresaw ends the process: a restart is safe.
_MAX_SURPRISES = 5

#: Without these nothing is worked on and nobody would notice; the others are told and tried again.
_VITAL = frozenset({"dispatcher", "watchdog", "send-pager"})

_LONGEST_PAUSE_S = 30.0


@dataclass
class Wakeup:
    """Lets an accepted webhook start its incident at once."""

    event: threading.Event = field(default_factory=threading.Event)

    def notify(self) -> None:
        """Something was accepted."""
        self.event.set()


_Server = waitress.server.MultiSocketServer | waitress.server.BaseWSGIServer


def _port_of(server: _Server) -> int:
    """The port really listened on; a name such as localhost may stand for two sockets."""
    if isinstance(server, waitress.server.MultiSocketServer):
        return int(server.effective_listen[0][1])
    if server.socket is None:
        raise RuntimeError("the web server has no socket")
    return int(server.socket.getsockname()[1])


@dataclass
class Daemon:
    """All parts of a running agent, as the wiring built them."""

    context: Context
    store: Store
    durable: Durable
    dispatcher: Dispatcher
    watchdog: Watchdog
    senders: tuple[Sender, ...]
    audit_log: AuditLog
    app: Flask
    wakeup: Wakeup
    ready: threading.Event
    _stopping: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _server: _Server | None = None

    def start(self) -> str:
        """Take up work where it was left, then listen; gives the URL.

        First the executor's lock, then the port: what is taken is told before anything is touched.
        """
        self.durable.lock()
        listening = self._bind()
        self._prepare()
        self.durable.launch()
        self._schedule("dispatcher", self._dispatch, wakeup=self.wakeup.event, every_s=1.0)
        for sender in self.senders:
            self._schedule(f"send-{sender.channel}", sender.deliver, every_s=0.2)
            if isinstance(sender, DeskSender):
                self._schedule("introduce", sender.introduce, every_s=60.0)
        self._schedule("audit-log", self._write_audit_log, every_s=0.5)
        self._schedule("watchdog", self.watchdog.tick, every_s=5.0)
        if self.context.config.runbooks.reload:
            self._schedule("reload", self._reload, every_s=2.0)
        return self._listen(listening)

    def _prepare(self) -> None:
        """Bring the tables up to date and end what a killed daemon left running."""
        self.store.migrate()
        self.context.sandbox.start()
        ended = self.context.sandbox.end_orphans(self.store.unfinished_markers())
        if ended:
            log.warning("orphans_ended", processes=ended)

    def run_until_signalled(self) -> None:
        """Serve until SIGTERM or SIGINT, then stop gracefully and end the process."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stopping.set())
        self._stopping.wait()
        self.stop()
        os._exit(0)

    def stop(self) -> None:
        """Take nothing new, let running attempts end, tell what there is to tell."""
        log.info("stopping")
        self.ready.clear()
        self._stopping.set()
        self.wakeup.notify()
        if self._server is not None:
            self._server.close()
        if not self.context.gate.close(grace_s=_GRACE_S):
            log.warning("attempts_cut_off", note="they are settled at the next start")
        for thread in self._threads:
            thread.join(timeout=6)
        self.audit_log.catch_up()
        self.durable.close()
        self.store.close()
        log.info("stopped")

    def _bind(self) -> _Server:
        server = self.context.config.server
        try:
            self._server = waitress.server.create_server(
                self.app,
                host=server.host,
                port=server.port,
                threads=16,
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
                f"cannot listen on {server.host}:{server.port}: {error.strerror or error}; "
                "stop what listens there, or set server.port"
            ) from error
        return self._server

    def _listen(self, listening: _Server) -> str:
        server = self.context.config.server
        # not waited for at the end: clients that keep their connection open would hold up the stop
        threading.Thread(target=listening.run, name="web", daemon=True).start()
        self.ready.set()
        url = f"http://{server.host}:{_port_of(listening)}"
        log.info("listening", url=url, runbooks=len(self.context.library.runbooks))
        return url

    def _dispatch(self) -> float:
        self.wakeup.event.clear()
        return self.dispatcher.tick()

    def _write_audit_log(self) -> float:
        self.audit_log.catch_up()
        return 0.0

    def _reload(self) -> float:
        self.context.library.reload()
        return 0.0

    def _schedule(
        self, name: str, tick: Callable[[], float], *, every_s: float, wakeup: threading.Event | None = None
    ) -> None:
        pause = wakeup or self._stopping
        self._start_thread(name, lambda: self._repeat(name, tick, every_s, pause))

    def _start_thread(self, name: str, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _repeat(self, name: str, tick: Callable[[], float], every_s: float, pause: threading.Event) -> None:
        surprises = 0
        while not self._stopping.is_set():
            try:
                wait_s = tick() or every_s
                surprises = 0
            except AgentError as error:
                log.warning("schedule_failed", schedule=name, error=str(error))
                wait_s = 1.0
            except Exception:  # a process boundary: told, tried again, and then the process ends
                surprises += 1
                log.exception("schedule_broke", schedule=name, in_a_row=surprises)
                if name in _VITAL and surprises >= _MAX_SURPRISES:
                    os._exit(70)
                wait_s = min(2.0**surprises, _LONGEST_PAUSE_S)
            pause.wait(wait_s)
