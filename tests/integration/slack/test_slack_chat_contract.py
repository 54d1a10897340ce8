"""One contract for every Chat: the fake with and without threads, the bot and the incoming webhook."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

import pytest

from agent.adapters.fake_chat import FakeChat
from agent.adapters.slack import SlackChat, SlackWebhookChat
from agent.domain.errors import Reason, ServiceError
from agent.ports import Chat
from agent.simulators.server import Fault
from agent.simulators.slack import SlackSimulator


class Subject(Protocol):
    chat: Chat

    def roots(self) -> list[str]: ...
    def thread(self, ref: str) -> list[str]: ...
    def channel(self) -> list[str]: ...
    def break_once(self) -> None: ...


@dataclass
class FakeSubject:
    chat: FakeChat

    def roots(self) -> list[str]:
        return [f"{each.card.status} {each.card.title} {each.card.reason}" for each in self.chat.threads]

    def thread(self, ref: str) -> list[str]:
        return self.chat.thread(ref).lines

    def channel(self) -> list[str]:
        posts = self.chat.channel + [p for t in self.chat.threads for p in t.posts if p.broadcast]
        return [line for post in posts for line in post.lines]

    def break_once(self) -> None:
        self.chat.fail(ServiceError("chat", Reason.SERVER_ERROR, "down", retryable=True))


@dataclass
class SlackSubject:
    chat: SlackChat | SlackWebhookChat
    slack: SlackSimulator

    def roots(self) -> list[str]:
        return [each.shown for each in self.slack.roots() if each.blocks]

    def thread(self, ref: str) -> list[str]:
        return _lines(each.shown for each in self.slack.thread(ref)[1:])

    def channel(self) -> list[str]:
        seen = (each for each in self.slack.messages() if not each.thread_ts or each.broadcast)
        return _lines(each.shown for each in seen if not each.blocks)

    def break_once(self) -> None:
        self.slack.misbehave(Fault(503))


def _lines(texts: Sequence[str] | Iterator[str]) -> list[str]:
    return [line for text in texts for line in text.split("\n")]


@pytest.fixture(params=["fake", "slack bot"])
def threaded(request, slack, bot) -> Subject:
    return FakeSubject(FakeChat()) if request.param == "fake" else SlackSubject(bot, slack)


@pytest.fixture(params=["fake without threads", "slack webhook"])
def unthreaded(request, slack, hook) -> Subject:
    fake = request.param.startswith("fake")
    return FakeSubject(FakeChat(has_threads=False)) if fake else SlackSubject(hook, slack)


@pytest.fixture(params=["fake", "slack bot", "fake without threads", "slack webhook"])
def any_chat(request, slack, bot, hook) -> Subject:
    return {
        "fake": lambda: FakeSubject(FakeChat()),
        "slack bot": lambda: SlackSubject(bot, slack),
        "fake without threads": lambda: FakeSubject(FakeChat(has_threads=False)),
        "slack webhook": lambda: SlackSubject(hook, slack),
    }[request.param]()


def test_the_root_message_tells_title_and_status(any_chat, card):
    any_chat.chat.post_root(card)
    (root,) = any_chat.roots()
    assert "Redis connection timeout" in root
    assert "received" in root


def test_each_incident_gets_a_thread_of_its_own(threaded, card):
    first, second = threaded.chat.post_root(card), threaded.chat.post_root(card)
    threaded.chat.post_lines(first, ["one"])
    threaded.chat.post_lines(second, ["two"])
    assert first != second
    assert threaded.thread(first) == ["one"]
    assert threaded.thread(second) == ["two"]


def test_lines_stand_in_the_thread_in_the_order_they_were_posted(threaded, card):
    ref = threaded.chat.post_root(card)
    threaded.chat.post_lines(ref, ["▶️ step 1", "✅ step 1"])
    threaded.chat.post_lines(ref, ["▶️ step 2"])
    assert threaded.thread(ref) == ["▶️ step 1", "✅ step 1", "▶️ step 2"]


def test_updating_the_root_changes_it_in_place(threaded, card):
    ref = threaded.chat.post_root(card)
    threaded.chat.update_root(ref, replace(card, status="escalated", reason="step 2 failed twice"))
    (root,) = threaded.roots()
    assert "escalated" in root
    assert "step 2 failed twice" in root
    assert "received" not in root


def test_a_broadcast_is_seen_in_the_thread_and_in_the_channel(threaded, card):
    ref = threaded.chat.post_root(card)
    threaded.chat.post_lines(ref, ["quiet"])
    threaded.chat.post_lines(ref, ["🔴 a human is needed"], broadcast=True)
    assert threaded.thread(ref) == ["quiet", "🔴 a human is needed"]
    assert threaded.channel() == ["🔴 a human is needed"]


def test_lines_without_a_reference_stand_in_the_channel(any_chat):
    any_chat.chat.post_lines("", ["the agent has started"], broadcast=True)
    assert any_chat.channel() == ["the agent has started"]


@pytest.mark.parametrize("lines", [[], [""], [" ", "\n"]])
def test_nothing_to_say_posts_nothing(any_chat, lines):
    any_chat.chat.post_lines("", lines)
    assert any_chat.channel() == []


def test_an_unknown_thread_is_told_and_not_worth_asking_again(threaded, card):
    threaded.chat.post_root(card)
    for call in (
        lambda: threaded.chat.update_root("C000000001:1.000001", card),
        lambda: threaded.chat.post_lines("C000000001:1.000001", ["lost"]),
        lambda: threaded.chat.post_lines("no reference at all", ["lost"]),
    ):
        with pytest.raises(ServiceError) as raised:
            call()
        assert raised.value.reason is Reason.NOT_FOUND
        assert not raised.value.retryable


def test_updating_without_a_reference_does_nothing(any_chat, card):
    any_chat.chat.update_root("", card)
    assert any_chat.roots() == []


def test_without_threads_the_reference_is_empty_and_lines_stand_in_the_channel(unthreaded, card):
    ref = unthreaded.chat.post_root(card)
    unthreaded.chat.update_root(ref, replace(card, status="resolved"))
    unthreaded.chat.post_lines(ref, ["✅ resolved"])
    assert not unthreaded.chat.has_threads
    assert ref == ""
    assert unthreaded.channel() == ["✅ resolved"]
    assert "received" in unthreaded.roots()[0]


def test_with_threads_it_says_so(threaded):
    assert threaded.chat.has_threads


def test_a_failure_is_told_and_the_next_call_works(any_chat, card):
    any_chat.break_once()
    with pytest.raises(ServiceError) as raised:
        any_chat.chat.post_root(card)
    assert raised.value.retryable
    assert any_chat.roots() == []
    any_chat.chat.post_root(card)
    assert len(any_chat.roots()) == 1


NOW = datetime.now(UTC)


def test_a_root_is_found_by_its_key(threaded, card):
    threaded.chat.post_root(card, key="inc-1")
    ref = threaded.chat.post_root(card, key="inc-2")
    threaded.chat.update_root(ref, replace(card, status="resolved"))
    threaded.chat.post_lines(ref, ["seen in the channel"], keys=["1"], broadcast=True)
    assert threaded.chat.find_root("inc-2", since=NOW) == ref
    assert threaded.chat.find_root("inc-3", since=NOW) == ""


def test_lines_are_found_by_their_keys_in_their_own_thread(threaded, card):
    first, second = threaded.chat.post_root(card), threaded.chat.post_root(card)
    threaded.chat.post_lines(first, ["one", "two"], keys=["1", "2"])
    threaded.chat.post_lines(second, ["three"], keys=["3"], broadcast=True)
    threaded.chat.post_lines(second, ["without a key"])
    assert threaded.chat.find_lines(first, since=NOW) == {"1", "2"}
    assert threaded.chat.find_lines(second, since=NOW) == {"3"}


def test_lines_of_an_unknown_thread_are_not_found(threaded, card):
    threaded.chat.post_root(card)
    with pytest.raises(ServiceError) as raised:
        threaded.chat.find_lines("C000000001:1.000001", since=NOW)
    assert raised.value.reason is Reason.NOT_FOUND


def test_without_threads_nothing_is_found(unthreaded, card):
    ref = unthreaded.chat.post_root(card, key="inc-1")
    unthreaded.chat.post_lines(ref, ["one"], keys=["1"])
    assert unthreaded.chat.find_root("inc-1", since=NOW) == ""
    assert unthreaded.chat.find_lines(ref, since=NOW) == frozenset()


def test_every_line_is_counted_in_the_message_that_holds_it(any_chat):
    assert any_chat.chat.post_lines("", ["one", "", "three"], keys=["1", "2", "3"]) == 3
    assert any_chat.chat.post_lines("", ["", " "], keys=["4", "5"]) == 2
