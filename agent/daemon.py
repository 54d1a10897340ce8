"""The daemon: start, recovery, schedules, graceful stop."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import dataclass, field

import structlog
from flask import Flask

from agent.adapters.archiver import Archiver
from agent.adapters.audit_log import AuditLog
from agent.adapters.bell import Bell
from agent.adapters.executor_lock import ExecutorLock
from agent.adapters.locks import Locks
from agent.adapters.meter import Meter
from agent.adapters.slack_socket import SlackSocket
from agent.adapters.sqlite_upkeep import shorten_log
from agent.adapters.store import Store
from agent.delivery.desk import DeskSender
from agent.delivery.sending import Sender
from agent.dispatcher import Dispatcher
from agent.domain.errors import AgentError
from agent.domain.executor import Role
from agent.durable import Durable
from agent.heartbeat import Heartbeat
from agent.pipeline.bypass_clock import BypassClock
from agent.pipeline.context import Context
from agent.pipeline.handed_in import HandedInDesk
from agent.pipeline.probing import Prober
from agent.pipeline.sla_clock import SlaClock
from agent.pipeline.stops import StopsClerk
from agent.pulse import Pulse
from agent.replicas import Duty, Presence, Reaper, WorkersSeen
from agent.schedules import Schedules, Tick
from agent.watchdog import Watchdog
from agent.web.lane import WebhookDesk
from agent.web.server import WebServer

log = structlog.get_logger()

#: Beyond its grace (server.stop_grace_s) a stop takes no longer; then the process ends as things stand.
_STOP_AT_MOST_S = 15.0

#: Of this, what senders and schedules get for what they are at.
_JOIN_S = 6.0

#: What came so soon after the last look is looked at together: in a storm each look costs as much as a third
#: of a run. A place that a run leaves is free for so long at most.
_TOGETHER_S = 0.04

#: A bell is listened to without a pause; this long at a time, so that a stop is noticed.
_LISTEN_S = 1.0


@dataclass
class Wakeup:
    """Lets an accepted webhook start its incident at once."""

    event: threading.Event = field(default_factory=threading.Event)

    def notify(self) -> None:
        """Something was accepted."""
        self.event.set()


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
    presence: Presence
    bell: Bell
    pulse: Pulse
    heartbeat: Heartbeat
    stops: StopsClerk
    sla: SlaClock
    prober: Prober
    role: Role = Role.ALL
    slack_socket: SlackSocket | None = None
    bypasses: BypassClock | None = None
    webhooks: WebhookDesk | None = None
    _stopping: threading.Event = field(default_factory=threading.Event)
    _leaving: threading.Event = field(default_factory=threading.Event)
    _server: WebServer = field(init=False)
    _locks: Locks | None = None
    _looked_at: float = float("-inf")
    _schedules: Schedules = field(init=False)

    def __post_init__(self) -> None:
        server = self.context.config.server
        self._server = WebServer(self.app, host=server.host, port=server.port, desk=self.webhooks)
        self._schedules = Schedules(self._stopping, self.pulse)

    def start(self) -> str:
        """Take up work where it was left, then listen; gives the URL.

        First the executor's lock, then the port: what is taken is told before anything is touched.
        """
        lock = self.durable.lock() if self.role.works else None
        self._server.bind()
        self.store.migrate()
        self.presence.begin(lock)
        if lock is not None:
            self._work(lock)
        else:
            seen = WorkersSeen(self.store, self.pulse, self.context.clock)
            self._schedules.add("workers", seen.tick, every_s=5.0)
        # to the very end: our lock is ours until everything has stopped
        Schedules(self._leaving, self.pulse).add("presence", self.presence.tick, every_s=1.0)
        self._schedules.add("stops", self.stops.tick, every_s=0.5)
        self._schedules.add("heartbeat", self.heartbeat.tick, every_s=self.context.config.heartbeat.every_s)
        if self.context.config.runbooks.reload:
            self._schedules.add("reload", self._reload, every_s=2.0)
        url = self._server.listen()
        self.ready.set()
        if self.slack_socket is not None:
            self.slack_socket.start()
        log.info("listening", url=url, role=self.role.value, runbooks=len(self.context.library.runbooks))
        return url

    def _work(self, lock: ExecutorLock) -> None:
        """Runs, senders, schedules: everything but answering the web."""
        self._locks = lock.locks
        self.context.sandbox.start()
        # "" is what versions wrote that did not say who began an attempt
        ended = self.context.sandbox.end_orphans(self.store.markers_of([self.presence.executor_id, ""]))
        if ended:
            log.warning("orphans_ended", processes=ended)
        self.durable.launch()
        self._schedules.add("dispatcher", self._dispatch, every_s=1.0, wakeup=self.wakeup.event)
        self._schedules.add("watchdog", self.watchdog.tick, every_s=5.0)
        self._schedules.add("reaper", self._reaper(lock.locks).tick, every_s=1.0)
        self._schedules.add("sweep", self._sweep, every_s=60.0)
        if self._hears_others:
            self._schedules.add("bell", self._listen_to_bell, every_s=0.001)
        self._lead()

    def _lead(self) -> None:
        """What one process does for all of them."""
        for sender in self.senders:
            duty = self._duty(f"send-{sender.channel}")
            self._add_led(f"send-{sender.channel}", sender.deliver, duty, every_s=0.2)
            if isinstance(sender, DeskSender):
                self._add_led("introduce", sender.introduce, duty, every_s=60.0)
        self._add_led("sla", self.sla.tick, self._duty("sla"), every_s=1.0)
        if self.context.config.handoff.accept_from:
            answers = HandedInDesk(self.context)
            self._add_led("handoffs", answers.tick, self._duty("handoffs"), every_s=1.0)
        self._add_led("watch-sections", self.prober.tick, self._duty("watch-sections"), every_s=1.0)
        self._add_led("meter", Meter(self.store).tick, self._duty("meter"), every_s=2.0)
        if self.bypasses is not None:
            self._add_led("bypasses", self.bypasses.tick, self._duty("bypasses"), every_s=5.0)
        self._add_led("audit-log", self._write_audit_log, self._duty("audit-log"), every_s=0.5)
        archiver = Archiver(self.store, self.context.config, should_stop=self._stopping.is_set)
        self._add_led("retention", archiver.tick, self._duty("retention"), every_s=3_600.0)
        self._add_led("database-log", self._shorten_log, self._duty("database-log"), every_s=30.0)

    def _duty(self, name: str) -> Duty:
        if self._locks is None:
            raise RuntimeError("a process without an executor's lock has no duties")
        return Duty(name, self._locks)

    def _add_led(self, name: str, tick: Tick, duty: Duty, *, every_s: float) -> None:
        """Every replica asks, one does it."""
        self._schedules.add(name, duty.led(tick), every_s=every_s)

    def _reaper(self, locks: Locks) -> Reaper:
        return Reaper(
            executor_id=self.presence.executor_id,
            store=self.store,
            durable=self.durable,
            sandbox=self.context.sandbox,
            locks=locks,
        )

    @property
    def _hears_others(self) -> bool:
        """On SQLite our own writes ring as well: a process that answers the web knows what came in."""
        return self.role is Role.WORKER or not self.store.database.is_sqlite

    def run_until_signalled(self) -> None:
        """Serve until SIGTERM or SIGINT, then stop gracefully and end the process; a second one hurries."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._signalled())
        self._stopping.wait()
        at_most_s = self.context.config.server.stop_grace_s + _STOP_AT_MOST_S
        overdue = threading.Timer(at_most_s, os._exit, (70,))
        overdue.daemon = True
        overdue.start()
        try:
            self.stop()
        except AgentError as error:
            log.error("stop_failed", error=str(error), note="it is settled at the next start")  # noqa: TRY400
        os._exit(0)

    def _signalled(self) -> None:
        if self._stopping.is_set():
            self.context.gate.hurry()
        self._stopping.set()

    def stop(self) -> None:
        """Take nothing new, let running attempts end, tell what there is to tell."""
        log.info("stopping")
        self.ready.clear()
        self._stopping.set()
        self.wakeup.notify()
        if self.slack_socket is not None:
            self.slack_socket.stop()
        if not self.context.gate.close(grace_s=self.context.config.server.stop_grace_s):
            log.warning("attempts_cut_off", note="they are settled at the next start")
        self._schedules.join(_JOIN_S)
        self._write_audit_log_once_more()
        self._server.stop()
        self._hand_over()
        self.bell.close()
        self.store.close()
        log.info("stopped")

    def _write_audit_log_once_more(self) -> None:
        if self._locks is not None and self._duty("audit-log").is_ours():
            self.audit_log.catch_up()

    def _hand_over(self) -> None:
        """The others need not wait to see whether we come back: our lock is free and our name is off."""
        self._leaving.set()
        try:
            self.presence.leave()
        finally:
            if self.role.works:
                self.durable.close()

    def _dispatch(self) -> float:
        """At once when something came; in a storm one look for all that came within a moment."""
        self._stopping.wait(max(0.0, self._looked_at + _TOGETHER_S - time.monotonic()))
        self.wakeup.event.clear()
        try:
            return self.dispatcher.tick()
        finally:
            self._looked_at = time.monotonic()

    def _write_audit_log(self) -> float:
        self.audit_log.catch_up()
        return 0.0

    def _shorten_log(self) -> float:
        shorten_log(self.store.database)
        return 0.0

    def _reload(self) -> float:
        self.context.library.reload()
        return 0.0

    def _sweep(self) -> float:
        """What is left of runs that have ended; after a full batch at once the next."""
        return 1.0 if self.durable.sweep() else 0.0

    def _listen_to_bell(self) -> float:
        if self.bell.heard(_LISTEN_S):
            self.wakeup.notify()
        return 0.0
