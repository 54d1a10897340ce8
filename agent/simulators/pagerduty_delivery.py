"""Sends signed V3 webhooks as PagerDuty does: in order for an incident, again after 5xx, 429 and silence.

Three drops in a row switch the subscription off (documentation "Webhooks", page "Behavior"). PagerDuty
tries for 48 hours; here tries are few and quick so that a test or a demo sees the end of it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from agent.simulators.courier import Courier

_DROPS_MAX = 3


@dataclass(slots=True)
class Subscription:
    """Who gets the webhooks; several secrets sign each of them, as during a rotation."""

    url: str
    secrets: Sequence[str]
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    disabled: bool = False
    drops: int = 0


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook on its way; `statuses` has one entry a try, 0 for no answer."""

    webhook_id: str
    event_type: str
    order: str
    raw: bytes
    due: float = 0.0
    statuses: tuple[int, ...] = ()
    outcome: str = "pending"


def signature_header(raw: bytes, secrets: Sequence[str]) -> str:
    """`X-PagerDuty-Signature` for these bytes."""
    return ",".join(f"v1={hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()}" for secret in secrets)


class Deliverer(Courier[Delivery]):
    """Delivers in the background; `deliver` sends one webhook now."""

    def __init__(self, *, tries: int = 8, backoff_s: float = 0.05, timeout_s: float = 5.0) -> None:
        super().__init__("pagerduty-deliverer", tries=tries, backoff_s=backoff_s, timeout_s=timeout_s)
        self.subscription: Subscription | None = None

    def enqueue(self, event: Mapping[str, object], order: str) -> None:
        """Deliver in the background, behind what is pending for the same `order` (the incident)."""
        with self._changed:
            if self.subscription is not None and not self.subscription.disabled:
                self._pending.append(_delivery_of(event, order))
                self._changed.notify_all()

    def deliver(self, url: str, event: Mapping[str, object], *, webhook_id: str = "") -> int:
        """Send once, now, to this URL; gives the status, 0 if there was no answer."""
        known = self.subscription or Subscription(url, ())
        delivery = _delivery_of(event, "")
        if webhook_id:
            delivery = replace(delivery, webhook_id=webhook_id)
        return self._post(_at(known, url), delivery)

    def enable(self) -> None:
        """Switch the subscription on again."""
        with self._changed:
            if self.subscription is not None:
                self.subscription.disabled, self.subscription.drops = False, 0

    def _in_turn(self) -> Sequence[Delivery]:
        """The first of each incident."""
        first: dict[str, Delivery] = {}
        for each in self._pending:
            first.setdefault(each.order, each)
        return list(first.values())

    def _try(self, one: Delivery) -> None:
        target = self.subscription
        assert target is not None  # else nothing is taken to be delivered
        self._settle(target, one, self._post(target, one))

    def _settle(self, target: Subscription, delivery: Delivery, status: int) -> None:
        tried = replace(delivery, statuses=(*delivery.statuses, status))
        again = status == 0 or status == 429 or status >= 500
        with self._changed:
            if delivery not in self._pending:
                return
            index = self._pending.index(delivery)
            if again and len(tried.statuses) < self._tries:
                self._pending[index] = replace(tried, due=self._due_again(delivery))
            else:
                del self._pending[index]
                self._end(target, tried, delivered=200 <= status < 300)
            self._changed.notify_all()

    def _end(self, target: Subscription, delivery: Delivery, *, delivered: bool) -> None:
        self._done.append(replace(delivery, outcome="delivered" if delivered else "dropped"))
        target.drops = 0 if delivered else target.drops + 1
        if target.drops >= _DROPS_MAX:
            target.disabled = True
            self._done.extend(replace(each, outcome="dropped") for each in self._pending)
            self._pending.clear()

    def _post(self, target: Subscription, delivery: Delivery) -> int:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "PagerDuty-Webhook/V3.0",
            "X-PagerDuty-Signature": signature_header(delivery.raw, target.secrets),
            "X-Webhook-Id": delivery.webhook_id,
            "X-Webhook-Subscription": target.id,
        }
        return self._posted(target.url, delivery.raw, headers)


def _at(subscription: Subscription, url: str) -> Subscription:
    """The same subscription sending somewhere else."""
    return Subscription(url, subscription.secrets, subscription.id)


def _delivery_of(event: Mapping[str, object], order: str) -> Delivery:
    inner = event.get("event")
    event_type = str(inner.get("event_type", "")) if isinstance(inner, Mapping) else ""
    return Delivery(str(uuid.uuid4()), event_type, order, json.dumps(event).encode())
