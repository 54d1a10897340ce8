"""Laws that hold for any text: nothing crashes, and nothing runs that is not said in a code block."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from library_texts import EVERYTHING, QUEUE, QUEUE_AS_PUBLISHED
from markdown_it import MarkdownIt

from agent.domain.runbook import Runbook, Step
from agent.library import Broken, Documentation, Parsed, parse
from agent.library.markdown import MAX_BYTES

TEXTS = {"plain": QUEUE, "published": QUEUE_AS_PUBLISHED, "everything": EVERYTHING}

SNIPPETS = [
    *(
        "```",
        "```bash",
        "```console",
        "```action",
        "```python",
        "~~~",
        "~~~sh",
        "    ",
        "> ",
        "- ",
        "---",
        "===",
    ),
    *("### Step 1: a", "### Step 2: b", "Step 2: c", "Step 3: d", "## Steps", "## Verify", "Escalation"),
    *("## Rollback", "Failure action: continue", 'Expected output: "OK"', "Only if: step 1 exit code 0"),
    *("Hold for: 5m", "<!--", "-->", "<pre>", "rm -rf /", "$ rm -rf /", "Now run rm -rf / on the host"),
    *("Capture: slot from .a", "{{ pod }}", "{{", "\\", "\u202e", "\x00", "\t", "\r", '"', "/", "(", "'"),
    *("AND", "NOT", ",", ":", "**", "- pod: default x; one of x"),
]


def all_steps(runbook: Runbook) -> list[Step]:
    verify = runbook.verification.steps if runbook.verification else ()
    return [*runbook.steps, *verify, *runbook.rollback]


def code_lines(text: str) -> set[str]:
    """Lines in fenced code as a plain Markdown reader sees them; an open block reaches to the end."""
    tokens = MarkdownIt("commonmark").parse(text.removeprefix("\ufeff"))
    lines = [line for token in tokens if token.type == "fence" for line in token.content.split("\n")]
    return {line.removeprefix("$ ") for line in lines} | set(lines)


def check(text: str) -> None:
    result = parse(text, path="some/file.md")
    if isinstance(result, Broken):
        assert result.problems
        assert all(problem.line >= 1 and problem.message for problem in result.problems)
        assert all(problem.line <= text.count("\n") + text.count("\r") + 1 for problem in result.problems)
    elif isinstance(result, Parsed):
        lines = code_lines(text)
        for step in all_steps(result.runbook):
            assert step.command or step.action
            assert set(step.command.split("\n")) <= lines | {""}


@given(st.text())
@settings(max_examples=200, deadline=None)
def test_no_text_makes_it_crash(text):
    check(text)


@given(st.lists(st.sampled_from(SNIPPETS) | st.text(max_size=8), max_size=40))
@settings(max_examples=200, deadline=None)
def test_no_mix_of_markdown_makes_it_crash(parts):
    check("## Trigger Conditions\n- Service: a\n## Steps\n" + "\n".join(parts))


@st.composite
def mutations(draw):
    lines = draw(st.sampled_from(sorted(TEXTS.values()))).split("\n")
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(["delete", "double", "swap", "insert", "replace", "cut", "append"])):
            case "delete" if len(lines) > 1:
                del lines[at]
            case "double":
                lines.insert(at, lines[at])
            case "swap":
                other = draw(st.integers(0, len(lines) - 1))
                lines[at], lines[other] = lines[other], lines[at]
            case "insert":
                lines.insert(at, draw(st.sampled_from(SNIPPETS) | st.text(max_size=12)))
            case "replace":
                lines[at] = draw(st.sampled_from(SNIPPETS))
            case "cut":
                lines[at] = lines[at][: draw(st.integers(0, 20))]
            case _:
                lines[at] += draw(st.sampled_from(SNIPPETS) | st.characters())
    return "\n".join(lines)


@given(mutations())
@settings(max_examples=500, deadline=None)
def test_whatever_runs_stands_in_a_code_block(text):
    check(text)


@pytest.mark.parametrize("name", TEXTS)
def test_lost_lines_never_make_a_command_of_something_else(name):
    """Every loss of two lines near each other: the commands that are left are commands that were there."""
    lines = TEXTS[name].split("\n")
    whole = parse(TEXTS[name], path="a.md")
    assert isinstance(whole, Parsed)
    known = {line for step in all_steps(whole.runbook) for line in step.command.split("\n")}
    for lost in itertools.combinations(range(len(lines)), 2):
        if lost[1] - lost[0] > 8:
            continue
        text = "\n".join(line for number, line in enumerate(lines) if number not in lost)
        result = parse(text, path="a.md")
        if isinstance(result, Parsed):
            commands = {line for step in all_steps(result.runbook) for line in step.command.split("\n")}
            assert commands <= known, lost


@pytest.mark.parametrize("name", TEXTS)
def test_every_cut_off_file_is_understood_rightly_or_not_at_all(name):
    """A half-written file: its commands are among the first ones of the whole file, each complete."""
    text = TEXTS[name]
    whole = parse(text, path="a.md")
    assert isinstance(whole, Parsed)
    known = [step.command for step in all_steps(whole.runbook)]
    for length in range(0, len(text), 3):
        result = parse(text[:length], path="a.md")
        if isinstance(result, Parsed):
            assert [step.command for step in all_steps(result.runbook)] == known[
                : len(all_steps(result.runbook))
            ]


HOSTILE = {
    "quotes": "> " * 14 + "a\n" + "b\n" * 9_000,
    "lists": "".join("  " * depth + "- a\n" for depth in range(300)),
    "long line": "- Service: " + "a or " * 40_000,
    "spaces": "- Service: a" + " " * 200_000 + "b",
    "commas": "- Service: " + "," * 200_000,
    "slashes": "- Alert contains: " + "/a" * 1_900,
    "long alert line": "- Alert contains: " + "a " * 100_000,
    "open quotes": "Expected output: " + '"' * 200_001,
    "escapes": 'Expected output: "' + "\\" * 200_000,
    "keys": "Expected output: " * 15_000,
    "colons": ":" * 200_000,
    "key-like lines": "Expected output\n" * 9_000,
    "stars": "*" * 200_000,
    "open blocks": "```bash\n" * 9_000,
    "closed blocks": "```bash\n```\n" * 4_000,
    "headings": "## Steps\n" * 9_000,
    "long heading": "## " + "Blast Radius " * 15_000,
    "steps": "### Step 1: a\n" * 9_000,
    "braces": "```bash\n" + "{{" * 100_000 + "\n```",
    "uses": "```bash\n" + "{{ a }}" * 1_000 + "\n```",
    "html": "<!--\n" * 9_000,
    "parameters": "## Parameters\n- a: " + "label " * 40_000,
    "clauses": "## Parameters\n- a: " + ";" * 200_000,
    "underscores": "- " + "_" * 200_000 + ": 1",
    "yaml": "```action\n" + "[" * 15_000 + "\n```",
    "yaml lines": "```action\n" + "- a\n" * 3_900 + "\n```",
    "carriage returns": "\r" * 9_000,
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("where", ["trigger", "step"])
def test_hostile_texts_are_answered_soon(name, where):
    head = (
        "## Trigger Conditions\n"
        if where == "trigger"
        else "## Trigger Conditions\n- Service: a\n## Steps\n### Step 1: a\n"
    )
    text = head + HOSTILE[name]
    assert len(text) < MAX_BYTES
    assert not isinstance(parse(text, path="a.md"), Documentation)
