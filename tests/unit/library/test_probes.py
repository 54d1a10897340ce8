"""`## Watch`: what is understood, and with which words all else is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.domain.alert import Severity
from agent.domain.probing import Bound, Probe, ProbeKind, Sign, Threshold
from agent.library import Broken, Parsed, parse
from agent.library.lint import lint

HEAD = """---
owner: team
---
# Runbook: Escalation backlog

## Trigger Conditions
- Alert contains: "backlog"
- Service: keeptrusts

## Blast Radius
- max_pod_restarts: 0

## Watch
"""

TAIL = """
## Steps

### Step 1: Look
```bash
echo looked
```
Expected output: "looked"
Failure action: escalate
"""

FIRST_LINE = HEAD.count("\n") + 1


def watched(text: str) -> tuple[Probe, ...]:
    result = parse(HEAD + text + TAIL, path="backlog.md")
    assert isinstance(result, Parsed), result
    return result.runbook.watch


def problems(text: str) -> list[str]:
    result = parse(HEAD + text + TAIL, path="backlog.md")
    assert isinstance(result, Broken), result
    return [str(each) for each in result.problems]


def test_the_published_thresholds_are_two_words_in_one_line() -> None:
    (probe,) = watched('- promql "sum(keeptrusts_pending)"; every 60s; warning > 20; critical > 50\n')

    assert probe.kind is ProbeKind.PROMQL
    assert probe.query == "sum(keeptrusts_pending)"
    assert probe.every_s == 60
    assert probe.thresholds == (
        Threshold(Severity.CRITICAL, Bound(Sign.ABOVE, 50)),
        Threshold(Severity.WARNING, Bound(Sign.ABOVE, 20)),
    )
    assert probe.service == "keeptrusts", "what is watched is of the service that the trigger names"


def test_every_clause_is_read() -> None:
    (probe,) = watched(
        "- free space: command; every 5m; trend 2h; for 3 looks; warning < 10%; "
        "critical when < 0 within 4h; clears >= 15; json .disk[0].free; timeout 20s; service var-disk\n"
        "  ```bash\n  cat /var/disk.json\n  ```\n"
    )

    assert (probe.key, probe.name, probe.service) == ("free-space", "free space", "var-disk")
    assert probe.command == "cat /var/disk.json"
    assert probe.command_line == FIRST_LINE + 2
    assert probe.path == ("disk", 0, "free")
    assert (probe.every_s, probe.trend_s, probe.looks, probe.timeout_s) == (300, 7200, 3, 20)
    assert probe.clears == Bound(Sign.AT_LEAST, 15)
    assert [str(each) for each in probe.thresholds] == ["critical when < 0 within 4h", "warning < 10"]


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ('- promql `sum(up{job="api"})`; every 1m; critical < 1\n', 'sum(up{job="api"})'),
        ("- promql 'sum(up{job=\"a;b\"})'; every 1m; critical < 1\n", 'sum(up{job="a;b"})'),
        ('- promql "sum(up{job=\\"api\\"})"; every 1m; critical < 1\n', 'sum(up{job="api"})'),
        ("- PromQL; every 1m;\n  critical < 1\n  ```promql\n  sum(\n    up\n  )\n  ```\n", "sum( up )"),
        ("Note: for the reader\n\n- promql 'up'; every 1m; Critical when <1;\n", "up"),
    ],
)
def test_a_query_stands_in_quotes_backticks_or_a_block(text: str, query: str) -> None:
    (probe,) = watched(text)

    assert probe.query == query
    assert str(probe.thresholds[0]) == "critical < 1"


def test_what_keeptrusts_counts_needs_no_words_of_its_own() -> None:
    (probe,) = watched("- keeptrusts pending escalations; every 60s; warning > 20; clears < 15\n")

    assert (probe.kind, probe.key) == (ProbeKind.PENDING, "pending-escalations")


def test_other_thresholds_leave_a_probe_the_same_and_another_query_does_not() -> None:
    (one,) = watched('- promql "up"; every 60s; critical < 1\n')
    (two,) = watched('- promql "up"; every 90s; critical < 2\n')
    (other,) = watched('- promql "down"; every 60s; critical < 1\n')

    assert one.key == two.key != other.key


GOOD = '- promql "up"; every 60s; '

BAD = [
    ("- sum(up); every 60s; critical > 1", "“sum(up); every 60s; critical > 1” is not", "begin with"),
    ("- promql up; every 60s; critical > 1", "the query “up; every 60s; critical > 1” is not in", "promql"),
    ("- promql; every 60s; critical > 1", "promql has no query", 'write promql "…"'),
    ("- promql `up; every 60s", "the ` in front of the query is never closed", "close it"),
    ('- promql "up" every 60s; critical > 1', "unexpected “every 60s; critical > 1” after promql", "put `;`"),
    ('- promql "up"; critical > 1', "it does not say how often to look", "add `every 60s`"),
    ('- promql "up"; every 60s', "it has no threshold", "add `warning > 20`"),
    ('- promql "up"; every 5s; critical > 1', "every 5s is out of range", "stay between 10s and 1d"),
    ('- promql "up"; every minute; critical > 1', "“minute” is not a duration", "write a number and a unit"),
    (GOOD + "critical > many", "“many” is not a number", "write digits"),
    (GOOD + "critical == 1", "== says not which way is worse", "use >, >=, < or <="),
    (GOOD + "critical above 20", "“critical above 20” is not a threshold", "write `critical > 20`"),
    (GOOD + "fatal > 20", "“fatal > 20” is not a clause", "use every, for, clears"),
    (GOOD + "critical > 1; critical > 2", "a second threshold critical > 2, beside critical > 1", "keep one"),
    (GOOD + "critical > 1; every 90s", "a second every clause: “every 90s”", "keep one of them"),
    (GOOD + "critical > 1; for a while", "for “a while” is not understood", "write `for 2 looks`"),
    (GOOD + "critical > 1; for 99 looks", "for 99 looks is out of range", "stay between 1 and 10"),
    (GOOD + "critical > 1; clears soon", "clears “soon” is not understood", "write `clears < 15`"),
    (GOOD + "critical > 1; clears > 0", "clears > 0 is the same way as the thresholds", "write `clears < …`"),
    (GOOD + "warning > 20; clears < 25", "clears < 25 holds while warning > 20 still does", "clear at"),
    (GOOD + "warning > 50; critical > 20", "warning > 50 would never be seen: critical > 20", "exchange"),
    (GOOD + "warning > 50; critical < 20", "one threshold is for more and one for less", "make it two items"),
    (GOOD + "critical < 0 within 4h", "critical when < 0 within 4h does not say from what", "add the window"),
    (GOOD + "critical > 1; trend 1h", "no threshold uses trend 1h", "or remove it"),
    (GOOD + "critical < 0 within 4h; trend 2m", "trend 2m holds fewer than 4 looks", "look more often"),
    (GOOD + "critical < 0 within 4h; trend 24h", "trend 1d holds more than 720 looks", "look less often"),
    (GOOD + "critical < 0 within 9999h; trend 1h", "within 9999h is out of range", "stay between 1s and 30d"),
    (GOOD + "critical > 1; json .a", "json is for a command's output", "remove it"),
    (GOOD + "critical > 1; timeout", "timeout has no value", "write timeout and its value"),
    ("- command; every 60s; critical > 1", "command has no code block", "put its command in a ```bash"),
    (
        "- command; every 60s; critical > 1\n  ```\n  uptime\n  ```",
        "its code block has no label",
        "label it bash, sh, shell",
    ),
    (
        "- command; every 60s; critical > 1\n  ```action\n  kubernetes.get: {}\n  ```",
        "its code block has the label “action”",
        "label it bash, sh, shell",
    ),
    (
        "- command; every 60s; critical > 1\n  ```bash\n  df {{ disk }}\n  ```",
        "the command uses {{ disk }}, and there is no alert yet that could fill it",
        "write the value",
    ),
    (
        "- keeptrusts pending escalations; every 60s; critical > 1\n  ```bash\n  df\n  ```",
        "keeptrusts pending escalations needs no code block",
        "remove it",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message", "fix"), BAD, ids=[message for _, message, _ in BAD])
def test_what_is_not_understood_is_told_with_its_line_and_a_fix(text: str, message: str, fix: str) -> None:
    (told, *others) = problems(text + "\n")

    assert told.startswith(f"backlog.md:{FIRST_LINE}: Watch: {message}"), told
    assert f"(fix: {fix}" in told or fix in told
    assert not others


def test_prose_a_quote_and_an_empty_section_are_told_too() -> None:
    assert "“We look at it.” is not understood" in problems("We look at it.\n")[0]
    assert "Watch holds a quote" in problems("> promql\n")[0]
    assert "Watch has no item" in problems("<!-- later -->\n")[0]


def test_the_same_query_twice_is_one_item_with_two_thresholds() -> None:
    (told,) = problems('- promql "up"; every 60s; critical < 1\n- promql "up"; every 60s; warning < 2\n')

    assert told.startswith(f"backlog.md:{FIRST_LINE + 1}: Watch: “up” stands there twice, first in line")


def test_a_misspelt_section_is_told_and_not_passed_over() -> None:
    result = parse(HEAD.replace("## Watch", "## Wacht") + GOOD + "critical < 1\n" + TAIL, path="backlog.md")

    assert isinstance(result, Broken)
    assert "did you mean `Watch`?" in str(result.problems[0])


def remarks(text: str, *, severity: str = "") -> list[str]:
    head = HEAD.replace("- Service: keeptrusts\n", f"- Service: keeptrusts\n{severity}")
    result = parse(head + text + TAIL, path="backlog.md")
    assert isinstance(result, Parsed), result
    return [each.message for each in lint(result.runbook) if "would not meet" in each.message]


def test_lint_says_where_an_alert_of_its_own_would_not_be_answered_by_its_own_runbook() -> None:
    both = '- promql "up"; every 60s; warning > 20; critical > 50\n'

    assert remarks(both) == []
    (told,) = remarks(both, severity="- Severity: high or critical\n")
    assert told.startswith("what it watches would not meet its own conditions at warning: ")
    (told, _) = remarks(both.replace("60s;", "60s; service billing;"))
    assert "billing" in told


ROOT = Path(__file__).parent.parent.parent.parent


def test_the_documented_section_is_understood_as_it_says() -> None:
    page = (ROOT / "docs" / "watch-sections.md").read_text()
    section = page.split("````markdown\n## Watch\n", 1)[1].split("\n````", 1)[0]

    pending, share, free = watched(section + "\n")
    assert (pending.kind, pending.looks) == (ProbeKind.PENDING, 2)
    assert (share.name, share.kind) == ("error share", ProbeKind.PROMQL)
    assert [str(each) for each in free.thresholds] == ["critical when < 0 within 4h", "warning < 2000000"]


def test_the_shipped_backlog_is_watched_with_the_published_thresholds() -> None:
    result = parse((ROOT / "runbooks" / "ai" / "ai-escalation-backlog.md").read_text(), path="backlog.md")

    assert isinstance(result, Parsed), result
    (probe,) = result.runbook.watch
    assert [str(each) for each in probe.thresholds] == ["critical > 50", "warning > 20"]
    assert [each for each in lint(result.runbook) if "would not meet" in each.message] == []
