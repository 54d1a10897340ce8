"""One contract for every tracker: the fake, Jira Cloud and Jira Data Center."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

import pytest

from agent.adapters.fake_tracker import FakeTracker
from agent.adapters.jira_text import plain
from agent.domain.errors import Reason, ServiceError
from agent.ports.tracker import NOT_OPENED, Tracker
from agent.simulators.jira import JiraSimulator
from tests.integration.jira.conftest import TICKET, tracker_at


@dataclass
class Place:
    """A tracker, and what can be seen and done there."""

    tracker: Tracker
    there: FakeTracker | JiraSimulator

    def count(self) -> int:
        return len(self.there.tickets) if isinstance(self.there, FakeTracker) else len(self.there.issues())

    def comments(self) -> list[str]:
        if isinstance(self.there, FakeTracker):
            return self.there.tickets[-1].comments
        return [plain(each) for each in self.there.issues()[-1].comments]

    def is_closed(self) -> bool:
        if isinstance(self.there, FakeTracker):
            return self.there.tickets[-1].is_closed
        return self.there.issues()[-1].is_done

    def lag(self) -> None:
        if isinstance(self.there, FakeTracker):
            self.there.hides_new = True
        else:
            self.there.lag()

    def lose_the_answer(self) -> None:
        if isinstance(self.there, FakeTracker):
            self.there.fail_with(ServiceError("fake", Reason.TIMEOUT, "no answer", retryable=True))
        else:
            self.there.loses_answers = 1


@pytest.fixture(params=["fake", "cloud", "data center"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    if request.param == "fake":
        fake = FakeTracker()
        yield Place(fake, fake)
        return
    with ExitStack() as stack:
        sim = stack.enter_context(JiraSimulator(is_cloud=request.param == "cloud"))
        yield Place(tracker_at(sim), sim)


def test_what_is_opened_is_found_by_its_mark_and_by_no_other(place: Place) -> None:
    ref = place.tracker.open(TICKET, mark="oncall-1").ref
    other = place.tracker.open(replace(TICKET, key="other"), mark="oncall-2").ref
    assert ref != other
    assert list(place.tracker.find("oncall-1", project="AIGOV")) == [ref]
    assert not place.tracker.find("oncall-3", project="AIGOV")
    assert place.tracker.link(ref).endswith(f"/browse/{ref.name}")


def test_what_carries_the_mark_in_another_project_is_somebody_elses(place: Place) -> None:
    elsewhere = place.tracker.open(replace(TICKET, project="OPS"), mark="oncall-1").ref
    assert not place.tracker.find("oncall-1", project="AIGOV")
    ours = place.tracker.open(TICKET, mark="oncall-1").ref
    assert list(place.tracker.find("oncall-1", project="AIGOV")) == [ours]
    assert list(place.tracker.find("oncall-1", project="OPS")) == [elsewhere]


def test_asked_twice_there_are_two_and_the_older_one_comes_first(place: Place) -> None:
    refs = [place.tracker.open(TICKET, mark="oncall-1").ref for _ in range(2)]
    assert list(place.tracker.find("oncall-1", project="AIGOV")) == refs


def test_an_answer_that_is_lost_leaves_a_doubt_and_a_ticket(place: Place) -> None:
    place.lose_the_answer()
    with pytest.raises(ServiceError) as failed:
        place.tracker.open(TICKET, mark="oncall-1")
    assert failed.value.reason not in NOT_OPENED
    assert place.count() == 1
    assert len(place.tracker.find("oncall-1", project="AIGOV")) == 1


def test_that_search_finds_nothing_proves_nothing(place: Place) -> None:
    place.lag()
    place.tracker.open(TICKET, mark="oncall-1")
    assert not place.tracker.find("oncall-1", project="AIGOV")
    place.there.catch_up()
    assert len(place.tracker.find("oncall-1", project="AIGOV")) == 1


def test_a_comment_said_again_is_there_once(place: Place) -> None:
    ref = place.tracker.open(TICKET, mark="oncall-1").ref
    place.tracker.comment(ref, "Half of its time is over: *3* of {6} hours.")
    place.tracker.comment(ref, "Half of its time is over: *3* of {6} hours.", again=True)
    place.tracker.comment(ref, "Something else", again=True)
    assert place.comments() == ["Half of its time is over: *3* of {6} hours.", "Something else"]


def test_closed_it_has_ended_with_a_word_on_why_and_is_closed_once(place: Place) -> None:
    ref = place.tracker.open(TICKET, mark="oncall-1").ref
    assert place.tracker.close(ref, "block", "settled by the reviewer")
    assert place.is_closed()
    assert not place.tracker.close(ref, "block", "settled by the reviewer", again=True)
    assert place.comments() == ["settled by the reviewer"]
