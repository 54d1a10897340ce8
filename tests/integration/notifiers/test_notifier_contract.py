"""One contract for every way to tell somebody: mail, a channel of Slack, Teams, a webhook."""

from __future__ import annotations

import logging

import pytest

from agent.domain.errors import Reason, ServiceError
from agent.ports import Notification
from tests.integration.notifiers.conftest import Way

TEXT = "Why: **no** runbook\nFor: team:sre\n[look](https://evil.example.com) <b> <!channel> _x_ {{ 7 }}\n🔴 é"


def notification(way: Way, text: str = TEXT, key: str = "esc-1-created-0") -> Notification:
    facts = {"service": "<b>pay</b>"}
    links = (("https://oncall.example.com/console/escalations/esc-1", "The escalation"),)
    return Notification(way.to, "[HIGH] Redis", text, key, facts, links)


def failure(way: Way, status: int, words: str = "no") -> ServiceError:
    way.refuse(status, words)
    with pytest.raises(ServiceError) as caught:
        way.notifier.notify(notification(way))
    return caught.value


def test_what_is_said_arrives_as_it_was_said(way: Way) -> None:
    way.notifier.notify(notification(way))
    (arrived,) = way.arrived()
    for line in TEXT.splitlines():
        assert line in arrived


def test_a_text_that_is_far_too_long_arrives_all_the_same(way: Way) -> None:
    way.notifier.notify(notification(way, "\n".join(f"line {n} " + "x" * 200 for n in range(1_000))))
    way.notifier.notify(notification(way, "é" * 100_000, key="esc-2"))
    assert [("line 0" in text, "é" in text) for text in way.arrived()] == [(True, False), (False, True)]


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_trouble_that_passes_is_tried_again_when_asked_to(way: Way, status: int) -> None:
    error = failure(way, status)
    assert error.retryable
    assert error.retry_after_s in (None, 2.0)
    assert not way.arrived()


@pytest.mark.parametrize("status", [400, 404, 410, 422])
def test_a_refusal_is_final_and_says_why(way: Way, status: int) -> None:
    error = failure(way, status, "there is nobody here any more")
    assert not error.retryable
    assert error.reason in (Reason.REJECTED, Reason.NOT_FOUND)
    assert str(status) in str(error) or "nobody here" in str(error)


def test_what_holds_keys_shows_none(way: Way, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "".join(way.secrets[:1])
    way.notifier.notify(notification(way))
    errors = [failure(way, status, f"no {secret} here") for status in (400, 429)]
    logged = [each.getMessage() for each in caplog.records if each.name != "agent.simulators"]
    shown = "\n".join([*logged, repr(way.notifier), *map(str, errors), *(repr(e.__cause__) for e in errors)])
    assert not [each for each in way.secrets if each in shown]
