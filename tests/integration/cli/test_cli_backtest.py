"""`backtest` as it is typed: a file or PagerDuty in, words, JSON and HTML out, exit 1 when it got worse."""

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.simulators.pagerduty import PagerDutySimulator
from tests.integration.cli.conftest import FLUSH, HELLO

LINES = [
    {"id": "1", "title": "hello world", "fired_at": "2026-03-02T09:00:00Z", "runbook": "hello"},
    {"id": "2", "title": "redis is down", "fired_at": "2026-03-02T10:00:00Z", "runbook": "flush"},
    {"id": "3", "title": "Tape robot stuck", "fired_at": "2026-03-02T11:00:00Z", "runbook": ""},
    {"id": "4", "title": "redis is slow", "fired_at": "2026-03-03T11:00:00Z", "runbook": "hello"},
]


@pytest.fixture
def export(shell) -> Path:
    shell.runbook("hello", HELLO)
    shell.runbook("flush", FLUSH)
    path = shell.directory / "history.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in LINES))
    return path


def test_a_file_is_matched_and_told_in_words(shell, export):
    result = shell("backtest", "--export", str(export), "--labels", "--html", "report.html")
    assert result.code == 0
    assert "4 pages" in result.out
    assert "write this runbook next: Tape robot stuck; it would have taken 25 % of your pages" in result.out
    assert "of 4 labelled: 2 right alone, 1 wrong alone" in result.out
    assert "Tape robot stuck" in (shell.directory / "report.html").read_text()


def test_json_is_the_same_every_time_and_a_baseline_holds_it(shell, export):
    first = shell("backtest", "--export", str(export), "--labels", "--json")
    assert first.out == shell("backtest", "--export", str(export), "--labels", "--json").out
    assert first.json["decisions"] == {"match": 3, "ambiguous": 0, "none": 1}
    (shell.directory / "before.json").write_text(first.out)
    again = ("backtest", "--export", str(export), "--labels", "--baseline", "before.json")
    assert shell(*again).code == 0
    (shell.directory / "runbooks" / "flush.md").unlink()
    worse = shell(*again)
    assert worse.code == 1
    assert "worse: labelled pages whose runbook was not even offered" in worse.err
    assert shell(*again, "--tolerance", "1").code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--export", "none.jsonl"), "none.jsonl cannot be read"),
        (("--export", "history.jsonl", "--baseline", "none.json"), "--baseline none.json cannot be read"),
        (("--export", "history.jsonl", "--baseline", "hello.json"), "no report of `backtest --json`"),
        ((), "pagerduty.api_token is not configured"),
    ],
)
def test_what_cannot_be_done_is_told_with_exit_code_two(shell, export, arguments, words):
    result = shell("backtest", *arguments)
    assert result.code == 2
    assert words in result.err


def test_labels_that_no_line_has_are_asked_for(shell, export):
    export.write_text('{"title": "hello world"}\n')
    result = shell("backtest", "--export", str(export), "--labels")
    assert result.code == 2
    assert "no line has a `runbook`" in result.err


def test_no_runbook_at_all_is_told(shell):
    (shell.directory / "h.jsonl").write_text('{"title": "hello world"}\n')
    result = shell("backtest", "--export", "h.jsonl")
    assert result.code == 2
    assert "holds no usable runbook" in result.err


def test_documentation_is_ranked_by_scores_alone(shell, export):
    docs = shell.directory / "docs"
    docs.mkdir()
    (docs / "TapeRobotStuck.md").write_text("# Tape robot stuck\n\nThe tape robot is stuck. Pull its arm.\n")
    (docs / "redis.md").write_text("# Redis\n\nMemory and connections.\n")
    found = shell("backtest", "--export", str(export), "--corpus", "docs", "--json").json
    choices = {each["id"]: each["choices"] for each in found["outcomes"]}
    assert choices["3"][0][0] == "TapeRobotStuck.md"


def test_pagerduty_is_asked_for_the_last_days(shell, export, monkeypatch):
    with PagerDutySimulator() as pagerduty:
        token = {"env": "SIMULATED_TOKEN"}
        monkeypatch.setenv("SIMULATED_TOKEN", pagerduty.api_token)
        shell.configure(pagerduty={"api_url": pagerduty.url, "api_token": token})
        for at, title in enumerate(("hello world", "hello world", "Tape robot stuck")):
            pagerduty.create_incident(title).created_at = datetime.now(UTC) - timedelta(hours=1 + 20 * at)
        result = shell("backtest", "--since", "1d", "--json")
        assert result.json["decisions"] == {"match": 2, "ambiguous": 0, "none": 0}
        bad = shell("backtest", "--since", "yesterday")
        assert (bad.code, "--since yesterday is not a time" in bad.err) == (2, True)


def test_five_thousand_incidents_of_the_corpora_take_less_than_half_a_minute(shell):
    root = Path(__file__).parents[4] / "shared" / "corpora"
    if not root.is_dir():
        pytest.skip("the shared corpora are not at hand")
    from bench.backtest_export import incidents, rows_of

    rows = rows_of(root, "openshift-runbooks")
    lines = [json.dumps(each) for each in incidents(rows, 5_000)][:5_000]
    (shell.directory / "history.jsonl").write_text("\n".join(lines))
    began = time.process_time()
    corpus = str(root / "openshift-runbooks")
    result = shell("backtest", "--export", "history.jsonl", "--corpus", corpus, "--labels", "--json")
    assert time.process_time() - began < 30
    labels = result.json["labels"]
    assert result.json["incidents"] == 5_000
    assert labels["wrong_alone"] / labels["count"] < 0.02
