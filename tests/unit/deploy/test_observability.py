"""What is shipped for Prometheus and Grafana: rules that do what they say, panels that show what there is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

DEPLOY = Path(__file__).parents[3] / "deploy"
RULES = sorted((DEPLOY / "prometheus").glob("*-alerts.yml"))
DASHBOARDS = sorted((DEPLOY / "grafana").glob("*.json"))
DOCS = DEPLOY.parent / "docs"

#: Of PromQL itself; everything else that looks like a metric must be one.
_METRIC = re.compile(r"\b(?:oncall|keeptrusts)_[a-z_]+\b")
_SUFFIX = re.compile(r"_(bucket|sum|count)$")


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed; `make packages` installs it")
    return found


def ran(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_rules_are_in_order(promtool: str, path: Path) -> None:
    done = ran(promtool, "check", "rules", "--lint=all", "--lint-fatal", str(path))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_rules_fire_when_they_should_and_not_before(promtool: str, path: Path) -> None:
    done = ran(promtool, "test", "rules", str(path.with_suffix(".test.yml")))
    assert done.returncode == 0, done.stdout + done.stderr


def rules_of(path: Path) -> list[dict[str, Any]]:
    groups = yaml.safe_load(path.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_every_alert_has_its_test_a_severity_and_words(path: Path) -> None:
    tested = path.with_suffix(".test.yml").read_text()
    for rule in rules_of(path):
        assert rule["alert"] in tested
        assert rule["labels"]["severity"] in {"critical", "error", "warning"}
        assert rule["annotations"]["summary"]
        assert {"runbook_url", "what_to_do"} & set(rule["annotations"])


def test_the_published_rules_are_there_with_their_names_times_and_thresholds() -> None:
    rules = {rule["alert"]: rule for rule in rules_of(DEPLOY / "prometheus" / "keeptrusts-alerts.yml")}
    down, blocked, slow = (rules[n] for n in ("GatewayUnhealthy", "HighBlockRate", "HighGatewayLatency"))
    assert (down["expr"], down["for"]) == ('up{job="kt-gateway"} == 0', "30s")
    assert (blocked["expr"].split("> ")[-1].strip(), blocked["for"]) == ("0.3", "5m")
    assert (slow["expr"].split("> ")[-1].strip(), slow["for"]) == ("5", "5m")
    assert "histogram_quantile(0.99" in slow["expr"]
    assert [each["labels"]["severity"] for each in (down, blocked, slow)] == [
        "critical",
        "warning",
        "warning",
    ]
    assert blocked["annotations"]["summary"] == "Block rate exceeds 30% over 5 minutes"
    assert slow["annotations"]["summary"] == "Gateway p99 latency exceeds 5 seconds"


def test_a_backlog_is_a_warning_over_20_and_critical_over_50() -> None:
    rules = {rule["alert"]: rule for rule in rules_of(DEPLOY / "prometheus" / "keeptrusts-alerts.yml")}
    assert rules["EscalationBacklogWarning"]["expr"].endswith("> 20")
    assert rules["EscalationBacklogCritical"]["expr"].endswith("> 50")


def expressions(board: dict[str, Any]) -> list[str]:
    return [target["expr"] for panel in board["panels"] for target in panel["targets"]]


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_a_dashboard_can_be_imported_into_any_grafana(path: Path) -> None:
    board = json.loads(path.read_text())
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    assert [each["type"] for each in board["templating"]["list"]] == ["datasource"]
    sources = {each["datasource"]["uid"] for panel in board["panels"] for each in (panel, *panel["targets"])}
    assert sources == {"${datasource}"}
    assert board["uid"]
    assert board["title"]
    assert all(panel["title"] for panel in board["panels"])


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_panels_do_not_lie_upon_each_other(path: Path) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(path.read_text())["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert max(x for x, _ in cells) < 24
        assert not taken & cells, panel["title"]
        taken |= cells


def test_every_expression_is_promql(promtool: str, tmp_path: Path) -> None:
    """As recording rules: promtool reads each of them."""
    rules = [
        {"record": f"board{at}:expr", "expr": expr.replace("$__range", "1d")}
        for at, expr in enumerate(e for path in DASHBOARDS for e in expressions(json.loads(path.read_text())))
    ]
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "boards", "rules": rules}]}))
    done = ran(promtool, "check", "rules", "--lint=none", str(path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(rules) > 30


def test_every_metric_that_is_used_is_documented() -> None:
    pages = (DOCS / "metrics.md").read_text() + (DOCS / "ai-systems.md").read_text()
    documented = {_SUFFIX.sub("", name) for name in _METRIC.findall(pages)}
    texts = [path.read_text() for path in RULES] + [
        expr for path in DASHBOARDS for expr in expressions(json.loads(path.read_text()))
    ]
    used = {_SUFFIX.sub("", name) for text in texts for name in _METRIC.findall(text)}
    assert {name for name in used if name not in documented} == set()
