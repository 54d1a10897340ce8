"""Posts the webhooks of a simulated Keeptrusts: again after all but 2xx, doubled or out of order if asked.

No published page says how often Keeptrusts tries, whether it signs, or in what order it sends: so a receiver
has to bear all of it, and here all of it can be had.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from agent.simulators.courier import Courier
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


class Teller(Courier[Told]):
    """Tells every hook in the background.

    `copies`: how often each webhook is sent. `enveloped`: whether the body says its event type.
    """

    def __init__(self, *, tries: int = 8, backoff_s: float = 0.05, timeout_s: float = 5.0) -> None:
        super().__init__("keeptrusts-teller", tries=tries, backoff_s=backoff_s, timeout_s=timeout_s)
        self.hooks: list[Hook] = []
        self.copies = 1
        self.enveloped = True
        self._held: list[Told] | None = None

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

    def _try(self, one: Told) -> None:
        headers = {"Content-Type": "application/json", **one.hook.headers}
        status = self._posted(one.hook.url, one.raw, headers)
        tried = replace(one, statuses=(*one.statuses, status))
        with self._changed:
            self._pending.remove(one)
            if 200 <= status < 300:
                self._done.append(replace(tried, outcome="delivered"))
            elif len(tried.statuses) >= self._tries:
                self._done.append(replace(tried, outcome="dropped"))
            else:  # what failed goes behind what came later
                self._pending.append(replace(tried, due=self._due_again(one)))
            self._changed.notify_all()
