"""Tells other systems, each at its configured hook; one that is down holds up no other."""

from __future__ import annotations

from collections.abc import Mapping

from agent.delivery.notices import Singly
from agent.delivery.sending import Backoff
from agent.domain.errors import Reason, ServiceError
from agent.domain.outbox import Channel, HookNotice, Letter
from agent.pipeline.context import Context
from agent.ports import Notification, Notifier, OutboxStore


class HookSender(Singly):
    """Implements Sender for hooks; whoever takes a message twice knows it by its key."""

    channel = Channel.HOOK

    def __init__(self, context: Context, outbox: OutboxStore, hooks: Mapping[str, Notifier]) -> None:
        super().__init__(context, outbox)
        self._hooks = hooks
        self._backoffs = {name: Backoff() for name in hooks}
        self._rests_until: dict[str, float] = {}

    def _send(self, letter: Letter) -> None:
        message = _message(letter)
        hook = self._hooks.get(message.hook)
        if hook is None:
            words = f"there is no hook {message.hook} in config.yaml any more"
            raise ServiceError("hooks", Reason.NOT_FOUND, words, retryable=False)
        rests_s = self._rests_until.get(message.hook, 0.0) - self._context.clock.monotonic()
        if rests_s > 0:
            raise _RestingError(rests_s)
        hook.notify(
            Notification((), message.subject, message.text, message.key, message.facts, message.links)
        )

    def _sent(self, letter: Letter) -> None:
        self._backoffs[_message(letter).hook].succeeded()
        super()._sent(letter)

    def _failed(self, letter: Letter, error: ServiceError) -> float:
        """Never holds up the look: each hook waits for itself."""
        if isinstance(error, _RestingError):
            self._outbox.postpone([letter.id], delay_s=error.retry_after_s or 0.0, error=str(error))
            return 0.0
        name = _message(letter).hook
        self._backoff = self._backoffs.get(name, self._backoff)
        delay_s = super()._failed(letter, error)
        self._rests_until[name] = self._context.clock.monotonic() + delay_s
        return 0.0


class _RestingError(ServiceError):
    """It did not take what was sent a moment ago: it is not asked again for each letter."""

    def __init__(self, left_s: float) -> None:
        words = "the hook did not take what came before and is left alone for a while"
        super().__init__("hooks", Reason.UNREACHABLE, words, retryable=True, retry_after_s=left_s)


def _message(letter: Letter) -> HookNotice:
    if not isinstance(letter.message, HookNotice):
        raise TypeError(f"{type(letter.message).__name__} is no message for a hook")
    return letter.message
