import json
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.adapters.pagerduty_events import sent_dedup_key
from agent.domain.alert import Severity
from agent.ports import Page

LIMIT = 512 * 1024


def page(**changed):
    fields = {
        "dedup_key": "k",
        "summary": "A human is needed",
        "severity": Severity.ERROR,
        "source": "redis-0",
    }
    return Page(**{**fields, **changed})


def sent(pagerduty):
    return json.loads(pagerduty.requests("/v2/enqueue")[-1].body)


def test_a_page_holds_what_the_responder_needs_at_once(pagerduty, pager):
    details = {"tried": ["Step 1: passed", "Step 2: failed"], "runbook": "redis.md", "count": 2}
    links = (("Timeline", "https://agent.example.com/incidents/1"), ("none", "javascript:x"))
    pager.page(page(component="redis", details=details, links=links))
    assert sent(pagerduty) == {
        "routing_key": pagerduty.routing_key,
        "event_action": "trigger",
        "dedup_key": "k",
        "client": "oncall-agent",
        "payload": {
            "summary": "A human is needed",
            "severity": "error",
            "source": "redis-0",
            "component": "redis",
            "custom_details": details,
        },
        "links": [{"href": "https://agent.example.com/incidents/1", "text": "Timeline"}],
    }


def test_a_link_is_understood_whichever_of_the_two_comes_first(pagerduty, pager):
    pager.page(page(links=(("https://a.example.com", "A"), ("B", "https://b.example.com"))))
    assert sent(pagerduty)["links"] == [
        {"href": "https://a.example.com", "text": "A"},
        {"href": "https://b.example.com", "text": "B"},
    ]


@pytest.mark.parametrize("length", [1023, 1024, 1025, 100_000])
def test_a_summary_is_cut_to_what_pagerduty_shows(pagerduty, pager, length):
    pager.page(page(summary="é" * length))
    summary = sent(pagerduty)["payload"]["summary"]
    assert len(summary) == min(length, 1024)
    assert summary.endswith("…") is (length > 1024)


def test_a_page_without_summary_or_source_still_wakes_a_human(pagerduty, pager):
    pager.page(page(summary=" ", source=""))
    assert len(pagerduty.pages()) == 1


@pytest.mark.parametrize("length", [255, 256, 5000])
def test_an_overlong_key_is_hashed_the_same_way_for_page_and_clear(pagerduty, pager, length):
    pager.page(page(dedup_key="k" * length))
    pager.page(page(dedup_key="k" * length + "other"))
    assert len({each.alert_key for each in pagerduty.pages()}) == 2
    pager.clear("k" * length)
    assert [each.status for each in pagerduty.pages()] == ["resolved", "triggered"]


@given(st.text(max_size=600), st.text(max_size=600))
def test_keys_fit_and_stay_apart(one, other):
    assert len(sent_dedup_key(one)) <= 255
    if sent_dedup_key(one) == sent_dedup_key(other):
        assert one.encode("utf-8", "replace") == other.encode("utf-8", "replace") or "\x00" in one + other


@pytest.mark.parametrize(
    "details",
    [
        {"output": "x" * 2_000_000},
        {"output": "é" * 2_000_000},
        {"output": '"\\\n' * 500_000},
        {f"key {number}": "x" * 100 for number in range(20_000)},
        {"lines": ["line of output"] * 200_000},
        {"deep": [[["x" * 1000] * 100] * 100] * 100},
        {"k" * 600_000: "v"},
        {"output": "é" * 400_000},
        {f"key {number}": "\x01" * 500 for number in range(900)},
        {"output": "\x01" * 100_000},
        {"deep": [[["\x01" * 1000] * 100] * 100] * 100},
    ],
)
def test_details_are_cut_so_that_the_page_is_accepted_and_says_so(pagerduty, pager, details):
    pager.page(page(details=details))
    request = pagerduty.requests("/v2/enqueue")[-1]
    assert request.status == 202
    assert len(request.body.encode()) <= LIMIT
    assert "512 KB" in json.loads(request.body)["payload"]["custom_details"]["cut"]


def test_details_just_under_the_limit_are_sent_whole(pagerduty, pager):
    details = {"output": "x" * (LIMIT - 1000)}
    pager.page(page(details=details))
    assert sent(pagerduty)["payload"]["custom_details"] == details


def test_details_that_json_does_not_know_are_written_as_text(pagerduty, pager):
    loop: dict[str, object] = {}
    loop["loop"] = loop
    details = {
        "nan": float("nan"),
        "at": datetime(2026, 3, 1, tzinfo=UTC),
        "half": "\ud800",
        "huge": 10**5000,
        "bytes": b"x",
        "set": {1},
        "loop": loop,
        3: None,
    }
    pager.page(page(details=details))
    told = sent(pagerduty)["payload"]["custom_details"]
    assert (told["nan"], told["at"], told["half"]) == ("nan", "2026-03-01 00:00:00+00:00", "\ufffd")
    assert (told["bytes"], told["set"], told["3"]) == ("b'x'", [1], None)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=20,
)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    summary=st.text(),
    source=st.text(),
    component=st.text(),
    details=st.dictionaries(st.text(), ANYTHING),
    links=st.lists(st.tuples(st.text(), st.text() | st.just("https://x.example.com"))).map(tuple),
)
def test_every_page_is_accepted(pagerduty, pager, summary, source, component, details, links):
    pager.page(page(summary=summary, source=source, component=component, details=details, links=links))


def test_an_update_of_an_open_page_shows_the_latest_summary(pagerduty, pager):
    pager.page(page())
    pager.page(page(summary="It got worse"))
    assert [each.summary for each in pagerduty.pages()] == ["It got worse"]
