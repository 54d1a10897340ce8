import pytest
from library_texts import EVERYTHING, QUEUE

from agent.library import Parsed, parse
from agent.library.lint import Finding, Level, lint, lint_result

HEAD = "---\nowner: a\n---\n"
EXAMPLES = "\n## Examples\n- Matches: a\n- Does not match: b\n"


def findings(text: str) -> list[str]:
    result = parse(text, path="a.md")
    assert isinstance(result, Parsed), getattr(result, "problems", result)
    return [str(finding) for finding in lint(result.runbook)]


def test_a_careful_runbook_has_no_findings():
    assert findings(EVERYTHING) == []
    assert findings(HEAD + QUEUE + EXAMPLES) == []


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (HEAD, "", "a.md:1: warning: nobody owns this runbook"),
        (EXAMPLES, "", "no examples of alerts that must match"),
        ("- Does not match: b\n", "", "no examples of alerts that must match"),
        ("Failure action: escalate", "Failure action: continue", "the last step's failure is passed over"),
        ('Expected output: contains "done"\n', "", "nothing checks that the problem is gone"),
        ("- requires_human_approval: false", "- requires_human_approval: true", "it will ask"),
        ("## Steps", "## Parameters\n- p: default a; one of a\n\n## Steps", "the parameter p is not used"),
        ('"queue", "stuck"', "queue and stuck", "are plain words"),
        ('"queue", "stuck"', "NOT (a or b)", "are plain words"),
    ],
)
def test_what_a_reviewer_would_remark(old, new, told):
    text = HEAD.replace("owner: a", "owner: a\nautonomy: auto") + QUEUE + EXAMPLES
    text = text.replace(old if old != HEAD else "owner: a\n", new)
    assert any(told in finding for finding in findings(text))


BROAD = ["timeout", "timeout OR redis", "service:*", "timeout AND severity:high", "NOT redis", "severity:low"]
NARROW = ["timeout AND redis", "connection refused", "service:api-*", "/x y/", "timeout AND service:a"]


@pytest.mark.parametrize("line", BROAD + NARROW)
def test_a_trigger_of_one_common_word_is_remarked(line):
    text = f"## Trigger Conditions\n- Alert contains: {line}\n## Steps\n### Step 1: a\n```sh\ndf\n```\n"
    assert any("many alerts" in finding for finding in findings(text)) is (line in BROAD)


def test_a_runbook_without_limits_is_remarked():
    text = "## Trigger Conditions\n- Service: a\n## Steps\n### Step 1: a\n```sh\ndf\n```\n"
    assert any("no limits" in finding for finding in findings(text))


def test_errors_warnings_and_nothing():
    broken = lint_result(parse("## Trigger Conditions\n- a: b\n", path="a.md"))
    assert {finding.level for finding in broken} == {Level.ERROR}
    assert lint_result(parse("# Page", path="a.md")) == ()
    assert {finding.level for finding in lint_result(parse(QUEUE, path="a.md"))} == {Level.WARNING}
    assert str(Finding("a.md", 3, Level.WARNING, "odd")) == "a.md:3: warning: odd"
