import pytest

from agent.domain.command import Refusal
from agent.domain.decisions import ParameterValue
from agent.domain.runbook import Capture
from agent.library import captures


@pytest.mark.parametrize(
    ("line", "output", "value"),
    [
        ("slot from /slot ([0-9]+)/", "slot 12 taken", "12"),
        ("slot from /slot [0-9]+/", "slot 12 taken", "slot 12"),
        ("slot from .items[0].name", '{"items": [{"name": "web"}]}', "web"),
        ("slot from jq .n", '{"n": 5}', "5"),
        ("slot from .ok", '{"ok": true}', "true"),
    ],
)
def test_a_value_is_taken_from_the_output(line, output, value):
    taken = captures.apply(captures.parse(line), output)
    assert isinstance(taken, ParameterValue)
    assert taken.value == value
    assert taken.origin.startswith("output at ")


@pytest.mark.parametrize(
    ("line", "output", "told"),
    [
        ("slot from /slot ([0-9]+)/", "nothing", "the output has nothing at /slot ([0-9]+)/"),
        ("slot from /(a)|b/", "b", "the output has nothing at"),
        ("slot from /slot (.*)/", "slot ", "cannot be used as a value"),
        ("slot from /(?s)(.*)/", "a\nb", "cannot be used as a value"),
        ("slot from /(.*)/", "\x1b[31mred", "cannot be used as a value"),
        ("slot from /(.*)/", "a" * 300, "cannot be used as a value"),
        ("slot from .a", "no json", "the output has nothing at .a"),
        ("slot from .a", '{"a": null}', "the output has nothing at .a"),
        ("slot from .a", '{"a": [1]}', "the output has nothing at .a"),
        ("slot from .a", '{"a": "x\\ny"}', "cannot be used as a value"),
    ],
)
def test_an_output_that_gives_no_clean_value_is_refused(line, output, told):
    taken = captures.apply(captures.parse(line), output)
    assert isinstance(taken, Refusal)
    assert told in taken.reason
    assert taken.reason.startswith("capture slot")


def test_both_forms_are_kept_as_declared():
    assert captures.parse("slot from /a b/") == Capture("slot", pattern="a b")
    assert captures.parse("slot from .a[0]") == Capture("slot", path=".a[0]")
