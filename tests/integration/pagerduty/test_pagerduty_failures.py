"""What every failure means: the retry table over every status, silence, junk; and that no key ever shows."""

import json
import logging
import traceback

import pytest
from raw_server import closed_port, raw_server

from agent.adapters.http import VendorHttp
from agent.adapters.pagerduty_events import PagerDutyEvents
from agent.adapters.pagerduty_rest import PagerDutyDesk
from agent.domain.alert import Severity
from agent.domain.errors import Reason, ServiceError
from agent.ports import Page
from agent.simulators.server import Fault

PAGE = Page("k", "A human is needed", Severity.CRITICAL, "redis-0")
TOKEN = "t0p-secret-api-token"
ROUTING_KEY = "0123456789abcdef0123456789abcdef"

OPERATIONS = {
    "facts": lambda desk, pager: desk.facts("Q1"),
    "acknowledge": lambda desk, pager: desk.acknowledge("Q1"),
    "note": lambda desk, pager: desk.note("Q1", "hello"),
    "resolve": lambda desk, pager: desk.resolve("Q1", "done"),
    "page": lambda desk, pager: pager.page(PAGE),
    "clear": lambda desk, pager: pager.clear("k"),
}
RETRYABLE = {408, 409, 425, 429}
REASONS = {
    401: Reason.AUTH,
    403: Reason.AUTH,
    404: Reason.NOT_FOUND,
    408: Reason.TIMEOUT,
    429: Reason.RATE_LIMITED,
}


@pytest.fixture(params=OPERATIONS)
def operation(request):
    return OPERATIONS[request.param]


def both(url, timeout_s=5.0):
    return PagerDutyDesk(url, TOKEN, "agent@example.com", timeout_s), PagerDutyEvents(
        url, ROUTING_KEY, timeout_s
    )


def failure(operation, url, timeout_s=5.0):
    desk, pager = both(url, timeout_s)
    with pytest.raises(ServiceError) as caught:
        operation(desk, pager)
    desk.close()
    pager.close()
    return caught.value


def expected_of(status):
    if status < 400:
        return Reason.BAD_ANSWER, True
    default = Reason.SERVER_ERROR if status >= 500 else Reason.REJECTED
    return REASONS.get(status, default), status in RETRYABLE or status >= 500


def test_every_status_fails_once_with_its_reason(pagerduty, operation):
    """The retry table: 2xx without JSON, each redirect, each 4xx, each 5xx; one request each."""
    desk, pager = both(pagerduty.url)
    for status in range(200, 600):
        pagerduty.misbehave(Fault(status, body="<html>no</html>", headers={"Location": pagerduty.url}))
        with pytest.raises(ServiceError) as caught:
            operation(desk, pager)
        assert (caught.value.reason, caught.value.retryable) == expected_of(status), status
        assert str(status) in str(caught.value)
    assert len(pagerduty.requests()) == 400


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [({"Retry-After": "7"}, 7.0), ({"ratelimit-reset": "12"}, 12.0), ({}, None)],
)
def test_the_wait_that_is_asked_for_is_passed_on(pagerduty, operation, headers, wait_s):
    body = json.dumps({"error": {"message": "Rate Limit Exceeded", "code": 2020}})
    pagerduty.misbehave(Fault(429, body=body, headers=headers))
    error = failure(operation, pagerduty.url)
    assert (error.reason, error.retryable, error.retry_after_s) == (Reason.RATE_LIMITED, True, wait_s)


def test_a_wait_is_not_passed_on_where_asking_again_is_useless(pagerduty, operation):
    pagerduty.misbehave(Fault(403, headers={"Retry-After": "7"}))
    assert failure(operation, pagerduty.url).retry_after_s is None


def test_a_redirect_is_never_followed(pagerduty, operation):
    with raw_server(
        b"HTTP/1.1 307 Go\r\nContent-Length: 0\r\nLocation: " + pagerduty.url.encode() + b"\r\n\r\n"
    ) as url:
        error = failure(operation, url)
    assert "redirects are not followed" in str(error)
    assert pagerduty.requests() == []


def test_nobody_listening_is_unreachable(operation):
    error = failure(operation, f"http://127.0.0.1:{closed_port()}")
    assert (error.reason, error.retryable) == (Reason.UNREACHABLE, True)


def test_a_host_that_does_not_exist_is_unreachable(operation):
    error = failure(operation, "http://pagerduty.invalid", timeout_s=2)
    assert error.retryable
    assert error.reason in {Reason.UNREACHABLE, Reason.TIMEOUT}


def test_silence_is_a_timeout(operation):
    with raw_server(hold=True) as url:
        error = failure(operation, url, timeout_s=0.1)
    assert (error.reason, error.retryable) == (Reason.TIMEOUT, True)


def test_a_body_that_trickles_is_a_timeout(operation):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
    with raw_server(head, *[b"x"] * 200, every_s=0.02) as url:
        error = failure(operation, url, timeout_s=0.15)
    assert (error.reason, error.retryable) == (Reason.TIMEOUT, True)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnull",
        b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n\xff\xfe",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"[" * 100_000,
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
        b"HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n<html>proxies</html>\n",
    ],
)
def test_a_success_that_says_nothing_readable_is_a_bad_answer(operation, answer):
    with raw_server(answer) as url:
        error = failure(operation, url)
    assert (error.reason, error.retryable) == (Reason.BAD_ANSWER, True)


@pytest.mark.parametrize(
    "answer", [b"not http at all\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"]
)
def test_an_answer_that_breaks_off_is_unreachable(operation, answer):
    with raw_server(answer) as url:
        error = failure(operation, url)
    assert (error.reason, error.retryable) == (Reason.UNREACHABLE, True)


def test_an_endless_answer_is_not_read():
    vendor = VendorHttp("vendor", "http://127.0.0.1:1", timeout_s=5, max_bytes=1000)
    vendor.close()
    with raw_server(b"HTTP/1.1 200 OK\r\n\r\n", *[b"x" * 500] * 50) as url:
        vendor = VendorHttp("vendor", url, timeout_s=5, max_bytes=1000)
        with pytest.raises(ServiceError) as caught:
            vendor.exchange("GET", "/")
        vendor.close()
    assert caught.value.reason is Reason.BAD_ANSWER


def test_an_events_answer_that_does_not_say_success_is_not_believed(pagerduty):
    pagerduty.misbehave(Fault(202, body='{"status": "throttled"}'))
    assert failure(OPERATIONS["page"], pagerduty.url).reason is Reason.BAD_ANSWER


@pytest.mark.parametrize(("method", "name"), [("GET", "notes"), ("POST", "note")])
def test_a_note_that_a_proxy_says_yes_to_is_not_believed(pagerduty, method, name):
    page = pagerduty.create_incident("Redis", service="api")
    desk = PagerDutyDesk(pagerduty.url, pagerduty.api_token, pagerduty.from_email)
    faults = {"GET": [], "POST": [Fault(0, path=f"/incidents/{page.id}/notes")]}[method]
    pagerduty.misbehave(*faults, Fault(200, path=f"/incidents/{page.id}/notes", body='{"status": "healthy"}'))
    with pytest.raises(ServiceError, match=f'{method} .* was answered 200 without "{name}"') as caught:
        desk.note(page.id, "hello")
    assert (caught.value.reason, caught.value.retryable) == (Reason.BAD_ANSWER, True)
    desk.note(page.id, "hello")
    assert len(pagerduty.incident(page.id).notes) == 1
    desk.close()


def test_a_resolve_that_a_proxy_says_yes_to_is_not_believed(pagerduty):
    page = pagerduty.create_incident("Redis", service="api")
    desk = PagerDutyDesk(pagerduty.url, pagerduty.api_token, pagerduty.from_email)
    pagerduty.misbehave(
        Fault(0, path="/incidents"), Fault(200, path="/incidents", body='{"status": "healthy"}')
    )
    with pytest.raises(ServiceError) as caught:
        desk.resolve(page.id, "done")
    assert caught.value.reason is Reason.BAD_ANSWER
    desk.resolve(page.id, "done")
    assert pagerduty.incident(page.id).status == "resolved"
    desk.close()


def test_the_vendors_words_are_passed_on(pagerduty):
    words = {"error": {"message": "Invalid Input Provided", "code": 2001, "errors": ["Content is too long"]}}
    pagerduty.misbehave(Fault(400, body=json.dumps(words)))
    error = failure(OPERATIONS["note"], pagerduty.url)
    assert "Invalid Input Provided, code 2001, Content is too long" in str(error)
    pagerduty.misbehave(
        Fault(400, body=json.dumps({"message": "Event object is invalid", "errors": ["No source"]}))
    )
    assert "Event object is invalid, No source" in str(failure(OPERATIONS["page"], pagerduty.url))


SECRETS = (TOKEN, ROUTING_KEY)
ECHO = json.dumps(
    {"error": {"message": f"Bad {TOKEN}"}, "message": f"Bad {ROUTING_KEY}", "errors": [ROUTING_KEY]}
)


@pytest.mark.parametrize("status", [200, 302, 400, 401, 404, 429, 500, -1])
def test_no_key_ever_shows(pagerduty, operation, status, caplog):
    """Not in the message, repr, traceback or logs; not even when the vendor echoes it."""
    with caplog.at_level(logging.DEBUG):
        pagerduty.misbehave(Fault(status, body=ECHO))
        error = failure(operation, pagerduty.url)
    chain = "".join(traceback.format_exception(error))
    shown = [str(error), repr(error), repr(vars(error)), chain, caplog.text]
    assert not [text for text in shown for secret in SECRETS if secret in text]
    assert error.__context__ is None


def test_no_key_shows_when_nothing_answers(operation, caplog):
    with caplog.at_level(logging.DEBUG):
        error = failure(operation, f"http://127.0.0.1:{closed_port()}")
    assert error.__context__ is None
    assert not [secret for secret in SECRETS if secret in str(error) + caplog.text]


def test_no_key_shows_in_the_adapters_themselves(pagerduty):
    for adapter in both(pagerduty.url):
        assert not [secret for secret in SECRETS if secret in repr(adapter) + str(adapter)]
        adapter.close()
