import pytest
from library_texts import QUEUE

from agent.domain.alert import Alert, Severity, Urgency
from agent.library import Parsed, parse
from agent.library.examples import alert_of, check_examples


def checked(*examples: str) -> list[str]:
    result = parse(QUEUE + "\n## Examples\n" + "\n".join(examples), path="a.md")
    assert isinstance(result, Parsed), getattr(result, "problems", result)
    return [str(finding) for finding in check_examples(result.runbook)]


def test_examples_that_hold_have_no_findings():
    assert checked(
        "- Matches: The queue is stuck service:worker severity:high",
        '- **Matches:** "queue stuck" service:"queue-7" urgency:high',
        "- Does not match: queue stuck service:web severity:high",
        "- does not match: queue fine service:worker severity:high",
    ) == []  # fmt: skip


def test_an_example_that_should_match_says_what_is_missing():
    assert checked("- Matches: queue stuck service:worker") == [
        "a.md:33: error: “queue stuck service:worker” should match, but: "
        "severity unknown, runbook wants high and severity unknown, runbook wants critical "
        "(fix: correct the trigger, or the example)"
    ]


def test_an_example_that_should_not_match_says_why_it_does():
    (finding,) = checked("- Does not match: queue stuck service:worker severity:high")
    assert (
        "should not match, but: title contains “queue”; title contains “stuck”; severity is error" in finding
    )


@pytest.mark.parametrize("odd", ["severity:odd", "urgency:odd", 'service:"open'])
def test_an_example_that_is_not_understood_is_told(odd):
    (finding,) = checked(f"- Matches: queue {odd}")
    assert ": error: example: " in finding


def test_fields_of_an_example():
    text = (
        'Disk full now title:"Disk full" body:"see it" source:nagios severity:Critical urgency:low '
        "team:core environment:prod priority:P1 label.Mount:/var http://x"
    )
    assert alert_of(text) == Alert(
        source="nagios",
        source_id="example",
        title="Disk full",
        body="see it",
        severity=Severity.CRITICAL,
        urgency=Urgency.LOW,
        priority="P1",
        team="core",
        environment="prod",
        labels={"Mount": "/var"},
    )
    assert alert_of('"Disk  full" on  web severity:info').title == "Disk  full on web"
    assert alert_of("a severity:medium").severity is Severity.WARNING
