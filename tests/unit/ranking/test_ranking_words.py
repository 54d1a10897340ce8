"""Identifiers and sentences meet in the same stems."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.ranking.words import MAX_CHARACTERS, squeezed, words


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("KubePodCrashLooping", "kube pods crash loops"),
        ("redis_connection_timeouts", "Redis connections timeout"),
        ("kebab-case-names", "KebabCaseName"),
        ("HTTPServerErrors", "http server error"),
        ("etcdMembersDown", "etcd member down"),
    ],
)
def test_an_identifier_is_read_as_the_sentence_that_it_is(one: str, other: str) -> None:
    assert words(one) == words(other)


def test_templates_and_silent_words_say_nothing() -> None:
    assert words("The pod {{ $labels.pod }} is on a node") == words("pod node")


def test_squeezed_keeps_letters_and_digits_alone() -> None:
    assert squeezed("Kube-Pod_Crash 2!") == "kubepodcrash2"


@given(st.text())
def test_any_text_has_words_of_lower_case(text: str) -> None:
    assert all(word == word.lower() and len(word) > 1 for word in words(text))


def test_what_is_longer_than_the_bound_is_not_read() -> None:
    assert words("x" * MAX_CHARACTERS + " redis") == words("x" * MAX_CHARACTERS)
