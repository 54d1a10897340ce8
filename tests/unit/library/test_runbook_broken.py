"""Golden files: `broken/<what-is-wrong>.md` beside every problem it has, in `<what-is-wrong>.problems`."""

from pathlib import Path

import pytest

from agent.library import Broken, parse
from agent.library.markdown import MAX_BYTES

FILES = sorted((Path(__file__).parent / "broken").glob("*.md"), key=lambda path: path.stem)


def test_there_are_golden_files():
    assert len(FILES) > 100


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_is_not_understood_is_told_with_line_and_fix_and_never_run(path):
    result = parse(path.read_bytes().decode(), path=path.name)
    assert isinstance(result, Broken)
    assert [str(problem) for problem in result.problems] == path.with_suffix(
        ".problems"
    ).read_text().splitlines()
    assert all(problem.fix for problem in result.problems)


def problems_of(text: str, path: str = "a.md") -> list[str]:
    result = parse(text, path=path)
    assert isinstance(result, Broken)
    return [str(problem) for problem in result.problems]


GOOD = "# A\n\n## Trigger Conditions\n- Service: a\n\n## Steps\n\n### Step 1: a\n```bash\ndf\n```\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (GOOD + "x" * MAX_BYTES, "a.md:1: larger than"),
        (GOOD + "\n" * 30_000, "a.md:1: larger than"),
        (GOOD + "\ud800", "a.md:12: a character that UTF-8 cannot hold"),
        (GOOD + "".join(f"\n### Step {n}: a\n```sh\ndf\n```\n" for n in range(2, 60)), "more than 50 steps"),
        (GOOD.replace("df", "df " * 4_000), "the command is too long"),
        (GOOD.replace("df", "df\n" * 200), "the command is too long"),
        (GOOD + "\n" + "> " * 10 + "deep\n", "nested too deeply"),
        (GOOD.replace("- Service: a", "- Alert contains: a\n" * 60), "more than 50 conditions"),
        (GOOD.replace("- Service: a", "- Service: " + "a, " * 200 + "a"), "more than 100 items"),
        (
            GOOD.replace("- Service: a", "- Alert contains: " + "(" * 40 + "a" + ")" * 40),
            "nested more than 25",
        ),
        (GOOD.replace("- Service: a", "- Alert contains: " + "NOT " * 40 + "a"), "nested more than 25"),
        (GOOD.replace("- Service: a", "- Alert contains: " + "a OR " * 400 + "a"), "more than 300 words"),
        (GOOD.replace("- Service: a", "- Alert contains: " + "a" * 5_000), "longer than 4000"),
        (GOOD + "Expected output: " + '"a" or ' * 400 + '"a"', "longer than 2000"),
        (GOOD + "Expected output: " + '"a" or ' * 50 + '"a"', "more than 30 checks"),
        (
            GOOD + "\n## Parameters\n" + "".join(f"- p{n}: default a; one of a\n" for n in range(60)),
            "more than 50 par",
        ),
        (GOOD + "\n## Parameters\n- p: one of " + "a, " * 200 + "a", "more than 100 items in one list"),
        (GOOD + "\n## Examples\n" + "- Matches: a\n" * 200, "more than 100 examples"),
        (GOOD + "\n## Verify\nHold for: 2h\n\n### Step 1: a\n```sh\ndf\n```\n", "longer than an hour"),
        ("---\n" + "a: b\n" * 200 + "---\n" + GOOD, "front matter longer than 100 lines"),
        ("---\nowner: " + "a" * 20_000 + "\n---\n" + GOOD, "more than 16000 characters"),
        ("---\nowner: " + "[" * 5_000 + "\n---\n" + GOOD, "nested too deeply"),
        (GOOD.replace("df", "a: b").replace("```bash", "```action"), "needs its arguments as a mapping"),
    ],
    ids=lambda value: value[-30:] if value.startswith("# ") else None,
)
def test_more_than_a_human_would_write_is_refused(text, told):
    assert any(told in problem for problem in problems_of(text))


def test_a_file_whose_name_gives_no_id_is_told():
    assert problems_of(GOOD, "___.md") == [
        "___.md:1: the file's name gives no id "
        "(fix: name the file in a-z and 0-9, or write an id: in front matter)"
    ]


@pytest.mark.parametrize(
    ("front", "told"),
    [
        ("owner: 3", "owner “3” cannot be used"),
        ("owner: ''", "owner “” cannot be used"),
        ("id: 7", "id “7” cannot be used"),
        ("autonomy: [auto]", "is not known"),
        ("tags: {a: b}", "tags are a short list of words"),
        ("tags: [1]", "tags are a short list of words"),
        ("tags: [a, '']", "a tag is empty or too long"),
        ("- a", "a mapping is needed"),
        ("1: a", "a key that is not text"),
        ("<<: {a: b}", "merge keys are not accepted"),
        ("a: 2001-99-99", "not valid YAML, or a value"),
        ("a: \x01", "not valid YAML"),
    ],
)
def test_front_matter_is_read_strictly(front, told):
    assert any(told in problem for problem in problems_of(f"---\n{front}\n---\n{GOOD}"))


@pytest.mark.parametrize(
    ("action", "told"),
    [
        ("", "this one has 0"),
        ("Restart: {a: b}", "is not the name of an action"),
        ("restart: [a]", "needs its arguments as a mapping"),
        ("restart: {a-b: c}", "is not the name of an argument"),
        ("restart: {1: c}", "is not the name of an argument"),
        ("restart: {a: 2020-01-01}", "neither a text"),
        ("restart: {a: null}", "neither a text"),
        ("restart: {a: [[b]]}", "neither a text"),
        ('restart: {a: "{{ nobody }}"}', "{{ nobody }} is not declared"),
        ('restart: {a: ["{{ nobody }}"]}', "{{ nobody }} is not declared"),
    ],
)
def test_typed_actions_are_read_strictly(action, told):
    text = GOOD.replace("```bash\ndf", f"```action\n{action}")
    assert any(told in problem for problem in problems_of(text))


def test_an_action_without_arguments_is_an_action():
    result = parse(GOOD.replace("```bash\ndf", "```action\nnoop:"), path="a.md")
    assert not isinstance(result, Broken)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("Timeout 60s", "without its colon"),
        ("Approval required", "without its colon"),
        ("Capture x from /y/", "without its colon"),
        ("Hold for 5m", "without its colon"),
        ("| Failure action | stop |", "has a step's key inside the line"),
        ("On failure: stop", "is not a key that a step knows"),
        ("Output:", "is not a key that a step knows"),
        ("Retry when:", "is not a key that a step knows"),
        ("**Retries:** 3", "is not a key that a step knows"),
        ("Timeout: 0s", "is out of range"),
        ("Attempts: 1e3", "is not a whole number"),
        ("Capture: 1x from /y/", "is not a capture"),
        ("Capture: Xy from /y/", "cannot be used"),
        ("Capture: x from y", "does not begin with a JSON path"),
        ("Capture: x from .y z", "unexpected “z”"),
        ("Capture: x from /y/ z", "unexpected text after the pattern"),
        ('Only if: step 0 contains "x"', "does not come before"),
    ],
)
def test_lines_in_a_step_that_may_mean_something_are_refused(line, told):
    assert any(told in problem for problem in problems_of(GOOD + line + "\n"))


@pytest.mark.parametrize(
    "tail",
    [
        "Expected output: exit code 0\n~~~\n",  # a fence in an open block
        "Expected output: exit code 0\n### Step 2: b\nls\n",  # a heading whose fence is lost
        "Expected output: exit code 0\n### Step 2: b\n## Escalation\n",
        "Expected output: exit code 0\nStep 2: b\n## Escalation\n",
        "Expected output: exit code 0\nStep 2: b\nExpected output: exit code 0\n",
        "Expected output: exit code 0\nStep 2: b\n```bash\nls\n",
        "Expected output: exit code 0\nStep 2: b\nls \\\nExpected output: exit code 0\n",
        "Expected output: exit code 0\nStep 2: b\nls \\\n\nExpected output: exit code 0\n",
        "Expected output: exit code 0\nStep 2: b\nls\n\nNow wait.\n",
        "Expected output: exit code 0\n## Verify\nSome prose.\n",
        "\\\nExpected output: exit code 0\n",
        "```python\nExpected output: exit code 0\n",
        "Step 2: b\n",
    ],
)
def test_an_open_block_that_cannot_be_told_apart_is_refused_whole(tail):
    assert problems_of(GOOD.removesuffix("```\n") + tail)


def test_an_open_block_still_lets_other_sections_problems_be_told():
    text = GOOD.removesuffix("```\n").replace("Service: a", "Severity: odd") + "\n## Parameters\n- a: b\n"
    assert len(problems_of(text)) == 2


def test_an_open_console_block_is_never_mended():
    text = (
        GOOD.removesuffix("```\n").replace("```bash\ndf", "```console\n$ df")
        + "Expected output: exit code 0\n"
    )
    assert any("never closed" in problem for problem in problems_of(text))


def test_an_open_block_in_prose_is_told():
    assert any("never closed" in problem for problem in problems_of(GOOD + "\n## Notes\n```text\nabc\n"))


def test_a_heading_in_a_list_is_told():
    assert any("inside another section or block" in each for each in problems_of(GOOD + "\n- ## Rollback\n"))


def test_an_indented_section_heading_is_told():
    assert problems_of(GOOD + "\n## Notes\n\n    ## Blast Radius\n")
