"""`allowance:` and `max_commands:` in Blast Radius."""

import pytest

from agent.domain.effects import EffectClass
from agent.library import Parsed, parse

BOOK = """# Runbook: A

## Trigger Conditions
- Alert contains: "x"

## Blast Radius
{lines}

## Steps

### Step 1: Look
```bash
df -h
```

## Escalation
Page.
"""


def parsed(*lines):
    return parse(BOOK.format(lines="\n".join(f"- {line}" for line in lines)), path="a.md")


def test_an_allowance_its_limits_and_a_number_of_commands_are_read():
    lines = (
        "allowance: audit-1",
        "max_commands: 7",
        "max_secret_reads: 1",
        "max_deletes: 2",
        "Max Opaques: 0",
    )
    found = parsed(*lines)
    assert isinstance(found, Parsed), found
    radius = found.runbook.blast_radius
    assert (radius.allowance, radius.max_commands) == ("audit-1", 7)
    assert radius.limit(EffectClass.SECRET_READ) == 1
    assert radius.limit(EffectClass.DELETE) == 2


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("allowance: two words", "is not the name of an allowance"),
        ("allowance:", "allowance"),
        ("max_commands: many", "is not a whole number"),
        ("max_commands: 1000000", "is no limit"),
        ("max_command: 3", "did you mean max_commands?"),
        ("allowances: a", "did you mean allowance?"),
    ],
)
def test_what_is_not_understood_is_an_error(line, words):
    assert words in str(parsed(line))


def test_without_them_there_is_no_allowance_and_no_bound_on_commands():
    found = parsed("max_rollouts: 1")
    assert isinstance(found, Parsed)
    assert (found.runbook.blast_radius.allowance, found.runbook.blast_radius.max_commands) == ("", None)
