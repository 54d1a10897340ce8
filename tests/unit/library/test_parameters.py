import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.domain.alert import Alert, Severity
from agent.domain.command import Refusal
from agent.domain.decisions import ParameterValue
from agent.domain.runbook import Parameter
from agent.library import Broken, Parsed, bind, check_captured, parse


def declared(*lines: str) -> tuple[Parameter, ...]:
    text = (
        "## Trigger Conditions\n- Service: a\n## Parameters\n"
        + "\n".join(f"- {line}" for line in lines)
        + "\n## Steps\n### Step 1: a\n```sh\ndf\n```\nCapture: slot from /x/\n"
    )
    result = parse(text, path="a.md")
    assert isinstance(result, Parsed), getattr(result, "problems", result)
    return result.runbook.parameters


@pytest.mark.parametrize(
    ("line", "parameter"),
    [
        ('p: label "pod"; pattern /^[a-z]+$/', Parameter("p", 4, label="pod", pattern="^[a-z]+$")),
        ("p: label pod; pattern /a;b/", Parameter("p", 4, label="pod", pattern="a;b")),
        (
            "p: label k8s.io/name /(x)/ ; one of x",
            Parameter("p", 4, label="k8s.io/name", field_pattern="(x)", one_of=("x",)),
        ),
        (
            "p: title /flip (\\w+)/; pattern /^[a-z]+$/",
            Parameter("p", 4, alert_field="title", field_pattern="flip (\\w+)", pattern="^[a-z]+$"),
        ),
        ("p: Service; one of a, b", Parameter("p", 4, alert_field="service", one_of=("a", "b"))),
        ("p: one of a, b; default b", Parameter("p", 4, one_of=("a", "b"), default="b")),
        ("p: one of /, /var; default /var", Parameter("p", 4, one_of=("/", "/var"), default="/var")),
        ('p: one of "a b", \'c\'; default "a b"', Parameter("p", 4, one_of=("a b", "c"), default="a b")),
        ("p: default x; pattern /x/", Parameter("p", 4, default="x", pattern="x")),
        ("slot: captured; pattern /x/", Parameter("slot", 4, captured=True, pattern="x")),
    ],
)
def test_clauses_are_understood(line, parameter):
    assert declared(line) == (parameter,)


@pytest.mark.parametrize(
    "line",
    [
        'p: label "pod"',
        "p: title /x(y)/",
        "p: pattern /x/",
        'p: label "p q"; pattern /x/',
        "p: label; pattern /x/",
        'p: label "pod" x; pattern /x/',
        'p: label "pod; pattern /x/',
        "p: title x; pattern /x/",
        "p: pattern x; default x",
        "p: pattern /x/; default x; default x",
        "p: pattern /x/; one of x; default x",
        "p: one of a,, b",
        "p: one of",
        "p: one of a; default b",
        "p: one of -a, b",
        'p: one of a; default ""',
        'p: one of a; default "a" b',
        "slot: captured now; pattern /x/",
        "slot: captured; pattern /x/; default x",
        "p: captured; pattern /x/",
        "p: label pod; pattern /x/;",
        "p:",
        "p-q: default a; one of a",
        "p: hostname; one of a",
    ],
)
def test_clauses_that_are_not_understood_break_the_runbook(line):
    text = (
        f"## Trigger Conditions\n- Service: a\n## Parameters\n- {line}\n"
        "## Steps\n### Step 1: a\n```sh\ndf\n```\nCapture: slot from /x/\n"
    )
    result = parse(text, path="a.md")
    assert isinstance(result, Broken)
    assert result.problems[0].line == 4


ALERT = Alert(
    "x",
    "1",
    "please flip dark_mode now",
    body="b",
    service="web",
    severity=Severity.ERROR,
    labels={
        "pod": "web-7f",
        "evil": "a b; rm -rf /",
        "lines": "a\nb",
        "dash": "--all",
        "zero": "",
        "long": "a" * 300,
    },
)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ('p: label "pod"; pattern /^[a-z0-9-]+$/', ParameterValue("web-7f", "label pod")),
        ("p: label pod /^([a-z]+)/; pattern /[a-z]+/", ParameterValue("web", "label pod, /^([a-z]+)/")),
        (
            "p: title /flip (\\w+)/; pattern /\\w+/",
            ParameterValue("dark_mode", "alert's title, /flip (\\w+)/"),
        ),
        ("p: service; one of web, api", ParameterValue("web", "alert's service")),
        ("p: severity; one of error, info", ParameterValue("error", "alert's severity")),
        ("p: label nothing; one of a, b; default b", ParameterValue("b", "default")),
        ("p: label zero; one of a, b; default b", ParameterValue("b", "default")),
        ("p: title /flop (\\w+)/; one of a; default a", ParameterValue("a", "default")),
        ("p: one of a, b; default a", ParameterValue("a", "default")),
        ("p: label evil; pattern /.*/", ParameterValue("a b; rm -rf /", "label evil")),
    ],
)
def test_values_are_bound_from_the_alert(line, value):
    assert bind(declared(line), ALERT) == {"p": value}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("p: label nothing; pattern /x/", "parameter p has no value: the alert's label “nothing” is missing"),
        ("p: team; pattern /x/", "parameter p has no value: the alert's team is missing"),
        ("p: title /flop (x)/; pattern /x/", "the alert's title has no match of /flop (x)/"),
        ("p: label pod /(x)/; pattern /x/", "the alert's label “pod” has no match of /(x)/"),
        ("p: one of a, b", "somebody must choose it"),
        ("p: label evil; pattern /^[a-z]+$/", "does not match /^[a-z]+$/ as a whole (from label evil)"),
        ("p: label evil; pattern /[a-z]/", "as a whole"),
        ("p: label pod; one of a, b", "“web-7f” is not one of a, b"),
        ("p: label lines; pattern /(?s).*/", "characters that cannot be printed"),
        ("p: label long; pattern /.*/", "longer than 256 characters"),
        ("p: label dash; pattern /.*/", "begins with a hyphen"),
        ("p: body; pattern /x/; default x", "does not match"),
    ],
)
def test_what_cannot_be_bound_is_refused_by_name(line, told):
    refusal = bind(declared(line), ALERT)
    assert isinstance(refusal, Refusal)
    assert told in refusal.reason
    assert refusal.reason.startswith("parameter p")
    assert refusal.hint


def test_an_optional_group_that_did_not_take_part_is_no_value():
    assert isinstance(bind(declared("p: title /flip(x)?/; pattern /.*/"), ALERT), Refusal)


def test_a_choice_fills_what_the_alert_leaves_open_and_is_checked():
    open_choice = declared("p: one of a, b")
    assert bind(open_choice, ALERT, chosen={"p": "b"}) == {"p": ParameterValue("b", "chosen")}
    assert isinstance(bind(open_choice, ALERT, chosen={"p": "c"}), Refusal)
    from_label = declared("p: label pod; pattern /.*/")
    assert bind(from_label, ALERT, chosen={"p": "other"}) == {"p": ParameterValue("web-7f", "label pod")}


def test_a_captured_parameter_has_no_value_before_its_step_and_is_checked_then():
    (slot,) = declared("slot: captured; pattern /^[0-9]+$/")
    assert bind([slot], ALERT) == {}
    assert check_captured(slot, ParameterValue("12", "output")) == ParameterValue("12", "output")
    assert isinstance(check_captured(slot, ParameterValue("x", "output")), Refusal)


def test_a_parameter_held_to_nothing_is_refused():
    assert isinstance(bind([Parameter("p", 1, label="pod")], ALERT), Refusal)


@given(st.text() | st.text(alphabet="a-\n\r\t \x00;|$`", max_size=10))
def test_no_value_with_line_ends_or_control_characters_passes(value):
    bound = bind(declared("p: label pod; pattern /(?s).*/"), Alert("x", "1", "t", labels={"pod": value}))
    if not isinstance(bound, Refusal):
        assert bound["p"].value == value
        assert value.isprintable()
        assert not value.startswith("-")
