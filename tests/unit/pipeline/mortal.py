"""A process that dies on its way, and the legs by which its incident goes on all the same."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from agent.adapters.stored_run import StoredRun
from agent.domain.runs import Leg, Parked, Places
from agent.pipeline.handle import handle
from tests.unit.pipeline.conftest import World

T = TypeVar("T")

#: What humans say of an incident that waits.
Words = Callable[[World, str], None]


class Killed(BaseException):
    """The process is gone."""


class MortalRun(StoredRun):
    """Dies right after it did its nth step, before anybody remembers that."""

    dies_after = 0

    def step(self, name: str, do: Callable[[], T], returns: object) -> T:
        def mortal() -> T:
            value = do()
            MortalRun.dies_after -= 1
            if MortalRun.dies_after == 0:
                raise Killed(name)
            return value

        return super().step(name, mortal, returns)


def carried_on(world: World, incident_id: str, words: list[Words]) -> list[str]:
    """Legs until the incident ends; in each wait the next words are said. Gives where it died."""
    died: list[str] = []
    leg: Leg | None = Leg(incident_id)
    while leg is not None:
        memory = world.store.memory_of(leg, "main")
        if memory is None:
            break
        run = MortalRun(
            world.store, leg, memory, executor_id="main", places=Places(32), closing=threading.Event()
        )
        try:
            with run.riding():
                handle(run, world.context, incident_id)
            leg = None
        except Killed as death:
            died.append(str(death))
        except Parked:
            leg = woken(world, incident_id, words)
    return died


def woken(world: World, incident_id: str, words: list[Words]) -> Leg | None:
    """Say words until one of them wakes the run."""
    while words:
        words.pop(0)(world, incident_id)
        for about, asked in world.store.untold_decisions():
            world.store.wake(about, "decision")
            world.store.decision_told(about, asked)
        if begun := world.store.begin_due("main"):
            return begun[0]
    return None
