from __future__ import annotations

import pytest

from tests.integration.cli.conftest import FLUSH, HELLO, Shell, paths, words

BROKEN = HELLO.replace("Failure action: escalate", "Failure action: explode")
REFUSED = HELLO.replace("echo hello", "rm -rf /srv/cache")


def test_lint_of_good_runbooks_finds_nothing(shell: Shell) -> None:
    shell.runbook("hello", HELLO)
    shell.runbook("notes", "# Notes\n\nJust notes.\n")
    result = shell("lint")
    assert (result.code, result.out) == (0, "1 runbooks, 0 findings, 1 other documents\n")
    assert shell("lint", "--json").json == {"runbooks": 1, "findings": []}


def test_lint_says_file_line_and_fix(shell: Shell) -> None:
    path = shell.runbook("broken", BROKEN)
    result = shell("lint", path)
    assert result.code == 1
    assert f"{path}:24: error: " in result.out
    assert "fix: " in result.out
    (finding,) = shell("lint", "--json", path).json["findings"]
    assert (finding["path"], finding["line"], finding["level"]) == (path, 24, "error")
    assert finding["message"]
    assert finding["fix"]


def test_lint_finds_what_a_guard_would_refuse(shell: Shell) -> None:
    path = shell.runbook("refused", REFUSED)
    result = shell("lint")
    assert result.code == 1
    assert f"{path}:" in result.out
    assert "refused" in result.out


def test_lint_takes_files_and_folders(shell: Shell) -> None:
    good, broken = shell.runbook("hello", HELLO), shell.runbook("broken", BROKEN)
    assert shell("lint", good).code == 0
    assert paths(shell("lint", "runbooks", "--json").json["findings"]) == [broken]
    missing = shell("lint", "nowhere")
    assert (missing.code, missing.err) == (2, "error: nowhere does not exist\n")


def test_the_examples_of_a_runbook_are_run(shell: Shell) -> None:
    shell.runbook("hello", HELLO)
    assert shell("test").code == 0
    path = shell.runbook("wrong", HELLO.replace("Does not match: goodbye", "Matches: goodbye"))
    result = shell("test")
    assert result.code == 1
    assert f"{path}:28" in result.out
    (finding,) = shell("test", "--json").json["findings"]
    assert finding["line"] == 28


def test_examples_of_a_broken_runbook_are_not_silently_left_out(shell: Shell) -> None:
    shell.runbook("broken", BROKEN)
    assert shell("test").code == 1


def test_a_plan_as_json_has_the_published_form(shell: Shell) -> None:
    path = shell.runbook("flush", FLUSH)
    result = shell("plan", path, "--alert", shell.alert("redis", "Redis is slow"), "--json")
    assert result.code == 0
    first, second = result.json["steps"]
    assert first == {
        "index": 1,
        "title": "Flush the cache",
        "verdict": "allow",
        "reason": "",
        "commands": [
            {
                "argv": ["redis-cli", "-h", "cache.example.com", "FLUSHDB"],
                "effects": [
                    {
                        "class": "cache_operation",
                        "target": first["commands"][0]["effects"][0]["target"],
                        "count": 1,
                    }
                ],
                "verdict": "allow",
                "reason": "",
            }
        ],
    }
    assert [command["argv"] for command in second["commands"]] == [
        ["redis-cli", "-h", "cache.example.com", "PING"],
        ["head", "-n", "1"],
    ]
    assert {effect["class"] for command in second["commands"] for effect in command["effects"]} == {"read"}


def test_a_refused_command_says_so_in_the_plan_and_by_the_exit_code(shell: Shell) -> None:
    path = shell.runbook("over", FLUSH.replace("PING | head -n 1", "FLUSHALL"))
    result = shell("plan", path, "--alert", "hello.json", "--json")
    assert result.code == 1
    first, second = result.json["steps"]
    assert (first["verdict"], second["verdict"]) == ("allow", "refuse")
    (command,) = second["commands"]
    assert command["verdict"] == "refuse"
    assert "max_cache_operations" in command["reason"]
    assert second["reason"] == command["reason"]
    assert result.json["verdict"] == "refuse"
    told = shell("plan", path, "--alert", "hello.json")
    assert told.code == 1
    assert "nothing would run, a human is paged" in told.out


def test_a_plan_shows_every_word_and_where_each_value_comes_from(shell: Shell) -> None:
    shell.runbook(
        "hello",
        HELLO.replace("echo hello", "echo {{ pod }}").replace(
            "## Steps", '## Parameters\n- pod: label "pod"; pattern /^[a-z0-9-]+$/\n\n## Steps'
        ),
    )
    alert = shell.alert("pod", "hello world", labels={"pod": "web-1"})
    result = shell("plan", "hello", "--alert", alert)
    assert result.code == 0
    assert "$ echo web-1" in result.out
    assert "pod = web-1 label pod" in words(result.out)
    assert "allowed" in result.out


def test_a_plan_shows_verification_and_rollback_too(shell: Shell) -> None:
    verify = "\n## Verify\n\n### Step 1: Still there\n```bash\necho still\n```\n"
    rollback = "\n## Rollback\n\n### Step 1: Undo\n```bash\necho undo\n```\n"
    shell.runbook("hello", HELLO.replace("\n## Examples", f"{verify}{rollback}\n## Examples"))
    result = shell("plan", "hello", "--alert", "hello.json")
    assert "Verify step 1: Still there" in result.out
    assert "Rollback step 1: Undo" in result.out


def test_planning_writes_nothing_at_all(shell: Shell) -> None:
    shell.runbook("hello", HELLO)
    shell("plan", "hello", "--alert", "hello.json")
    assert sorted(path.name for path in shell.directory.iterdir()) == [
        "config.yaml", "hello.json", "runbooks",
    ]  # fmt: skip


def test_a_runbook_nobody_knows_is_told_with_those_that_are(shell: Shell) -> None:
    shell.runbook("hello", HELLO)
    result = shell("plan", "goodbye", "--alert", "hello.json")
    assert result.code == 2
    assert result.err == "error: there is no file and no runbook goodbye; known runbooks: hello\n"


def test_a_broken_or_no_runbook_at_all_is_a_finding(shell: Shell) -> None:
    broken, notes = shell.runbook("broken", BROKEN), shell.runbook("notes", "# Notes\n")
    result = shell("plan", broken, "--alert", "hello.json")
    assert result.code == 1
    assert f"{broken}:24" in result.err
    assert "is documentation, not a runbook" in shell("plan", notes, "--alert", "hello.json").err


@pytest.mark.parametrize(
    ("content", "words_of_it"),
    [("{", "is not JSON"), ("[]", "must hold a JSON object"), ('{"titel": "x"}', "unknown key titel")],
)
def test_an_alert_file_that_is_none_is_told_with_words(shell: Shell, content: str, words_of_it: str) -> None:
    shell.runbook("hello", HELLO)
    (shell.directory / "bad.json").write_text(content)
    result = shell("plan", "hello", "--alert", "bad.json")
    assert result.code == 2
    assert words_of_it in result.err
    assert "cannot be read: No such file" in shell("plan", "hello", "--alert", "nowhere.json").err


def test_match_ranks_runbooks_with_reasons(shell: Shell) -> None:
    shell.runbook("hello", HELLO)
    shell.runbook("flush", FLUSH)
    result = shell("match", "--alert", "hello.json")
    assert result.code == 0
    assert "decision: match" in result.out
    assert "✔ hello (1.00): " in result.out
    assert "✘ flush (0.00): " in result.out
    told = shell("match", "--alert", "hello.json", "--json").json
    assert told["decision"] == "match"
    assert [(row["runbook"], row["probability"]) for row in told["ranked"]] == [
        ("hello", 1.0),
        ("flush", 0.0),
    ]
    assert told["ranked"][0]["runbook_path"] == "runbooks/hello.md"
    assert told["ranked"][1]["missing"]


def test_no_match_and_too_many_are_findings(shell: Shell) -> None:
    shell.runbook("one", HELLO)
    shell.runbook("two", HELLO)
    result = shell("match", "--alert", "hello.json", "--json")
    assert (result.code, result.json["decision"]) == (1, "ambiguous")
    result = shell("match", "--alert", shell.alert("other", "disk full"), "--json")
    assert (result.code, result.json["decision"]) == (1, "none")


def test_markup_in_a_runbook_or_alert_is_shown_as_it_is(shell: Shell) -> None:
    shell.runbook("hello", HELLO.replace("Say hello", "Say [red]hello[/red]"))
    result = shell("plan", "hello", "--alert", "hello.json")
    assert "Say [red]hello[/red]" in result.out
