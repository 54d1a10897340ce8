"""What a backtest counts, what it calls the same, and when a later one is worse."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.domain.alert import Alert
from agent.domain.history import PastAlert
from agent.reports.backtest import Choice, Decision, Outcome, backtest
from agent.reports.backtest_clusters import clusters
from agent.reports.backtest_html import About, as_html, number, percent
from agent.reports.backtest_json import as_json, compared, measures

BEGIN = datetime(2026, 3, 2, 9, tzinfo=UTC)
ABOUT = About("history.jsonl", 2, 0.8, "by rules")
FLUSH = Choice("flush", 1.0, "runbooks/Flush-Cache.md")
SCALE = Choice("scale", 0.6, "runbooks/scale.md")


def outcome(at=0, title="Redis is down", decision=Decision.MATCH, choices=None, runbook=None, service="api"):
    choices = ((FLUSH,) if decision is Decision.MATCH else ()) if choices is None else choices
    alert = Alert("pagerduty", f"Q{at}", title, service=service)
    return Outcome(PastAlert(f"Q{at}", alert, BEGIN + timedelta(hours=at), runbook), decision, choices)


def test_pages_are_counted_by_what_would_have_been_done():
    report = backtest(
        [
            outcome(0),
            outcome(1),
            outcome(2, decision=Decision.AMBIGUOUS, choices=(SCALE, FLUSH)),
            outcome(3, "Tape robot stuck", Decision.NONE),
        ]
    )
    assert [report.counts[each] for each in Decision] == [2, 1, 1]
    assert [(use.runbook, use.count, use.share) for use in report.runbooks] == [("flush", 2, 0.5)]
    assert [(doubt.runbooks, doubt.count) for doubt in report.doubts] == [(("flush", "scale"), 1)]
    assert [(each.title, each.share) for each in report.wanted] == [("Tape robot stuck", 0.25)]
    assert report.hours[9][Decision.MATCH] == 1
    assert report.days[0][Decision.NONE] == 1
    assert report.confidences[6] == 1
    assert report.confidences[9] == 2


def test_titles_that_differ_in_hosts_and_numbers_are_one_kind():
    titles = [f"Disk almost full on web-{at}: {at} % left" for at in range(20)]
    titles += ["Replication of the orders database lags"] * 3
    found = clusters(titles)
    assert [len(each.members) for each in found] == [20, 3]
    assert found[1].title == "Replication of the orders database lags"
    assert "replic" in found[1].words


@given(st.lists(st.text(max_size=60), max_size=30))
def test_every_title_is_in_one_cluster_and_their_order_does_not_matter(titles):
    found = clusters(titles)
    assert sorted(at for each in found for at in each.members) == list(range(len(titles)))
    turned = clusters(titles[::-1])
    assert [(each.title, len(each.members)) for each in found] == [
        (each.title, len(each.members)) for each in turned
    ]


def test_an_alert_that_comes_back_within_the_hour_is_noise():
    flapping = [outcome(at / 4, "Probe failed") for at in range(4)]
    report = backtest([*flapping, outcome(0, "Once"), outcome(5, "Twice"), outcome(9, "Twice")])
    assert [(each.title, each.count, each.soon, each.gap_s) for each in report.noise] == [
        ("Probe failed", 4, 3, 900.0)
    ]
    assert report.noise_count == 3


@pytest.mark.parametrize(
    ("made", "kind"),
    [
        (outcome(runbook="flush"), "right"),
        (outcome(runbook="runbooks/Flush-Cache.md"), "right"),
        (outcome(runbook="flush-cache"), "right"),
        (outcome(runbook="scale"), "wrong"),
        (outcome(runbook=""), "wrong"),
        (outcome(decision=Decision.AMBIGUOUS, choices=(SCALE, FLUSH), runbook="flush"), "offered"),
        (outcome(decision=Decision.AMBIGUOUS, choices=(SCALE,), runbook="flush"), "offered_without"),
        (outcome(decision=Decision.NONE, runbook="flush"), "missed"),
        (outcome(decision=Decision.NONE, runbook=""), "rightly_none"),
        (outcome(decision=Decision.AMBIGUOUS, choices=(SCALE,), runbook=""), "asked_for_none"),
    ],
)
def test_a_decision_is_held_to_its_label(made, kind):
    labelled = backtest([made, outcome(1, runbook=None)], labels=True).labelled
    assert labelled is not None
    assert (labelled.count, getattr(labelled, kind)) == (1, 1)
    assert len(labelled.mistakes) == (kind == "wrong")


def test_the_report_is_the_same_whatever_order_the_pages_come_in():
    made = [
        outcome(at % 7, f"Alert {'ABC'[at % 3]} on host-{at}", list(Decision)[at % 3], runbook="flush")
        for at in range(30)
    ]
    one, other = backtest(made, labels=True), backtest(made[::-1], labels=True)
    assert json.dumps(as_json(one)) == json.dumps(as_json(other))
    assert as_html(one, about=ABOUT) == as_html(other, about=ABOUT)


def test_a_report_is_worse_only_beyond_the_tolerance():
    good = backtest([outcome(at, runbook="flush") for at in range(10)], labels=True)
    bad = backtest(
        [outcome(0, decision=Decision.NONE, runbook="flush")]
        + [outcome(at, runbook="flush") for at in range(1, 10)],
        labels=True,
    )
    before = json.loads(json.dumps(as_json(good)))
    assert [each.name for each in compared(bad, before, tolerance=0.01) if each.is_worse] == [
        "match_share",
        "missed_share",
    ]
    assert not any(each.is_worse for each in compared(bad, before, tolerance=0.1))
    assert not any(each.is_worse for each in compared(good, as_json(bad), tolerance=0))
    assert compared(good, {"measures": {"match_share": "high", "precision": True}}, tolerance=0) == ()


def test_nothing_to_report_is_a_report_too():
    report = backtest([], labels=True)
    assert measures(report) == {"match_share": 0.0, "ambiguous_share": 0.0}
    assert "no pages in this time" in as_html(report, about=ABOUT)


def test_texts_of_alerts_never_become_markup():
    hostile = '<script>alert(1)</script><img src=x onerror="x">{{ 7*7 }}'
    made = [outcome(at / 9, hostile, decision, service=hostile) for at, decision in enumerate(Decision)]
    made += [outcome(9, hostile, choices=(Choice(hostile, 1.0, hostile),), runbook=hostile + "x")] * 3
    report = backtest(made, labels=True)
    html = as_html(
        report, about=About(hostile, 1, 0.8, "x"), measures=compared(report, as_json(report), tolerance=0)
    )
    assert "<script" not in html
    assert "<img" not in html
    assert "{{ 7*7 }}" in html
    assert "&lt;script&gt;" in html


def test_the_page_needs_nothing_from_elsewhere():
    html = as_html(backtest([outcome(at) for at in range(5)]), about=ABOUT)
    assert "default-src 'none'" in html
    for word in ("http://", "https://", "<script", "<link", "url(", "@import"):
        assert word not in html


@pytest.mark.parametrize(
    ("share", "told"), [(0, "0 %"), (0.0001, "0.1 %"), (0.14, "14 %"), (0.9999, "99.9 %"), (1, "100 %")]
)
def test_a_share_is_never_rounded_to_all_or_nothing(share, told):
    assert percent(share) == told
    assert number(1234567) == "1\u202f234\u202f567"
