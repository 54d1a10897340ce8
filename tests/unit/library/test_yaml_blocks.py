"""YAML is read the same by the parser in C and by the one in Python; both refuse the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.library import yaml_blocks
from agent.library.problems import NotUnderstoodError
from agent.library.yaml_blocks import load_mapping

PIECES = (
    "id: a-1|owner: team|tags: [a, b]|  deep: 1|- x|a: &b 1|c: *b|d: !x 1|<<: {e: 1}|id: again|{|]|"
    "f: 'it''s'|"
    'g: "x\\n"|h: 2026-01-01|i: 0x1F|j: yes|# note|k:|l: {a: {b: {c: {d: {e: {f: 1}}}}}}|? m|: n|--- x|o: >|'
    "  text|\tp: 1|q: é\u2028r"
)
LINES = st.lists(st.sampled_from(PIECES.split("|")), max_size=6)


def result(text: str) -> object:
    try:
        return load_mapping(text)
    except NotUnderstoodError as error:
        return f"{error.message} | {error.fix}"


@given(LINES)
def test_both_parsers_give_the_same_values_and_the_same_words(lines):
    text = "\n".join(lines)
    fast = result(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yaml_blocks, "_FastLoader", None)
        assert repr(fast) == repr(result(text))


def test_where_the_fast_parser_is_missing_yaml_is_read_all_the_same(monkeypatch):
    monkeypatch.setattr(yaml_blocks, "_FastLoader", None)
    assert load_mapping("a: [1, 2]") == {"a": [1, 2]}
