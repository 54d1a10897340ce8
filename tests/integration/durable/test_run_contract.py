"""One contract for every Run: the inline one and the durable one."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any, Protocol

import pytest

from agent.adapters.fake_clock import FakeClock
from agent.adapters.inline_run import InlineRun
from agent.domain.alert import Alert, Severity
from agent.domain.decisions import (
    Ambiguous,
    Attempt,
    AttemptEnd,
    Candidate,
    Match,
    Matched,
    NoMatch,
    Section,
    StandDown,
)
from agent.ports import Run
from tests.integration.durable.conftest import DEADLINE_S, Launch

Body = Callable[[Run], Any]


class Subject(Protocol):
    def run(self, body: Body, *, woken_on: str = "") -> Any: ...


class InlineSubject:
    def run(self, body: Body, *, woken_on: str = "") -> Any:
        return body(InlineRun(FakeClock(), woken=lambda topic: topic == woken_on))


class DurableSubject:
    def __init__(self, launch: Launch) -> None:
        self._launch = launch

    def run(self, body: Body, *, woken_on: str = "") -> Any:
        results: queue.Queue[Any] = queue.Queue()
        ready = threading.Event()

        def handle(run: Run, incident_id: str) -> None:
            ready.wait(DEADLINE_S)
            results.put(body(run))

        durable = self._launch(handle, lambda _, error: results.put(error))
        durable.start("inc-1")
        if woken_on:
            durable.wake("inc-1", woken_on)
        ready.set()
        result = results.get(timeout=DEADLINE_S)
        if isinstance(result, Exception):
            raise result
        return result


@pytest.fixture(params=["inline", "durable"])
def subject(request: pytest.FixtureRequest, launch: Launch) -> Subject:
    return InlineSubject() if request.param == "inline" else DurableSubject(launch)


VALUES: tuple[tuple[Any, Any], ...] = (
    (None, None),
    (True, bool),
    ("x — ünïcode", str),
    (Alert("pagerduty", "P1", "Redis", severity=Severity.ERROR, labels={"pod": "a"}), Alert),
    (Attempt(Section.VERIFY, 1, 2, AttemptEnd.TIMED_OUT, duration_s=1.5), Attempt),
    (Matched("redis", "a" * 64, 0.9, ("because",)), Match),
    (NoMatch(("none",)), Match),
    (Ambiguous((Candidate("a", 0.5), Candidate("b", 0.5))), Match),
    (StandDown("Responder", "took over"), StandDown | None),
    (None, StandDown | None),
)


def test_a_step_gives_back_what_it_made_whatever_it_is(subject: Subject) -> None:
    def body(run: Run) -> list[Any]:
        return [
            run.step(f"step {number}", lambda value=value: value, returns=returns)
            for number, (value, returns) in enumerate(VALUES)
        ]

    given = subject.run(body)
    assert given == [value for value, _ in VALUES]
    assert [type(each) for each in given] == [type(value) for value, _ in VALUES]


def test_each_step_is_done_once_in_its_order(subject: Subject) -> None:
    done: list[str] = []

    def body(run: Run) -> list[str]:
        for name in ("one", "two", "three"):
            run.step(name, lambda name=name: done.append(name), returns=None)
        return done

    assert subject.run(body) == ["one", "two", "three"]


def test_a_name_stands_for_one_step_of_a_run(subject: Subject) -> None:
    def body(run: Run) -> None:
        run.step("one", lambda: None, returns=None)
        run.step("one", lambda: None, returns=None)

    with pytest.raises(ValueError, match="two steps of one run are called 'one'"):
        subject.run(body)


def test_what_breaks_in_a_step_breaks_the_run(subject: Subject) -> None:
    def broken() -> str:
        raise ValueError("out of range")

    with pytest.raises(ValueError, match="out of range"):
        subject.run(lambda run: run.step("one", broken, returns=str))


def test_a_step_that_broke_may_be_caught_and_the_run_goes_on(subject: Subject) -> None:
    def body(run: Run) -> str:
        try:
            run.step("one", lambda: 1 // 0, returns=int)
        except ZeroDivisionError:
            return run.step("two", lambda: "went on", returns=str)
        return "did not break"

    assert subject.run(body) == "went on"


def test_a_wake_up_ends_a_wait_even_if_it_came_before(subject: Subject) -> None:
    assert subject.run(lambda run: run.wait("decision", DEADLINE_S), woken_on="decision") is True


def test_a_wait_that_nobody_ends_is_over_with_its_time(subject: Subject) -> None:
    assert subject.run(lambda run: run.wait("decision", 0.05)) is False


def test_a_wake_up_on_another_topic_ends_no_wait(subject: Subject) -> None:
    assert subject.run(lambda run: run.wait("decision", 0.05), woken_on="another") is False


def test_a_run_goes_on_after_a_sleep(subject: Subject) -> None:
    def body(run: Run) -> str:
        run.sleep(0.01)
        return run.step("one", lambda: "after", returns=str)

    assert subject.run(body) == "after"


def test_a_run_knows_behind_a_wait_what_it_did_before(subject: Subject) -> None:
    done: list[str] = []

    def note(name: str) -> str:
        done.append(name)
        return name

    def body(run: Run) -> tuple[str, bool, str]:
        before = run.step("before", lambda: note("before"), returns=str)
        woken = run.wait("decision", DEADLINE_S)
        return before, woken, run.step("after", lambda: note("after"), returns=str)

    assert subject.run(body, woken_on="decision") == ("before", True, "after")
    assert done == ["before", "after"]


def test_every_wait_of_a_run_is_over_by_itself(subject: Subject) -> None:
    def body(run: Run) -> list[bool]:
        return [run.wait("decision", 0.02) for _ in range(3)]

    assert subject.run(body) == [False, False, False]


def test_a_run_whose_turn_it_is_goes_on_at_once(subject: Subject) -> None:
    def body(run: Run) -> bool:
        return run.turn("decision", waiting=lambda: pytest.fail("it has its turn"))

    assert subject.run(body) is True


def test_a_run_that_gave_its_turn_up_for_a_wait_gets_it_again(subject: Subject) -> None:
    def body(run: Run) -> tuple[bool, bool]:
        return run.wait("decision", 0.02), run.turn("decision", waiting=lambda: None)

    assert subject.run(body) == (False, True)
