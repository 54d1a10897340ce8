"""What `kubectl describe` tells of an environment: names, and where values come from, never values."""

from hypothesis import given
from hypothesis import strategies as st

from agent.safety.redaction import Redactor

DESCRIBED = """\
Containers:
  api:
    Image:  api:1
    Environment:
      STRIPE_SK:   made-up-value-one
      SIGNING:     0f0f0f0f
      MANY:        first line
                   second line
      FROM:        <set to the key 'x' in secret 'y'>  Optional: false
      POD_NAME:     (v1:metadata.name)
    Mounts:
      /data from data (rw)
Conditions:
  Ready  True
"""


def test_values_are_masked_and_names_and_sources_stay() -> None:
    shown = Redactor([]).text(DESCRIBED)
    for hidden in ("made-up-value-one", "0f0f0f0f", "first line", "second line"):
        assert hidden not in shown
    for kept in (
        "STRIPE_SK:   ***",
        "<set to the key 'x' in secret 'y'>",
        "(v1:metadata.name)",
        "/data from data",
    ):
        assert kept in shown
    assert "Ready  True" in shown


def test_an_empty_environment_hides_nothing_behind_it() -> None:
    assert (
        Redactor([]).text("Environment:  <none>\nMounts:\n  a b\n")
        == "Environment:  <none>\nMounts:\n  a b\n"
    )


@given(st.lists(st.text(alphabet="abcXYZ: \t-#'\"", max_size=30), max_size=12))
def test_whatever_stands_below_the_head_is_masked(lines: list[str]) -> None:
    value = "made-up-value-two"
    body = "".join(f"      {line}{value}\n" for line in lines)
    assert value not in Redactor([]).text(f"    Environment:\n{body}    Mounts:\n")
