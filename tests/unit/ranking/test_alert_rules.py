"""Alert rules beside runbooks tell which alert each one answers."""

from pathlib import Path

from agent.ranking.alert_rules import known_alerts, read

RULES = """
groups:
- name: cache
  rules:
  - record: cache:hits
    expr: sum(hits)
  - alert: CacheDown
    annotations: {summary: Cache is down., runbook_url: "https://example.com/runbooks/cache/cache-down?x=1#y"}
  - alert: CacheSlow
    annotations: {title: Cache is slow, runbook: docs/cache/slow.md}
  - alert: Nobody
    expr: vector(1)
"""
PATHS = {"a": "docs/cache/cache-down.md", "b": "docs/cache/slow.md", "c": "docs/disk/slow.md"}


def test_a_rule_names_its_runbook_by_the_end_of_its_link(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(RULES)
    known = known_alerts(read(tmp_path), PATHS)
    assert [(each.name, each.key) for each in known] == [
        ("CacheDown", "a"),
        ("CacheSlow", "b"),
        ("Nobody", ""),
    ]
    assert known[1].text == "Cache is slow"


def test_a_link_that_could_mean_two_runbooks_means_none(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text("- alert: Slow\n  annotations: {runbook_url: http://x/slow}\n")
    assert [each.key for each in known_alerts(read(tmp_path), PATHS)] == [""]


def test_yaml_that_is_something_else_or_broken_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "values.yaml").write_text("replicas: 3\n")
    (tmp_path / "broken.yaml").write_text("a: [1,\n")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe")
    assert read(tmp_path) == []
