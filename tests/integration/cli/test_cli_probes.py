"""`probes` and `lint`: what a `## Watch` section would do, tried without an alert."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agent.simulators.keeptrusts import KeeptrustsSimulator
from agent.simulators.prometheus import PrometheusSimulator
from tests.integration.cli.conftest import HELLO, Shell, words

WATCH = """
## Watch
- hellos: promql "sum(hellos)"; every 60s; for 2 looks; warning > 20; critical > 50; clears < 15
- load: command; every 5m; critical > 90
  ```bash
  echo 12
  ```
"""


@pytest.fixture
def prometheus(shell: Shell) -> Iterator[PrometheusSimulator]:
    with PrometheusSimulator() as sim:
        shell.configure(prometheus={"url": sim.url})
        yield sim


def test_each_watch_is_looked_at_once_and_says_what_would_follow(
    shell: Shell, prometheus: PrometheusSimulator
) -> None:
    prometheus.vector("sum(hellos)", "57")
    shell.runbook("hello", HELLO + WATCH)

    result = shell("probes", "--json")
    assert result.code == 1
    hellos, load = result.json["probes"]
    assert (hellos["runbook"], hellos["watch"], hellos["value"]) == ("hello", "hellos", 57)
    assert hellos["now"] == "would wait, 1 of 2 looks: it is 57 (critical > 50)"
    assert hellos["rules"] == "every 1m; critical > 50; warning > 20; for 2 looks; clears < 15"
    assert (load["now"], load["is_finding"]) == ("nothing: it is 12", False)
    assert (load["raised"], load["values"], load["looked_at"]) == (None, [], None)
    told = words(shell("probes", "hello").out)
    assert "would wait, 1 of 2 looks" in told
    assert "not looked at yet" in told
    assert shell("incidents", "--json").json == [], "nothing is raised"


def test_what_cannot_be_seen_is_a_finding(shell: Shell, prometheus: PrometheusSimulator) -> None:
    shell.runbook("hello", HELLO + WATCH)

    result = shell("probes", "--json")
    assert result.code == 1
    assert result.json["probes"][0]["now"].startswith("cannot see: the query finds no series")


def test_where_nothing_is_watched_it_says_so(shell: Shell) -> None:
    shell.runbook("hello", HELLO)

    assert shell("probes").out == "nothing is watched: no runbook has a `## Watch` section\n"
    assert shell("probes", "--json").json == {"probes": []}


def test_a_secret_that_is_not_there_is_told_with_its_key(shell: Shell) -> None:
    shell.configure(prometheus={"url": "https://p.example.com", "token": {"env": "NO_SUCH_TOKEN"}})
    shell.runbook("hello", HELLO + WATCH)

    result = shell("probes")
    assert result.code == 2
    assert "prometheus.token: the environment variable NO_SUCH_TOKEN is not set" in words(result.err)


def test_keeptrusts_is_counted(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEEPTRUSTS_API_TOKEN", "kt-canary")
    item = "\n## Watch\n- keeptrusts pending escalations; every 60s; warning > 20; critical > 50\n"
    shell.runbook("hello", HELLO + item)
    with KeeptrustsSimulator(api_token="kt-canary") as sim:
        shell.configure(keeptrusts={"api_url": sim.url, "api_token": {"env": "KEEPTRUSTS_API_TOKEN"}})
        (row,) = shell("probes", "--json").json["probes"]
    assert row["now"] == "nothing: it is 0"


def test_lint_refuses_a_command_that_changes_something_and_tells_what_is_not_watched(shell: Shell) -> None:
    shell.runbook("hello", HELLO + WATCH)
    (finding,) = [
        each for each in shell("lint", "--json").json["findings"] if "not watched" in each["message"]
    ]
    assert finding["level"] == "warning"
    assert finding["message"] == "not watched: config.yaml has no prometheus section for it"

    path = shell.runbook("hello", HELLO + WATCH.replace("echo 12", "redis-cli -h cache.example.com FLUSHDB"))
    result = shell("lint", "--json")
    assert result.code == 1
    (refused,) = [each for each in result.json["findings"] if each["level"] == "error"]
    lines = (HELLO + WATCH).splitlines()
    assert (refused["path"], refused["line"]) == (path, lines.index("  echo 12") + 1)
    assert refused["message"] == "refused: a watch may only read, and this does cache_operation"


def test_the_documented_disk_is_looked_at_by_a_real_command_in_the_real_sandbox(shell: Shell) -> None:
    section = (
        "\n## Watch\n- free space: command; every 5m; trend 2h; warning < 1; "
        "critical when < 0 within 4h; clears > 3000000\n"
        "  ```bash\n  df --output=avail / | tail -n 1\n  ```\n"
    )
    shell.runbook("hello", HELLO + section)

    result = shell("probes", "--json")
    (row,) = result.json["probes"]
    assert row["value"] > 0, row["now"]
    assert row["now"].startswith("nothing: it is ")
    assert result.code == 0


def seen_by_doctor(shell: Shell, name: str) -> list[tuple[str, str]]:
    return [(row["grade"], row["seen"]) for row in shell("doctor", "--json").json if row["name"] == name]


def test_doctor_says_what_is_watched_and_whether_prometheus_answers(shell: Shell) -> None:
    shell.runbook("hello", HELLO + WATCH)
    told = seen_by_doctor(shell, "watch sections")
    assert [seen for _, seen in told] == [
        "2 watched, looked at by the daemon itself",
        "1 of them not watched: no prometheus section",
    ]
    with PrometheusSimulator() as sim:
        sim.data("vector(1)", "scalar", [1767587843.1, "1"])
        shell.configure(prometheus={"url": sim.url})
        ((grade, seen),) = seen_by_doctor(shell, "prometheus")
        assert seen == f"{sim.url} answers queries"
    ((grade, seen),) = seen_by_doctor(shell, "prometheus")
    assert "GET /api/v1/query" in seen
    assert grade == "bad"
