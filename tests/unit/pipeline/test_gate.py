"""The gate at shutdown: running attempts may end, none begins, and a second request waits for nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from agent.pipeline.gate import Gate


def in_thread(do: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=do, daemon=True)
    thread.start()
    return thread


def running(gate: Gate, until: Callable[[], bool]) -> threading.Thread:
    """An attempt that goes on until the condition holds."""
    begun = threading.Event()

    def attempt() -> None:
        with gate.attempt():
            begun.set()
            while not until():
                time.sleep(0.01)

    thread = in_thread(attempt)
    assert begun.wait(5)
    return thread


def test_with_nothing_running_it_closes_at_once() -> None:
    began = time.monotonic()
    assert Gate().close(grace_s=60)
    assert time.monotonic() - began < 5


def test_a_running_attempt_gets_its_grace_and_ends_by_itself() -> None:
    gate, over = Gate(), threading.Event()
    running(gate, over.is_set)
    threading.Timer(0.2, over.set).start()
    assert gate.close(grace_s=60)
    assert not gate.must_hurry


def test_after_the_grace_it_is_told_to_stop() -> None:
    gate = Gate()
    running(gate, lambda: gate.must_hurry)
    assert not gate.close(grace_s=0.1)


def test_a_second_request_to_stop_ends_the_grace() -> None:
    gate = Gate()
    running(gate, lambda: gate.must_hurry)
    threading.Timer(0.2, gate.hurry).start()
    began = time.monotonic()
    assert not gate.close(grace_s=60)
    assert time.monotonic() - began < 5


def test_what_ends_because_of_the_second_request_was_cut_off() -> None:
    gate = Gate()
    attempt = running(gate, lambda: gate.must_hurry)
    gate.hurry()
    attempt.join(5)
    assert not gate.close(grace_s=60)


def test_a_second_request_with_nothing_running_cuts_nothing_off() -> None:
    gate = Gate()
    gate.hurry()
    assert gate.close(grace_s=60)


def test_no_attempt_begins_once_it_is_closing() -> None:
    gate, begun = Gate(), threading.Event()
    gate.close(grace_s=0)

    def attempt() -> None:
        with gate.attempt():
            begun.set()

    in_thread(attempt)
    assert not begun.wait(0.2)
    assert gate.is_closing
