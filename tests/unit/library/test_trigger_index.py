"""The index over triggers gives what evaluating all of them gives, and looks at few."""

from hypothesis import given
from hypothesis import strategies as st

from agent.domain.alert import SEVERITY_WORDS, Alert, Severity, Urgency
from agent.domain.trigger import (
    AllOf,
    AnyOf,
    Condition,
    Contains,
    Expression,
    FieldIs,
    Matches,
    Not,
    SeverityIs,
    Trigger,
)
from agent.library import evaluate
from agent.library.trigger_index import TriggerIndex

#: Few letters, so that alerts and triggers meet; with those that fold into others or into two.
TEXTS = st.text(alphabet="aAbKsſßẞıİ\u212aéÉ -*?\ud800", max_size=6)
FULL_TEXTS = TEXTS.filter(bool)
FIELDS = st.sampled_from(
    ["title", "body", "service", "source", "severity", "urgency", "priority", "team", "label.pod"]
)
LEAVES = st.one_of(
    st.builds(Contains, FULL_TEXTS),
    st.builds(FieldIs, FIELDS, FULL_TEXTS),
    st.builds(FieldIs, st.just("severity"), st.sampled_from(["critical", "ERROR", "warn*", "?nfo"])),
    st.builds(SeverityIs, st.sampled_from(sorted(SEVERITY_WORDS))),
    st.builds(Matches, st.sampled_from(["a+b", "^k", "s$", "(?i)B"]), st.sampled_from(["", "title", "team"])),
)
EXPRESSIONS: st.SearchStrategy[Expression] = st.recursive(
    LEAVES,
    lambda parts: st.one_of(
        st.builds(Not, parts),
        st.lists(parts, min_size=1, max_size=3).map(lambda each: AllOf(tuple(each))),
        st.lists(parts, min_size=1, max_size=3).map(lambda each: AnyOf(tuple(each))),
    ),
    max_leaves=5,
)
TRIGGERS = st.lists(EXPRESSIONS, max_size=3).map(
    lambda each: Trigger(tuple(Condition("", 1, expression) for expression in each))
)
ALERTS = st.builds(
    Alert,
    source=TEXTS,
    source_id=st.just("1"),
    title=TEXTS,
    body=TEXTS,
    service=TEXTS,
    severity=st.none() | st.sampled_from(list(Severity)),
    urgency=st.none() | st.sampled_from(list(Urgency)),
    priority=TEXTS,
    team=TEXTS,
    labels=st.dictionaries(st.sampled_from(["pod", "node"]), TEXTS, max_size=2),
)


@given(st.dictionaries(st.sampled_from("abcdef"), TRIGGERS), ALERTS)
def test_the_index_gives_exactly_what_evaluating_every_trigger_gives(triggers, alert):
    every = [(key, evaluate(trigger, alert)) for key, trigger in sorted(triggers.items())]
    held = tuple((key, verdict) for key, verdict in every if verdict.holds)
    assert TriggerIndex(triggers).eligible(alert) == held


@given(st.lists(st.tuples(st.sampled_from("abc"), st.none() | TRIGGERS), max_size=8), ALERTS)
def test_single_changes_leave_what_a_new_index_would_have(changes, alert):
    index, kept = TriggerIndex(), {}
    for key, trigger in changes:
        if trigger is None:
            index.remove(key)
            kept.pop(key, None)
        else:
            index.put(key, trigger)
            kept[key] = trigger
    assert index.eligible(alert) == TriggerIndex(kept).eligible(alert)
    for key in kept:
        index.remove(key)
    assert (len(index), index.possible(alert)) == (0, frozenset())


def trigger(*expressions: Expression) -> Trigger:
    return Trigger(tuple(Condition("", 1, expression) for expression in expressions))


def alert(title: str = "", **fields: str) -> Alert:
    return Alert("pagerduty", "1", title, **fields)


def test_of_many_runbooks_only_those_that_can_hold_are_evaluated():
    index = TriggerIndex(
        {f"b{at}": trigger(Contains("timeout"), FieldIs("service", f"api-{at}")) for at in range(500)}
    )
    assert index.possible(alert("timeout", service="API-7")) == {"b7"}
    assert index.possible(alert("timeout")) == frozenset()


def test_a_text_is_found_inside_a_word_and_a_glob_by_its_beginning():
    index = TriggerIndex(
        {
            "inside": trigger(Contains("CRASH")),
            "glob": trigger(FieldIs("label.pod", "web-*")),
            "short": trigger(Contains("db")),
        }
    )
    found = index.eligible(Alert("p", "1", "KubePodCrashLooping in mydb", labels={"pod": "WEB-1"}))
    assert [key for key, _ in found] == ["glob", "inside", "short"]


def test_what_names_nothing_for_certain_is_always_evaluated():
    index = TriggerIndex(
        {
            "not": trigger(Not(Contains("x"))),
            "regex": trigger(Matches("a.b")),
            "any": trigger(AnyOf((Contains("redis"), Matches("c")))),
            "nothing": trigger(),
        }
    )
    assert index.possible(alert("zzz")) >= {"not", "regex", "any"}
    assert [key for key, _ in index.eligible(alert("zzz"))] == ["not"]


def test_a_megabyte_of_title_is_looked_through():
    index = TriggerIndex({"a": trigger(Contains("needle"))})
    assert index.possible(alert("hay " * 250_000 + "needle")) == {"a"}
