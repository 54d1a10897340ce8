"""What a reader takes for a key, and the parser does not, is told and never lost."""

import pytest
from library_texts import EVERYTHING, QUEUE

from agent.library import Broken, Parsed, parse

STEP_KEY = "Failure action: continue\n"


def problems_of(text: str) -> list[str]:
    result = parse(text, path="a.md")
    assert isinstance(result, Broken)
    return [str(problem) for problem in result.problems]


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ('\u041enly if: step 1 contains "x"', "Only if"),
        ("\u0410\u0440\u0440roval: required", "Approval"),
        ("**\u0391pproval:** required", "Approval"),
        ("Attempt\u0455: 1", "Attempts"),
        ("Exp\u0435cted ouput: OK", "Expected output"),
        ("F\u00e0ilure action: stop", "Failure action"),
        ("\uff34imeout: 5s", "Timeout"),
        ("Retry\u2011delay: 5s", "Retry delay"),
        ("\u0421apture: x from /y/", "Capture"),
        ("Timeout (s): 5", "Timeout"),
        ("Timeout [s]: 5", "Timeout"),
        ("Expected ouput:", "Expected output"),
        ("Failure-action: stop", "Failure action"),
    ],
)
def test_a_line_that_looks_like_a_step_key_is_an_error(line, key):
    told = problems_of(QUEUE.replace(STEP_KEY, STEP_KEY + line + "\n", 1))
    assert len(told) == 1
    assert told[0].startswith("a.md:21: ")
    assert f"did you mean `{key}:`?" in told[0]


def test_a_look_alike_key_without_its_colon_is_an_error():
    assert problems_of(QUEUE.replace(STEP_KEY, STEP_KEY + "\u0410pproval required\n", 1))


@pytest.mark.parametrize("line", ["Größe: 5", "Ось: так", "See (below): it is fine", "Note: Timeout (s): 5"])
def test_other_words_stay_prose(line):
    assert isinstance(parse(QUEUE.replace(STEP_KEY, STEP_KEY + "\n" + line + "\n", 1), path="a.md"), Parsed)


LIMITS = [
    "requires_human_approval: true",
    "- requires_human_approval: true",
    "**Requires human approval:** true",
    "- max_pod_restarts: 1",
    "max_widgets: 3",
    "- max_duration: 5m",
    "- namespaces: jobs",
    "hosts:",
    "- r\u0435quires_human_approval: true",
]


@pytest.mark.parametrize("line", LIMITS)
@pytest.mark.parametrize(
    "heading", ["## Safety", "## Blast radius limits", "## Escalation", "## Notes\n\n### More"]
)
def test_a_limit_outside_blast_radius_is_an_error(line, heading):
    told = problems_of(f"{QUEUE.split('## Escalation')[0]}{heading}\n\n{line}\n")
    assert any("outside Blast Radius" in problem and "move it" in problem for problem in told)


@pytest.mark.parametrize("line", LIMITS)
def test_a_limit_in_a_step_is_an_error(line):
    told = problems_of(QUEUE.replace(STEP_KEY, STEP_KEY + line + "\n", 1))
    assert any("outside Blast Radius" in problem for problem in told)


def test_a_limit_above_all_sections_is_an_error():
    told = problems_of(QUEUE.replace("## Trigger", "requires_human_approval: true\n\n## Trigger", 1))
    assert [problem for problem in told if "a.md:3: " in problem and "outside Blast Radius" in problem]


def test_a_parameter_may_be_named_like_a_limit():
    text = EVERYTHING.replace("- pod: label", "- hosts: label", 1).replace("{{ pod }}", "{{ hosts }}")
    assert isinstance(parse(text, path="a.md"), Parsed)


def test_a_lone_carriage_return_is_an_error():
    told = problems_of(
        QUEUE.replace("queuectl length", "queuectl drop\rkubectl exec -n jobs x -- queuectl length")
    )
    assert any("a.md:17: a carriage return" in problem for problem in told)


def test_windows_line_ends_are_none():
    assert isinstance(parse(QUEUE.replace("\n", "\r\n"), path="a.md"), Parsed)
