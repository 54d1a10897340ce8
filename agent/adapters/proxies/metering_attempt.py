"""What one attempt may do with the cluster, what it has used of it, and what is to be told about it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from agent.adapters.proxies.metering_status import missing_rule
from agent.adapters.proxies.metering_upstream import Upstream
from agent.domain.access import Access
from agent.domain.command import Refusal
from agent.safety.cluster_bodies import at
from agent.safety.cluster_facts import holds
from agent.safety.cluster_pins import pinned
from agent.safety.cluster_requests import ClusterRequest, read
from agent.safety.cluster_verdicts import Allowed, Ledger, judge

log = structlog.get_logger()

_MOST_TOLD = 50


@dataclass(frozen=True, slots=True)
class Cleared:
    """A request that may be sent on: judged, looked at in the live world and charged.

    `body` is what is sent; it differs from what was asked only by the version that it is tied to.
    """

    request: ClusterRequest
    verdict: Allowed
    asked: bytes
    body: bytes

    @property
    def is_pinned(self) -> bool:
        """Whether a 409 may only mean that the object's status has moved."""
        return self.body != self.asked


@dataclass(slots=True)
class MeteredAttempt:
    """Safe for several threads."""

    access: Access
    marker: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _ledger: Ledger = field(default_factory=Ledger)
    _lines: list[str] = field(default_factory=list)

    def told(self) -> Sequence[str]:
        """A line for each change that was sent and each request that was refused."""
        with self._lock:
            return tuple(self._lines)

    def clear(self, request: ClusterRequest, body: bytes, upstream: Upstream) -> Cleared | Refusal:
        """Judged from its text, then from the live world, then charged."""
        with self._lock:
            used = self._ledger.used(request)
        verdict = judge(request, body, self.access, used=used)
        if isinstance(verdict, Refusal):
            return verdict
        if verdict.change is None:
            return Cleared(request, verdict, body, body)
        cleared = self.look_again(Cleared(request, verdict, body, body), upstream)
        if isinstance(cleared, Refusal):
            return cleared
        with self._lock:
            return self._ledger.take(verdict, request) or cleared

    def look_again(self, cleared: Cleared, upstream: Upstream) -> Cleared | Refusal:
        """The same change, if it still touches no more than was charged; tied to what was seen."""
        request, change = cleared.request, cleared.verdict.change
        if change is None:
            return cleared
        denied: list[str] = []
        seen: dict[str, object | None] = {}

        def look(target: str) -> object | None:
            if target not in seen:
                status, seen[target] = upstream.look(target)
                if status == 403 and not isinstance(asked := read("GET", target, ()), Refusal):
                    denied.append(missing_rule(asked))
            return seen[target]

        refusal = holds(change, request, cleared.asked, look)
        if refusal is not None:
            return Refusal(refusal.reason, denied[0]) if denied else refusal
        version = at(seen.get(request.object_path), "metadata", "resourceVersion")
        body = pinned(
            change.form, request, cleared.asked, version=version if isinstance(version, str) else ""
        )
        return body if isinstance(body, Refusal) else Cleared(request, cleared.verdict, cleared.asked, body)

    def answered(self, cleared: Cleared, *, status: int) -> None:
        """Note how a change ended; status 0 is an unknown end, which keeps the charge."""
        if cleared.verdict.taken is None:
            if cleared.verdict.rehearsal:
                self._tell_locked(f"only tried (dry run): {cleared.request} → {status or 'no answer'}")
            return
        said = str(status) if status else "no answer: it may have been done"
        with self._lock:
            self._ledger.answered(cleared.verdict, cleared.request, status=status)
            self._tell(f"sent to the cluster: {cleared.request} → {said}")
        log.info("cluster_change_sent", marker=self.marker, request=str(cleared.request), status=status)

    def not_sent(self, cleared: Cleared, reason: str) -> None:
        """Note that a change could not be sent."""
        with self._lock:
            self._ledger.not_done(cleared.verdict, cleared.request)
            self._tell(f"not sent: {cleared.request}: {reason}")
        log.warning("cluster_unreachable", marker=self.marker, request=str(cleared.request), reason=reason)

    def refused(self, refusal: Refusal, *, what: str) -> None:
        """Note what was not sent."""
        with self._lock:
            self._tell(f"refused: {what}: {refusal}")
        log.warning("cluster_request_refused", marker=self.marker, request=what, reason=refusal.reason)

    def broken_off(self, reason: str) -> None:
        """Note that an answer could not be passed on whole."""
        log.warning("cluster_answer_broken_off", marker=self.marker, reason=reason)

    def _tell_locked(self, line: str) -> None:
        with self._lock:
            self._tell(line)

    def _tell(self, line: str) -> None:
        if len(self._lines) < _MOST_TOLD and line not in self._lines:
            self._lines.append(line)
