"""One process per executor id: what DBOS does not see to, and a step would run twice without."""

from __future__ import annotations

import time

from agent.adapters.locks import Locks, locks_of
from agent.domain.errors import ExecutorBusyError, StoreError

#: Somebody who only looks whether it is free, or who takes our work over, is done sooner than this.
_SOMEBODY_LOOKS_S = 3.0


class ExecutorLock:
    """Held for as long as the process lives; the other locks of the process hang on it."""

    def __init__(self, url: str, executor_id: str, *, patience_s: float = _SOMEBODY_LOOKS_S) -> None:
        self.locks: Locks = locks_of(url)
        self._name = executor_lock_name(executor_id)
        self._executor_id = executor_id
        #: Whether it was lost and taken again: somebody may have been in our place meanwhile.
        self.was_lost = False
        self._where = "the database" if not url.startswith("sqlite") else url.removeprefix("sqlite:///")
        try:
            self._take(time.monotonic() + patience_s)
        except BaseException:
            self.locks.close()
            raise

    def _take(self, until: float) -> None:
        while not self.locks.take(self._name):
            if time.monotonic() >= until:
                raise ExecutorBusyError(_busy(self._executor_id, self._where))
            time.sleep(0.05)

    def keep(self) -> bool:
        """Look whether it is still ours, and take it again if it was lost; False: nobody can tell now.

        ExecutorBusyError: another process has it, and this one must end.
        """
        if self.locks.keep() and self.locks.holds(self._name):
            return True
        self.was_lost = True
        try:
            taken = self.locks.take(self._name)
        except StoreError:
            return False
        if not taken:
            raise ExecutorBusyError(_busy(self._executor_id, self._where))
        return True

    def release(self) -> None:
        """Let another process have the id."""
        self.locks.close()


def executor_lock_name(executor_id: str) -> str:
    """The name of the lock that the executor holds while it lives."""
    return f"executor-{executor_id}"


def _busy(executor_id: str, where: str) -> str:
    return (
        f"another process already works as executor {executor_id!r} on {where}; stop it first, "
        "or give this one its own executor id (ONCALL_AGENT_EXECUTOR_ID)"
    )
