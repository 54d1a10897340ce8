"""The certificates that SNS signs with: fetched from SNS itself, each once, and never too often."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from agent.adapters.exchange import Exchange, NoAnswer

#: SNS changes its certificate about once a year, and has one a region.
_KEPT = 32
#: Whoever names certificates that do not exist makes us ask no more often than this.
_FETCHES, _IN_S = 10, 60.0
#: A request waits for it: SNS gives 15 s for an answer (Developer Guide, "HTTP/HTTPS delivery").
_TIMEOUT_S = 3.0
#: Whoever comes while another one is fetched does not hold a thread for long: SNS sends it again.
_WAIT_S = 0.5
_MAX_BYTES = 64 * 1024

#: Gets an https address once; the text, or why there is none.
Fetch = Callable[[str], "bytes | Unfetched"]


@dataclass(frozen=True, slots=True)
class Unfetched:
    """Why nothing was fetched; it may be there the next time."""

    why: str


def fetch(url: str, *, timeout_s: float = _TIMEOUT_S) -> bytes | Unfetched:
    """One GET: no redirects, over in time, bounded."""
    exchange = Exchange(url, timeout_s=timeout_s, max_bytes=_MAX_BYTES)
    try:
        answer = exchange.send("GET", url, headers={})
    finally:
        exchange.close()
    if isinstance(answer, NoAnswer):
        return Unfetched(f"it {answer.words}")
    if answer.status != 200:
        return Unfetched(f"it was answered with status {answer.status}")
    return answer.body


class Certificates:
    """Public keys by the address of their certificate. Safe for several threads."""

    def __init__(self, *, fetch: Fetch, now: Callable[[], datetime]) -> None:
        self._fetch = fetch
        self._now = now
        self._lock = threading.Lock()
        self._known: OrderedDict[str, x509.Certificate] = OrderedDict()
        self._fetched_at: deque[float] = deque(maxlen=_FETCHES)

    def key(self, url: str) -> RSAPublicKey | Unfetched | None:
        """The key in the certificate; None if there is no valid one, `Unfetched` if nobody can tell now."""
        found = self._known.get(url) or self._looked_up(url)
        if not isinstance(found, x509.Certificate):
            return found
        now = self._now().astimezone(UTC)
        key = found.public_key()
        is_valid = found.not_valid_before_utc <= now <= found.not_valid_after_utc
        return key if is_valid and isinstance(key, RSAPublicKey) else None

    def _looked_up(self, url: str) -> x509.Certificate | Unfetched | None:
        """One request fetches it, and those that come meanwhile wait for that one, but not for long."""
        if not self._lock.acquire(timeout=_WAIT_S):
            return Unfetched("another request is fetching one already")
        try:
            found = self._known.get(url)
            if found is not None:
                return found
            fetched = self._fetched(url)
            if isinstance(fetched, x509.Certificate):
                self._known[url] = fetched
                if len(self._known) > _KEPT:
                    self._known.popitem(last=False)
            return fetched
        finally:
            self._lock.release()

    def _fetched(self, url: str) -> x509.Certificate | Unfetched | None:
        now = self._now().timestamp()
        if len(self._fetched_at) == _FETCHES and 0 <= now - self._fetched_at[0] < _IN_S:
            return Unfetched(f"{_FETCHES} certificates were asked for within {_IN_S:g} s already")
        self._fetched_at.append(now)
        pem = self._fetch(url)
        if isinstance(pem, Unfetched):
            return pem
        try:
            return x509.load_pem_x509_certificate(pem)
        except ValueError:
            return None
