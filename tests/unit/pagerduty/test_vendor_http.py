from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.adapters.exchange import is_loopback
from agent.adapters.http import LONGEST_WAIT_S, VendorHttp, classify, retry_after_s
from agent.domain.errors import Reason, ServiceError

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def test_every_status_has_a_reason_and_says_whether_asking_again_helps():
    expected = dict.fromkeys(range(100, 400), (Reason.BAD_ANSWER, True))
    expected |= dict.fromkeys(range(400, 500), (Reason.REJECTED, False))
    expected |= dict.fromkeys(range(500, 600), (Reason.SERVER_ERROR, True))
    expected |= {401: (Reason.AUTH, False), 403: (Reason.AUTH, False), 404: (Reason.NOT_FOUND, False)}
    expected |= {408: (Reason.TIMEOUT, True), 429: (Reason.RATE_LIMITED, True)}
    expected |= {409: (Reason.REJECTED, True), 425: (Reason.REJECTED, True)}
    assert {status: classify(status) for status in range(100, 600)} == expected


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "-5"}, 0.0),
        ({"Retry-After": "999999999999"}, LONGEST_WAIT_S),
        ({"Retry-After": "Sun, 01 Mar 2026 12:00:30 GMT"}, 30.0),
        ({"Retry-After": "Sun, 01 Mar 2026 11:00:00 GMT"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": ""}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "inf"}, None),
        ({"ratelimit-reset": "12"}, 12.0),
        ({"Retry-After": "soon", "ratelimit-reset": "12"}, 12.0),
        ({"Retry-After": "3", "ratelimit-reset": "12"}, 3.0),
    ],
)
def test_the_vendors_wait_is_understood_in_each_form(headers, wait_s):
    assert retry_after_s(headers, now=NOW) == wait_s


@given(st.dictionaries(st.sampled_from(["Retry-After", "ratelimit-reset"]), st.text()))
def test_no_header_makes_the_wait_raise_or_endless(headers):
    wait = retry_after_s(headers, now=NOW)
    assert wait is None or 0 <= wait <= LONGEST_WAIT_S


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://127.0.0.1:8080", True),
        ("http://localhost/x", True),
        ("http://[::1]:80", True),
        ("https://api.pagerduty.com", False),
        ("http://127.0.0.1.example.com", False),
        ("", False),
    ],
)
def test_only_this_machine_is_loopback(url, loopback):
    assert is_loopback(url) is loopback


@pytest.mark.parametrize("token", ["with\nbreak", "with\x00nul", "clé", "‘quoted’"])
def test_a_key_that_no_header_can_carry_is_refused_without_being_shown(token):
    with pytest.raises(ServiceError) as caught:
        VendorHttp("vendor", "http://127.0.0.1:1", timeout_s=1, headers={"Authorization": token})
    assert caught.value.reason is Reason.AUTH
    assert not caught.value.retryable
    assert token not in str(caught.value)
