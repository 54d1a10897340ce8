"""Threads of the engine carry out one leg after the other; each process knows who is at what."""

from __future__ import annotations

import threading

from agent.adapters.carriers import Carriers
from agent.adapters.store import Store
from agent.domain.runs import Leg, RunState
from agent.ports import Run
from tests.integration.durable.conftest import DEADLINE_S, Launch, ended, eventually
from tests.integration.durable.test_lost_legs import Told, engine_is_told
from tests.integration.durable.test_parking import heard

LEG, NEXT = Leg("inc-1"), Leg("inc-2")


def names_its_thread(told: Told) -> object:
    def handle(run: Run, incident_id: str) -> None:
        told.put(threading.get_ident())

    return handle


def test_what_comes_at_once_behind_another_run_is_carried_out_by_its_thread(
    launch: Launch, told: Told, database_url: str
) -> None:
    durable = launch(names_its_thread(told))  # type: ignore[arg-type]
    durable._carriers = Carriers(lingers_s=2.0)  # on a busy machine "at once" may take a while
    threads = []
    for number in range(5):
        durable.start(f"inc-{number}")
        threads += heard(told, 1)
        ended(durable, f"inc-{number}")
    begun = engine_is_told(database_url, "SELECT workflow_uuid FROM LEGS")
    assert len(set(threads)) == len(begun) < 5


def test_a_run_whose_thread_has_gone_is_begun_again_though_the_engine_believes_in_it(
    launch: Launch, told: Told, store: Store, database_url: str
) -> None:
    durable = launch(lambda run, incident_id: told.put(incident_id))
    durable.start("inc-1")
    assert heard(told, 1) == ["inc-1"]
    ended(durable, "inc-1")
    durable.close()

    durable = launch(lambda run, incident_id: told.put(incident_id))
    heard(told, 1)  # it goes on at the start, for nobody ended its incident
    ended(durable, "inc-1")
    (taken,) = store.take_over([Leg("inc-1", 2)], "main")  # as if a thread had taken it up, and gone
    assert durable.state("inc-1") is RunState.UNKNOWN
    durable.start("inc-1")
    assert heard(told, 1) == ["inc-1"]
    at = store.whereabouts("inc-1")
    assert at is not None
    assert at.leg == taken.next


def test_a_run_in_the_hands_of_another_process_is_left_to_it(
    launch: Launch, told: Told, store: Store
) -> None:
    durable = launch(lambda run, incident_id: told.put(incident_id))
    store.begin_run("inc-1", "another")  # handed on from one thread to the next: the engine has no word of it
    assert durable.state("inc-1") is RunState.ALIVE
    assert durable.states() == {"inc-1": RunState.ALIVE}
    durable.start("inc-1")
    assert told.empty()


def test_a_leg_has_one_carrier() -> None:
    carriers = Carriers()
    assert carriers.enrol(LEG)
    assert not carriers.enrol(LEG)
    assert carriers.state(LEG) is RunState.ALIVE
    assert carriers.state(NEXT) is RunState.UNKNOWN


def test_what_became_of_a_leg_is_known_when_it_is_over() -> None:
    carriers = Carriers()
    carriers.enrol(LEG)
    carriers.strike(LEG, RunState.DEAD)
    assert carriers.state(LEG) is RunState.DEAD


def test_what_became_of_legs_long_ago_is_forgotten() -> None:
    carriers = Carriers()
    for number in range(1_001):
        carriers.strike(Leg(f"inc-{number}"), RunState.DONE)
    assert carriers.state(Leg("inc-0")) is RunState.UNKNOWN
    assert carriers.state(Leg("inc-1000")) is RunState.DONE


def test_nobody_takes_a_leg_when_nobody_waits_for_one() -> None:
    assert not Carriers().hand_over(LEG)


def test_a_thread_that_waits_takes_the_next_leg_and_only_one() -> None:
    carriers = Carriers(lingers_s=DEADLINE_S)
    taken: list[Leg | None] = []
    thread = threading.Thread(target=lambda: taken.append(carriers.next()))
    thread.start()
    eventually(lambda: carriers.hand_over(LEG), "it waits")
    assert not carriers.hand_over(NEXT)
    thread.join(DEADLINE_S)
    assert taken == [LEG]


def test_a_thread_that_waited_in_vain_goes() -> None:
    carriers = Carriers(lingers_s=0)
    assert carriers.next() is None
    assert not carriers.hand_over(LEG)
