from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.domain.alert import Alert, Severity, Urgency
from agent.domain.trigger import AllOf, AnyOf, Contains, FieldIs, Matches, Not, SeverityIs, Trigger
from agent.library import Parsed, Verdict, evaluate, parse
from agent.library.problems import NotUnderstoodError
from agent.library.trigger_expressions import parse as expression

ALERT = Alert(
    source="pagerduty",
    source_id="P1",
    title="Redis connection TIMEOUT on api-gateway",
    body="max clients reached\nsee https://example.com",
    service="api-gateway",
    severity=Severity.ERROR,
    urgency=Urgency.HIGH,
    priority="P1",
    team="Core Platform",
    labels={"region": "eu-west-1", "kubernetes.io/app": "gw"},
)


def trigger_of(*lines: str) -> Trigger:
    text = "## Trigger Conditions\n" + "\n".join(lines) + "\n## Steps\n### Step 1: a\n```sh\ndf\n```\n"
    result = parse(text, path="a.md")
    assert isinstance(result, Parsed), getattr(result, "problems", result)
    return result.runbook.trigger


A, B, C = Contains("a"), Contains("b"), Contains("c")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a", A),
        ("a AND b", AllOf((A, B))),
        ("a OR b AND c", AnyOf((A, AllOf((B, C))))),
        ("(a OR b) AND c", AllOf((AnyOf((A, B)), C))),
        ("NOT a AND b", AllOf((Not(A), B))),
        ("NOT (a OR b)", Not(AnyOf((A, B)))),
        ("NOT NOT a", Not(Not(A))),
        ("(a)", A),
        ("a b c", Contains("a b c")),
        ("a and b or not c", Contains("a and b or not c")),
        ('"a b" AND c', AllOf((Contains("a b"), C))),
        ('"AND"', Contains("AND")),
        ('"say \\"hi\\""', Contains('say "hi"')),
        ("'it is'", Contains("it is")),
        ("can't connect", Contains("can't connect")),
        ("“a”", A),
        ("a, b, c", AllOf((A, B, C))),
        ('"a","b" , c', AllOf((A, B, C))),
        ("connection timeout, redis", AllOf((Contains("connection timeout"), Contains("redis")))),
        ("a, service:x, /b/", AllOf((A, FieldIs("service", "x"), Matches("b")))),
        ("/a b\\/c/", Matches("a b/c")),
        ("title:/^a/", Matches("^a", "title")),
        ("service:api-*", FieldIs("service", "api-*")),
        ('SERVICE:"API Gateway"', FieldIs("service", "API Gateway")),
        ("label.kubernetes.io/app:gw", FieldIs("label.kubernetes.io/app", "gw")),
        ("Label.Region:eu", FieldIs("label.Region", "eu")),
        ("severity:High", SeverityIs("high")),
        ("severity:error", FieldIs("severity", "error")),
        ("urgency:high", FieldIs("urgency", "high")),
        ("a AND b AND service:api-gateway", AllOf((A, B, FieldIs("service", "api-gateway")))),
        ("10:30", Contains("10:30")),
    ],
)  # fmt: skip
def test_alert_contains_is_a_small_language(text, tree):
    assert expression(text) == tree


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is missing: at its end"),
        ("   ", "is missing: at its end"),
        ("AND a", "is missing: at “AND” (character 1)"),
        ("a AND", "is missing: at its end"),
        ("a OR OR b", "is missing: at “OR” (character 6)"),
        ("NOT", "is missing: at its end"),
        ("()", "is missing: at “)” (character 2)"),
        ("(a", "not closed: at its end"),
        ("a )", "AND or OR is missing before: at “)” (character 3)"),
        ('a "b"', 'AND or OR is missing before: at “"b"” (character 3)'),
        ("a service:b", "AND or OR is missing before"),
        ("a NOT b", "AND or OR is missing before: at “NOT”"),
        ("a,", "an item is missing after the comma"),
        (",a", "a comma too many: at “,” (character 1)"),
        ("a,,b", "a comma too many"),
        ('a, "b" "c"', "a comma is missing before"),
        ("a, b OR c", "cannot be mixed"),
        ("a, (b)", "cannot be mixed"),
        ('"a', "never ends"),
        ('""', "an empty text in quotes (character 1)"),
        ("a ” b", "a quote that nothing opened (character 3)"),
        ('"\\q"', "\\q in a quoted text has no meaning"),
        ("/a", "never ends"),
        ("//", "is empty"),
        ("/" + "a" * 1_001 + "/", "longer than 1000"),
        ("/(a{1000}){1000}/", "not valid"),
        ("/(?=a)/", "not valid"),
        ("/\ud800/", "not valid"),
        ("/a/x", "letters after the pattern"),
        ("http://x", "“http” is not a field (character 1)"),
        ("priority:P1", "is not a field"),
        ("service:", "service: has no value"),
        ('service:" "', "service: has no value"),
        ("service:, a", "service: has no value"),
    ],
)
def test_errors_say_where(text, told):
    with pytest.raises(NotUnderstoodError) as caught:
        expression(text)
    assert told in caught.value.message
    assert caught.value.fix


@pytest.mark.parametrize(
    ("line", "holds", "word"),
    [
        ('Alert contains: "redis", "timeout"', True, "title contains “redis”"),
        ("Alert contains: CLIENTS", True, "body contains “CLIENTS”"),
        ("Alert contains: postgres", False, "neither title nor body contains “postgres”"),
        ("Alert contains: redis AND postgres", False, "neither title nor body contains “postgres”"),
        ("Alert contains: postgres OR redis", True, "title contains “redis”"),
        (
            "Alert contains: postgres OR mysql",
            False,
            "contains “postgres” and neither title nor body contains",
        ),
        ("Alert contains: NOT redis", False, "title contains “redis”, which the runbook excludes"),
        (
            "Alert contains: NOT postgres",
            True,
            "as wanted by NOT: neither title nor body contains “postgres”",
        ),
        ("Alert contains: /conn\\w+ timeout/", True, "title matches /conn\\w+ timeout/"),
        ("Alert contains: /^max/", True, "body matches /^max/"),
        ("Alert contains: /^reached/", False, "neither title nor body matches /^reached/"),
        ("Alert contains: title:/^Redis/", True, "title matches"),
        ("Alert contains: title:/^max/", False, "title does not match /^max/"),
        ("Alert contains: environment:/prod/", False, "environment unknown, runbook wants a match of /prod/"),
        ("Alert contains: title:redis", False, "runbook wants redis"),
        ("Alert contains: title:redis*", True, "(redis*)"),
        ("Alert contains: body:*https*", True, "body is max clients"),
        ("Alert contains: severity:high", True, "severity is error"),
        ("Alert contains: severity:err?r", True, "severity is error (err?r)"),
        ("Alert contains: urgency:high", True, "urgency is high"),
        ("Alert contains: urgency:low", False, "urgency is high, runbook wants low"),
        ('Alert contains: team:"core platform"', True, "team is Core Platform"),
        ("Alert contains: environment:production", False, "environment unknown, runbook wants production"),
        ("Alert contains: NOT environment:staging", False, "cannot tell, for NOT: environment unknown"),
        ("Alert contains: NOT (environment:staging AND postgres)", True, "neither title nor body contains"),
        ("Alert contains: environment:staging OR redis", True, "title contains “redis”"),
        ("Alert contains: label.region:eu-*", True, "label.region is eu-west-1 (eu-*)"),
        ("Alert contains: label.zone:a", False, "no label zone, runbook wants a"),
        ("Alert contains: NOT label.zone:a", True, "as wanted by NOT: no label zone"),
        ("Label region: us-1, eu-west-?", True, "label.region is eu-west-1 (eu-west-?)"),
        ("label kubernetes.io/app: gw", True, "label.kubernetes.io/app is gw"),
        ("Severity: high or critical", True, "severity is error"),
        ("Severity: critical", False, "severity is error, runbook wants critical"),
        ("Severity: medium, low", False, "severity is error, runbook wants medium"),
        ("Severity: ERROR", True, "severity is error"),
        ("Service: user-service, API-gateway", True, "service is api-gateway"),
        ("Service: api-* OR user-*", True, "service is api-gateway (api-*)"),
        ("Service: api-gate", False, "service is api-gateway, runbook wants api-gate"),
        ("Service: api[-]gateway", False, "runbook wants api[-]gateway"),
        ('Service: "a or b", api-gateway', True, "service is api-gateway"),
        ("Source: pagerduty", True, "source is pagerduty"),
        ("Priority: P1", True, "priority is P1"),
        ("Priority: P2 or P3", False, "priority is P1, runbook wants P2"),
    ],
)
def test_each_condition_is_told_word_by_word(line, holds, word):
    verdict = evaluate(trigger_of(line), ALERT)
    assert verdict.holds is holds
    told, other = (verdict.reasons, verdict.missing) if holds else (verdict.missing, verdict.reasons)
    assert any(word in text for text in told), told
    assert not other


def test_all_lines_must_hold_and_both_sides_are_told():
    verdict = evaluate(
        trigger_of("- Alert contains: redis", "- Severity: critical", "- Service: api-*"), ALERT
    )
    assert verdict == Verdict(
        holds=False,
        reasons=("title contains “redis”", "service is api-gateway (api-*)"),
        missing=("severity is error, runbook wants critical",),
    )


def test_alert_contains_may_stand_in_several_lines():
    assert evaluate(trigger_of("- Alert contains: redis", "- Alert contains: timeout"), ALERT).holds


def test_a_trigger_without_conditions_holds_for_no_alert():
    assert not evaluate(Trigger(), ALERT).holds


@pytest.mark.parametrize(
    ("severity", "urgency", "word", "told"),
    [
        (None, None, "critical", "severity unknown, runbook wants critical"),
        (None, None, "high", "severity unknown, runbook wants high"),
        (None, Urgency.HIGH, "critical", "severity unknown, runbook wants critical"),
        (None, Urgency.HIGH, "medium", "severity unknown, runbook wants medium"),
        (None, Urgency.LOW, "high", "urgency is low, runbook wants high"),
        (Severity.INFO, None, "critical", "severity is info, runbook wants critical"),
    ],
)
def test_severity_and_urgency_that_do_not_meet_a_word(severity, urgency, word, told):
    alert = Alert("x", "1", "t", severity=severity, urgency=urgency)
    assert evaluate(trigger_of(f"Severity: {word}"), alert) == Verdict(False, (), (told,))


@pytest.mark.parametrize(
    ("severity", "urgency", "word", "told"),
    [
        (None, Urgency.HIGH, "high", "urgency is high"),
        (Severity.WARNING, Urgency.HIGH, "high", "urgency is high"),
        (None, Urgency.LOW, "low", "urgency is low"),
        (Severity.CRITICAL, None, "critical", "severity is critical"),
        (Severity.WARNING, None, "medium", "severity is warning"),
    ],
)
def test_severity_and_urgency_that_meet_a_word(severity, urgency, word, told):
    alert = Alert("x", "1", "t", severity=severity, urgency=urgency)
    assert evaluate(trigger_of(f"Severity: {word}"), alert) == Verdict(True, (told,), ())


def test_an_empty_body_is_known_to_be_empty():
    alert = Alert("x", "1", "t")
    assert evaluate(trigger_of("Alert contains: body:*"), alert).missing == (
        "body is empty, runbook wants *",
    )
    assert evaluate(trigger_of("Alert contains: NOT body:/x/"), alert).holds


def test_long_and_odd_alert_texts_are_shown_short():
    alert = Alert("x", "1", "t", service="a\n" + "b" * 500)
    (missing,) = evaluate(trigger_of("Service: c"), alert).missing
    assert "\n" not in missing
    assert len(missing) < 120


def test_half_a_surrogate_pair_in_an_alert_is_no_reason_to_crash():
    alert = Alert("x", "1", "\ud800 redis", service="\udfff")
    assert evaluate(trigger_of("Alert contains: /redis/", "Service: ?"), alert).holds


@given(st.text(), st.text(), st.text())
def test_a_condition_and_its_not_never_both_hold(title, body, service):
    alert = Alert("x", "1", title, body=body, service=service)
    for condition in ("a", "service:a*", "/a|b/", "severity:high", "(a OR service:b)"):
        plain = evaluate(trigger_of(f"Alert contains: {condition}"), alert)
        negated = evaluate(trigger_of(f"Alert contains: NOT {condition}"), alert)
        assert not (plain.holds and negated.holds)
        assert plain.reasons or plain.missing


@given(st.text(max_size=60))
def test_no_expression_makes_it_crash(text):
    with suppress(NotUnderstoodError):
        expression(text)
