"""Questions in the thread: asked once, kept current, without buttons once over, whatever dies in between."""

from __future__ import annotations

from datetime import timedelta

import pytest

from agent.adapters.fake_chat import FakeChat, FakeQuestion
from agent.delivery.chat import ChatSender
from agent.domain.decisions import StandDown
from agent.domain.errors import Reason, ServiceError
from agent.domain.incident import Entry, EventKind, Status
from agent.domain.outbox import ChatCard
from agent.domain.presses import PressAction
from agent.domain.records import CHOICE, Changes, Decision
from agent.pipeline.telling import tell
from tests.unit.delivery.conftest import DOWN, GONE, REFUSED, Post

HASH = "ab" * 32


def ask(post: Post, incident_id: str, *, key: str = "approval-asked", plan_hash: str = HASH) -> None:
    ends = post.world.clock.now() + timedelta(seconds=900)
    text = "✋ Approval needed\n    steps 1: redis-cli FLUSHDB  [1 × cache_operation]"
    data = {"plan_hash": plan_hash, "expires_at": ends.isoformat()}
    tell(
        post.world.context,
        incident_id,
        Entry(key, EventKind.APPROVAL_REQUESTED, text, data),
        changes=Changes(status=Status.AWAITING_APPROVAL, waits_until=ends),
    )


@pytest.fixture
def asked(post: Post) -> str:
    incident_id = post.incident()
    ask(post, incident_id)
    post.deliver_all(post.chat)
    return incident_id


def the_question(post: Post) -> FakeQuestion:
    (question,) = post.fake.threads[-1].questions
    return question


def decide(post: Post, incident_id: str, *, approved: bool = True) -> None:
    now = post.world.clock.now()
    assert post.world.store.decide(incident_id, Decision(HASH, approved, "alice (by Slack)", now))


def test_it_is_asked_with_buttons_and_not_said_as_a_line_too(post: Post, asked: str) -> None:
    card = the_question(post).card
    assert [each.action for each in card.buttons] == [
        PressAction.APPROVE,
        PressAction.REJECT,
        PressAction.TAKE_OVER,
    ]
    assert card.runs == "steps 1: redis-cli FLUSHDB  [1 × cache_operation]"
    assert card.buttons[0].answers == HASH
    assert post.lines() == []


def test_without_threads_it_is_a_line_with_what_to_type(post: Post) -> None:
    post.use(FakeChat(has_threads=False))
    ask(post, post.incident())
    post.deliver_all(post.chat)
    assert "Approval needed" in post.fake.channel[0].lines[0]
    assert post.waiting() == 0


@pytest.mark.parametrize(
    ("approved", "words"), [(True, "👍 Approved by alice"), (False, "👎 Rejected by alice")]
)
def test_decided_by_whatever_way_its_buttons_are_gone(
    post: Post, asked: str, approved: bool, words: str
) -> None:
    decide(post, asked, approved=approved)
    post.put(asked, ChatCard())
    post.deliver_all(post.chat)
    assert the_question(post).card.outcome.startswith(words)
    assert the_question(post).card.buttons == ()
    post.put(asked, ChatCard())
    post.deliver_all(post.chat)
    assert len(the_question(post).earlier) == 1


def test_what_expired_was_not_rejected(post: Post, asked: str) -> None:
    post.world.clock.sleep(901)
    post.put(asked, ChatCard())
    post.deliver_all(post.chat)
    assert "Nobody answered in time; that is no rejection" in the_question(post).card.outcome


def test_whoever_takes_over_ends_the_question(post: Post, asked: str) -> None:
    post.world.store.stand_down(asked, StandDown("bob (by CLI)", "told the agent to stand down"))
    post.put(asked, ChatCard())
    post.deliver_all(post.chat)
    assert the_question(post).card.outcome == "🧍 bob (by CLI) told the agent to stand down"


def test_asked_anew_the_first_question_can_no_longer_be_answered(post: Post, asked: str) -> None:
    ask(post, asked, key="approval-steps-1-asked", plan_hash="cd" * 32)
    post.deliver_all(post.chat)
    first, second = post.fake.threads[-1].questions
    assert "something else is asked" in first.card.outcome
    assert second.card.buttons[0].answers == "cd" * 32


def test_nothing_new_is_no_update(post: Post, asked: str) -> None:
    post.put(asked, ChatCard(), ChatCard())
    post.deliver_all(post.chat)
    assert the_question(post).earlier == []


def test_a_choice_has_one_button_for_each_candidate(post: Post) -> None:
    incident_id = post.incident()
    ends = post.world.clock.now() + timedelta(seconds=900)
    data = {"why": [], "choices": [["redis-a", 0.61], ["redis-b", 0.6]], "expires_at": ends.isoformat()}
    text = (
        "⚠️ More than one runbook matches: redis-a, redis-b. A human is paged"
        "\n    redis-a (0.61): title says redis; `oncall-agent choose inc redis-a`"
        "\n    redis-b (0.60): service is shop; `oncall-agent choose inc redis-b`"
    )
    status = Changes(status=Status.AWAITING_APPROVAL, waits_until=ends)
    tell(post.world.context, incident_id, Entry("ambiguous", EventKind.AMBIGUOUS, text, data), changes=status)
    post.deliver_all(post.chat)
    card = the_question(post).card
    assert [(each.action, each.answers) for each in card.buttons] == [
        (PressAction.CHOOSE, "redis-a"),
        (PressAction.CHOOSE, "redis-b"),
        (PressAction.TAKE_OVER, ""),
    ]
    assert card.facts[0] == ("redis-a (0.61)", "title says redis")
    now = post.world.clock.now()
    post.world.store.decide(incident_id, Decision(CHOICE, True, "alice (by Slack)", now, "redis-b"))
    post.put(incident_id, ChatCard())
    post.deliver_all(post.chat)
    assert the_question(post).card.outcome.startswith("👉 alice (by Slack) chose redis-b")


def test_posted_and_not_remembered_it_is_found_again_and_loses_its_buttons_later(post: Post) -> None:
    incident_id = post.incident()
    post.fake.lose_answer(2, DOWN)  # the root, then the question
    ask(post, incident_id)
    post.deliver_all(post.chat)
    assert len(post.fake.threads[-1].questions) == 1
    decide(post, incident_id)
    post.put(incident_id, ChatCard())
    post.deliver_all(post.chat)
    assert the_question(post).card.buttons == ()


def test_a_process_that_died_after_the_decision_was_told_updates_it_at_the_next_start(
    post: Post, asked: str
) -> None:
    decide(post, asked)
    post.put(asked, ChatCard())
    post.fake.fail(DOWN, DOWN)
    post.chat.deliver()
    assert the_question(post).card.buttons
    post.chat = ChatSender(post.world.context, post.world.store, post.fake)
    post.deliver_all(post.chat)
    assert the_question(post).card.buttons == ()
    assert post.waiting() == 0


def test_a_question_that_somebody_deleted_is_let_go(post: Post, asked: str) -> None:
    decide(post, asked)
    post.fake.threads[-1].questions.clear()
    post.put(asked, ChatCard())
    post.deliver_all(post.chat)
    assert post.waiting() == 0
    assert post.world.store.open_cards(asked) == []


def test_a_question_that_is_not_taken_with_buttons_is_said_as_a_line(post: Post) -> None:
    class NoButtons(FakeChat):
        def post_question(self, ref, question, *, key=""):
            raise ServiceError("chat", Reason.REJECTED, "invalid_blocks", retryable=False)

    post.use(NoButtons())
    ask(post, post.incident())
    post.deliver_all(post.chat)
    assert "Approval needed" in post.lines()[0]


@pytest.mark.parametrize("failure", [DOWN, REFUSED, GONE])
def test_no_failure_holds_up_what_else_is_told(post: Post, asked: str, failure: ServiceError) -> None:
    decide(post, asked)
    post.put(asked, ChatCard())
    post.fake.fail(failure)
    post.deliver_all(post.chat)
    assert post.waiting() == 0
