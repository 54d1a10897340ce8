"""Parameters in typed actions: they fill texts, and never choose an operation, a key or a type."""

import pytest
from cluster_counts import TABLES, Counts
from hypothesis import given
from hypothesis import strategies as st

from agent.domain.command import Filled, Refusal
from agent.domain.runbook import Action
from agent.safety import actions

IN_PROD = {"namespace": "prod"}


def test_a_parameter_fills_a_text_or_a_part_of_one():
    action = Action(
        "kubernetes.delete_pod",
        {"namespace": "{{ns}}", "pods": ("{{ pod }}", "x-{{ pod }}-{{ ns }}"), "n": 3, "on": True},
    )
    bound = actions.bind(action, {"ns": "prod", "pod": "api-1"})
    assert bound == Action(
        "kubernetes.delete_pod",
        {"namespace": "prod", "pods": ("api-1", "x-api-1-prod"), "n": 3, "on": True},
    )


def test_a_value_is_never_read_again():
    bound = actions.bind(Action("a", {"x": "{{ a }}{{ b }}"}), {"a": "{{ b }}", "b": "{{ a }}"})
    assert bound.arguments == {"x": "{{ b }}{{ a }}"}


def test_parameters_of_a_document_are_filled_and_their_names_are_not():
    action = Action("aws.ssm_run_document", {"parameters": {"{{ p }}": "{{ p }}", "q": ["a", "{{ p }}"]}})
    bound = actions.bind(action, {"p": "v"})
    assert bound.arguments == {"parameters": {"{{ p }}": "v", "q": ("a", "v")}}


def test_an_action_without_parameters_stays_as_it_is():
    action = Action("kubernetes.cordon", {"node": "n1"})
    assert actions.bind(action, {}) == action


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "there is no parameter x"),
        ("", "is empty"),
        ("a\nb", "not printable"),
        ("a" * 5000, "too long"),
        ("-A", "could be read as an option"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused(value, reason):
    bound = actions.bind(Action("a", {"k": "{{ x }}"}), {} if value is None else {"x": value})
    assert isinstance(bound, Refusal)
    assert reason in str(bound)
    assert str(bound).startswith("a: ")


@pytest.mark.parametrize("word", ["-{{ x }}", "--{{ x }}", "--no-{{ x }}"])
def test_a_parameter_never_chooses_an_option(word):
    bound = actions.bind(Action("kubernetes.exec", {"command": ["redis-cli", word]}), {"x": "r"})
    assert "cannot choose an option" in str(bound)
    assert isinstance(actions.bind(Action("a", {"command": ["x", "--a={{ x }}"]}), {"x": "r"}), Action)


def test_words_of_a_command_keep_where_parameters_stand():
    action = Action(
        "kubernetes.exec", {**IN_PROD, "pod": "{{ p }}", "command": ["redis-cli", "DEL", "k:{{ p }}"]}
    )
    bound = actions.bind(action, {"p": "r0"})
    assert bound.arguments["command"] == ("redis-cli", "DEL", "k:r0")
    assert bound.filled == (Filled(2, 2, 4),)


@pytest.mark.parametrize(
    ("command", "value"),
    [
        (["{{ x }}", "PING"], "redis-cli"),
        (["redis-cli", "{{ x }}"], "FLUSHALL"),
        (["redis-cli", "FLUSH{{ x }}"], "ALL"),
        (["curl", "http://{{ x }}.internal/"], "evil/x"),
    ],
)
def test_a_parameter_never_chooses_what_runs_inside_a_pod(command, value):
    bound = actions.bind(Action("kubernetes.exec", {**IN_PROD, "pod": "p", "command": command}), {"x": value})
    assert isinstance(actions.analyse(bound, TABLES, counter=Counts()), Refusal)
    written_out = [word.replace("{{ x }}", value) for word in command[:2]]
    if written_out[0] == "redis-cli":
        plain = Action("kubernetes.exec", {**IN_PROD, "pod": "p", "command": written_out})
        assert not isinstance(actions.analyse(plain, TABLES, counter=Counts()), Refusal)


@pytest.mark.parametrize("command", [["redis-cli", "GET", "{{ x }}"], ["redis-cli", "GET", "k:{{ x }}"]])
def test_a_parameter_may_be_a_value_inside_a_pod(command):
    action = Action("kubernetes.exec", {**IN_PROD, "deployment": "api", "command": command})
    bound = actions.bind(action, {"x": "FLUSHALL"})
    assert not isinstance(actions.analyse(bound, TABLES, counter=Counts()), Refusal)


PLAIN = st.one_of(st.text(max_size=20), st.integers(), st.booleans(), st.floats(allow_nan=False))
ARGUMENTS = st.dictionaries(
    st.sampled_from(["namespace", "deployment", "pod", "pods", "command", "replicas", "node", "region", "x"]),
    st.one_of(
        PLAIN,
        st.lists(PLAIN, max_size=3),
        st.just("{{ a }}"),
        st.just(["redis-cli", "{{ a }}"]),
        st.dictionaries(st.text(max_size=5), PLAIN, max_size=2),
        st.sampled_from(["prod", "api", "n1", ("df",), 3]),
    ),
    max_size=4,
)


@given(st.sampled_from([*actions.NAMES, "other"]), ARGUMENTS, st.text(max_size=8))
def test_any_action_is_either_priced_or_refused_with_words(name, arguments, value):
    bound = actions.bind(Action(name, arguments), {"a": value})
    found = bound if isinstance(bound, Refusal) else actions.analyse(bound, TABLES, counter=Counts())
    if isinstance(found, Refusal):
        assert found.reason
        return
    argv, analysis = found
    assert argv[0] == name
    assert analysis.effects
