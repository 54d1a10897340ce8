"""Posts the webhooks of a simulated Keeptrusts: again after all but 2xx, doubled or out of order if asked.

No published page says how often Keeptrusts tries, whether it signs, or in what order it sends: so a receiver
has to bear all of it, and here all of it can be had.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import httpx

from agent.simulators.keeptrusts_state import Hook


@dataclass(frozen=True, slots=True)
class Told:
    """One webhook on its way; `statuses` has one entry a try, 0 for no answer."""

    hook: Hook
    event_type: str
    escalation_id: str
    raw: bytes
    due: float = 0.0
    statuses: tuple[int, ...] = ()
    outcome: str = "pending"


Order = Callable[[Sequence[Told]], Sequence[Told]]


class Teller:
    """Delivers in the background.

    `copies`: how often each webhook is sent. `enveloped`: whether the body says its event type.
    """

    def __init__(self, *, tries: int = 8, backoff_s: float = 0.05, timeout_s: float = 5.0) -> None:
        self.hooks: list[Hook] = []
        self.copies = 1
        self.enveloped = True
        self._tries, self._backoff_s = tries, backoff_s
        self._changed = threading.Condition()
        self._held: list[Told] | None = None
        self._pending: list[Told] = []
        self._done: list[Told] = []
        self._busy = False
        self._stopping = False
        self._client = httpx.Client(timeout=timeout_s, trust_env=False)
        self._thread = threading.Thread(target=self._work, name="keeptrusts-teller", daemon=True)

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def stop(self) -> None:
        """Stop delivering; what is pending stays undelivered."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout=10)
        self._client.close()

    def tell(self, event_type: str, body: Mapping[str, object]) -> None:
        """Post it to every hook that wants this type."""
        shown = {"event_type": event_type, **body} if self.enveloped else dict(body)
        raw = json.dumps(shown).encode()
        with self._changed:
            wanted = [each for each in self.hooks if each.active and event_type in each.event_types]
            told = [Told(hook, event_type, str(body.get("escalation_id")), raw) for hook in wanted]
            (self._pending if self._held is None else self._held).extend(told * self.copies)
            self._changed.notify_all()

    def hold(self) -> None:
        """Keep what is told from now on."""
        with self._changed:
            self._held = []

    def release(self, order: Order = tuple) -> None:
        """Send what was kept, in this order; some may be left out or doubled by it."""
        with self._changed:
            self._pending.extend(order(self._held or ()))
            self._held = None
            self._changed.notify_all()

    def deliveries(self) -> list[Told]:
        """Everything so far: ended ones first, then the pending."""
        with self._changed:
            return [*self._done, *self._pending]

    def wait_until_idle(self, timeout_s: float = 5.0) -> bool:
        """Whether nothing is pending any more within the time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._pending and not self._busy, timeout_s)

    def _work(self) -> None:
        while True:
            with self._changed:
                told = self._next()
                while told is None and not self._stopping:
                    self._changed.wait(self._until_next())
                    told = self._next()
                if self._stopping or told is None:
                    return
                self._pending.remove(told)
                self._busy = True
            status = self._post(told)
            with self._changed:
                self._settle(told, status)
                self._busy = False
                self._changed.notify_all()

    def _next(self) -> Told | None:
        """The first that is due: what failed goes behind what came later."""
        return next((each for each in self._pending if each.due <= time.monotonic()), None)

    def _until_next(self) -> float | None:
        dues = [each.due for each in self._pending]
        return max(min(dues) - time.monotonic(), 0.001) if dues else None

    def _settle(self, told: Told, status: int) -> None:
        tried = replace(told, statuses=(*told.statuses, status))
        if 200 <= status < 300:
            self._done.append(replace(tried, outcome="delivered"))
        elif len(tried.statuses) >= self._tries:
            self._done.append(replace(tried, outcome="dropped"))
        else:
            wait = self._backoff_s * min(2 ** len(told.statuses), 16)
            self._pending.append(replace(tried, due=time.monotonic() + wait))

    def _post(self, told: Told) -> int:
        headers = {"Content-Type": "application/json", **told.hook.headers}
        try:
            return self._client.post(told.hook.url, content=told.raw, headers=headers).status_code
        except (httpx.HTTPError, httpx.InvalidURL):
            return 0
