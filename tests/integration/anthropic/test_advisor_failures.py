"""Whatever goes wrong on the way: no advice, in time, without a second try, and without the key."""

from __future__ import annotations

import gzip
import json
import logging
import time
from http import HTTPStatus

import pytest

from agent.domain.advice import NoAdvice, NoAdviceReason
from agent.simulators.anthropic import Scripted, scripted_error
from agent.simulators.server import Fault

R = NoAdviceReason
NAMED = {
    401: R.AUTH, 402: R.NO_CREDIT, 403: R.AUTH, 404: R.NOT_FOUND, 408: R.TIMEOUT, 413: R.TOO_LARGE,
    429: R.RATE_LIMITED, 504: R.TIMEOUT, 529: R.OVERLOADED,
}  # fmt: skip
STATUSES = sorted({status.value for status in HTTPStatus if status >= 300} | {420, 499, 520, 529, 599})


def expected(status):
    if status in NAMED:
        return NAMED[status]
    if status < 400:
        return R.BAD_ANSWER
    return R.SERVER_ERROR if status >= 500 else R.REJECTED


@pytest.mark.parametrize("status", STATUSES)
def test_every_status_is_asked_once_and_is_no_advice(llm, advisor, plain_ask, status):
    llm.say(scripted_error(status))
    answer = advisor.advise(plain_ask)
    assert isinstance(answer, NoAdvice)
    assert answer.reason is expected(status)
    assert str(status) in answer.detail
    assert len(llm.asked()) == 1


@pytest.mark.parametrize("status", [429, 500, 529])
def test_a_wait_that_is_asked_for_is_told_and_not_sat_out(llm, advisor, plain_ask, status):
    llm.say(scripted_error(status, headers={"retry-after": "30", "x-should-retry": "true"}))
    answer = advisor.advise(plain_ask)
    assert answer.retry_after_s == 30
    assert answer.usage.latency_s < 5
    assert len(llm.asked()) == 1


@pytest.mark.parametrize("said", ["soon", "-5", "nan", "1e9", ""])
def test_an_odd_wait_is_bounded_or_passed_over(llm, advisor, plain_ask, said):
    llm.say(scripted_error(429, headers={"retry-after": said}))
    wait = advisor.advise(plain_ask).retry_after_s
    assert wait is None or 0 <= wait <= 3600


def test_the_shared_errors_are_no_advice(shared, llm, advisor, plain_ask):
    for each in json.loads((shared / "contracts/anthropic/errors.json").read_text()):
        llm.say(Scripted(each["body"], each["status"], each["headers"]))
        assert advisor.advise(plain_ask).reason is expected(each["status"])


def test_a_redirect_is_not_followed(llm, advisor, plain_ask):
    llm.misbehave(Fault(307, headers={"Location": f"{llm.url}/v1/messages"}))
    assert advisor.advise(plain_ask).reason is R.BAD_ANSWER
    assert len(llm.requests("/v1/")) == 1


def test_a_closed_connection_is_no_advice(llm, advisor, plain_ask):
    llm.misbehave(Fault(-1))
    assert advisor.advise(plain_ask).reason is R.UNREACHABLE


def test_nobody_there_is_no_advice(at, closed_url, plain_ask):
    assert at(closed_url).advise(plain_ask).reason is R.UNREACHABLE


def test_a_name_that_leads_nowhere_is_no_advice(at, plain_ask):
    answer = at("https://advisor.invalid", deadline_s=3.0).advise(plain_ask)
    assert answer.reason in {R.UNREACHABLE, R.TIMEOUT}


def silent(connection, over):
    over.wait(5)


def head_trickles(connection, over):
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while not over.wait(0.05):
        connection.sendall(b"x-a: b\r\n")


def body_trickles(connection, over):
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n")
    while not over.wait(0.05):
        connection.sendall(b" ")


def error_trickles(connection, over):
    connection.sendall(b"HTTP/1.1 500 Oh\r\ncontent-type: application/json\r\n\r\n")
    while not over.wait(0.05):
        connection.sendall(b" ")


@pytest.mark.parametrize("peer", [silent, head_trickles, body_trickles, error_trickles])
def test_the_deadline_holds_for_the_whole_question(at, raw, plain_ask, peer):
    began = time.monotonic()
    answer = at(raw(peer).url, deadline_s=0.4).advise(plain_ask)
    assert answer.reason is R.TIMEOUT
    assert "0.4 s" in answer.detail
    assert 0.35 < time.monotonic() - began < 2
    assert answer.usage.latency_s == pytest.approx(0.4, abs=0.3)


def cut(connection, over):
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n{")


def no_http(connection, over):
    connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")


def endless(connection, over):
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n")
    while not over.is_set():
        connection.sendall(b" " * 65_536)


def endless_error(connection, over):
    connection.sendall(b"HTTP/1.1 500 Oh\r\ncontent-type: application/json\r\n\r\n")
    while not over.is_set():
        connection.sendall(b" " * 65_536)


def no_gzip(connection, over):
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nabcd")


def half_gzip(connection, over):
    data = gzip.compress(b"{}" * 1_000)[:20]
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 20\r\n\r\n" + data)


JSON_IN = b"HTTP/1.1 200 OK\r\ncontent-type: application/json; charset=%s\r\ncontent-length: 2\r\n\r\n"


def no_utf8(connection, over):
    connection.sendall(JSON_IN % b"utf-8" + b"\xff\xfe")


def odd_charset(connection, over):
    connection.sendall(JSON_IN % b"klingon" + b"{}")


@pytest.mark.parametrize(
    "peer", [cut, no_http, endless, endless_error, no_gzip, half_gzip, no_utf8, odd_charset]
)
def test_a_broken_answer_is_no_advice_at_once(at, raw, plain_ask, peer):
    answer = at(raw(peer).url, deadline_s=5.0).advise(plain_ask)
    assert isinstance(answer, NoAdvice)
    assert answer.reason in {R.UNREACHABLE, R.BAD_ANSWER, R.SERVER_ERROR}
    assert answer.usage.latency_s < 4


KEY = "sk-ant-api03-canary-canary-canary"


@pytest.fixture
def every_log(caplog):
    caplog.set_level(logging.DEBUG)
    for name in ("anthropic", "anthropic._base_client", "httpx2", "httpcore2"):
        caplog.set_level(logging.DEBUG, logger=name)
    return caplog


def our_log(caplog):
    return "\n".join(
        each.getMessage()
        for each in caplog.records
        if not each.name.startswith(("agent.simulators", "werkzeug"))
    )


@pytest.mark.parametrize("status", [200, 302, 400, 401, 404, 429, 500, -1])
def test_no_failure_tells_the_key(llm, at, plain_ask, every_log, status):
    llm.misbehave(Fault(status, body=json.dumps({"error": {"type": KEY, "message": KEY}})))
    advisor = at(llm.url, key=KEY)
    answer = advisor.advise(plain_ask)
    assert isinstance(answer, NoAdvice)
    assert "canary" not in repr(answer) + repr(advisor) + our_log(every_log)


@pytest.mark.parametrize("key", [f"{KEY}\n", f"{KEY}\nX-Evil: 1", f"{KEY}…", f"{KEY}\x00"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(llm, at, plain_ask, every_log, key):
    answer = at(llm.url, key=key).advise(plain_ask)
    assert answer.reason is R.AUTH
    assert "canary" not in answer.detail + our_log(every_log)
    assert llm.asked() == []


def test_a_wrong_key_is_told_with_the_setting_to_look_at(llm, at, plain_ask):
    answer = at(llm.url, key="sk-ant-other").advise(plain_ask)
    assert (answer.reason, "llm.api_key" in answer.detail) == (R.AUTH, True)


def test_a_model_that_is_not_there_is_told_with_the_setting_to_look_at(llm, at, plain_ask):
    answer = at(llm.url, key=llm.api_key, model="gpt-9").advise(plain_ask)
    assert (answer.reason, "llm.model" in answer.detail) == (R.NOT_FOUND, True)


def test_the_environment_neither_redirects_nor_signs_a_question(
    llm, advisor, plain_ask, monkeypatch, closed_url
):
    monkeypatch.setenv("ANTHROPIC_BASE_URL", closed_url)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-elsewhere")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "elsewhere")
    monkeypatch.setenv("HTTP_PROXY", closed_url)
    monkeypatch.setenv("ALL_PROXY", closed_url)
    assert not isinstance(advisor.advise(plain_ask), NoAdvice)
