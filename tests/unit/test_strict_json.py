"""JSON with one meaning."""

from __future__ import annotations

import pytest

from agent.domain.strict_json import strictly_read


@pytest.mark.parametrize("text", ['{"a": [1, null, "x"]}', b'{"a": [1, null, "x"]}'])
def test_what_has_one_meaning_is_read(text: str | bytes) -> None:
    assert strictly_read(text) == {"a": [1, None, "x"]}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"a": 1, "a": 2}', "a key stands twice in one object"),
        ('[{"b": {"a": 1, "a": 1}}]', "a key stands twice in one object"),
        ('{"a": NaN}', "NaN is no JSON"),
        ("[-Infinity]", "-Infinity is no JSON"),
        ("{", "Expecting property name"),
        (b"\xff\xfe\xfa", "codec can't decode"),
    ],
)
def test_what_may_be_read_in_two_ways_or_in_none_is_told(text: str | bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        strictly_read(text)
