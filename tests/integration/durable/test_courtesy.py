"""Who waits for an answer goes first, and nobody waits for ever."""

from __future__ import annotations

import threading
import time

from agent.adapters.courtesy import Courtesy


def test_nobody_gives_way_to_nobody() -> None:
    begin = time.monotonic()
    Courtesy(at_most_s=30).give_way()
    assert time.monotonic() - begin < 10


def test_a_run_goes_on_when_the_last_answer_is_given() -> None:
    courtesy = Courtesy(at_most_s=30)
    gone_on = threading.Event()
    with courtesy.answering():
        with courtesy.answering():
            run = threading.Thread(target=lambda: (courtesy.give_way(), gone_on.set()))
            run.start()
        assert not gone_on.is_set()
    assert gone_on.wait(10)
    run.join()


def test_answers_that_never_cease_hold_a_run_up_for_a_moment_only() -> None:
    courtesy = Courtesy(at_most_s=0.01)
    with courtesy.answering():
        courtesy.give_way()


def test_an_answer_that_breaks_is_over_too() -> None:
    courtesy = Courtesy(at_most_s=30)
    try:
        with courtesy.answering():
            raise LookupError
    except LookupError:
        courtesy.give_way()
