from __future__ import annotations

import json

from hypothesis import example, given
from hypothesis import strategies as st

from agent.adapters.packing import pack, unpack


@given(st.text(alphabet=st.characters(), max_size=3_000))
@example("~")
@example("~" * 600)
@example("{}" * 600)
@example("\ud800" * 600)
def test_what_was_packed_is_what_comes_out(text: str) -> None:
    assert unpack(pack(text)) == text


@given(st.text(max_size=3_000))
def test_packing_makes_nothing_longer_but_what_looks_packed(text: str) -> None:
    assert len(pack(text)) <= len(text) or text.startswith("~")


def test_what_was_kept_before_there_was_packing_reads_as_it_is() -> None:
    assert unpack('{"a": 1}' + " " * 10_000) == '{"a": 1}' + " " * 10_000


def test_a_text_that_repeats_itself_becomes_much_smaller() -> None:
    text = json.dumps([{"argv": ["kubectl", "get", "pods"], "effects": []}] * 50)
    assert len(pack(text)) < len(text) / 5
