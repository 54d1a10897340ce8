"""What is remembered of a command's analysis, and what is asked of the world each time."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from agent.adapters.fake_counter import FakeCounter
from agent.domain.command import Filled, Refusal
from agent.domain.effects import Effect
from agent.safety.analysis import Analysis
from agent.safety.effects import EffectTables

TABLES = EffectTables.load()

ONE = FakeCounter(
    workloads={("prod", "deployment", "api"): 1},
    pods={("prod", "app=api", ""): ("api-1",)},
    nodes={"n1": (("prod", "api-1"),)},
    releases={("prod", "api"): (("deployment", "api", 1),)},
    groups={("eu-west-1", "web"): 1},
    services={("eu-west-1", "main", "web"): 1},
)
THREE = FakeCounter(
    workloads={("prod", "deployment", "api"): 3},
    pods={("prod", "app=api", ""): ("api-1", "api-2", "api-3")},
    nodes={"n1": (("prod", "api-1"), ("prod", "api-2"), ("prod", "api-3"))},
    releases={("prod", "api"): (("deployment", "api", 3),)},
    groups={("eu-west-1", "web"): 3},
    services={("eu-west-1", "main", "web"): 3},
)

COUNTED = (
    "kubectl rollout restart deployment/api -n prod",
    "timeout 30 kubectl rollout restart deployment/api -n prod",
    "kubectl delete pod -l app=api -n prod",
    "kubectl drain n1 --ignore-daemonsets",
    "kubectl scale deployment/api -n prod --replicas=5",
    "helm rollback api 3 -n prod",
    "aws autoscaling start-instance-refresh --auto-scaling-group-name web --region eu-west-1",
    "aws ecs update-service --cluster main --service web --force-new-deployment --region eu-west-1",
)


def analysed(tables: EffectTables, command: str, counter: FakeCounter | None = None) -> Analysis | Refusal:
    return tables.analyse(command.split(), counter=counter)


@pytest.mark.parametrize("command", COUNTED)
def test_what_has_to_be_counted_is_counted_anew_each_time(command: str) -> None:
    nobody, one = analysed(TABLES, command), analysed(TABLES, command, ONE)
    three, again = analysed(TABLES, command, THREE), analysed(TABLES, command)
    assert isinstance(one, Analysis)
    assert isinstance(three, Analysis)
    assert one != three
    assert nobody == again
    assert isinstance(again, Refusal)


def test_a_script_is_looked_at_each_time(tmp_path: Path) -> None:
    content = [b"#!/bin/sh\n"]
    declared = tmp_path / "team.yaml"
    digest = hashlib.sha256(content[0]).hexdigest()
    declared.write_text(
        f"scripts: {{/opt/flip.sh: {{sha256: {digest}, effect: {{class: config_change}}}}}}\n"
    )
    tables = EffectTables(EffectTables.load([declared]).tables, read_script=lambda _: content[0])
    assert isinstance(analysed(tables, "/opt/flip.sh"), Analysis)
    content[0] += b"rm -rf /\n"
    assert "its content has changed" in str(analysed(tables, "/opt/flip.sh"))


def test_where_a_parameter_stands_decides_although_the_words_are_the_same() -> None:
    argv = ("redis-cli", "FLUSHDB")
    assert isinstance(TABLES.analyse(argv), Analysis)
    assert isinstance(TABLES.analyse(argv, filled=(Filled(1, 0, 7),)), Refusal)
    assert isinstance(TABLES.analyse(argv), Analysis)


def test_tables_of_a_team_know_nothing_of_what_others_said(tmp_path: Path) -> None:
    command = ["curl", "-X", "POST", "http://flags.internal/off"]
    effect = "{class: feature_flag_change}"
    (tmp_path / "team.yaml").write_text(
        f"urls: {{allowed: [{{method: POST, url: http://flags.internal/off, effect: {effect}}}]}}\n"
    )
    assert _classes(TABLES.price(command)) == ["opaque"]
    assert _classes(EffectTables.load([tmp_path / "team.yaml"]).price(command)) == ["feature_flag_change"]


def test_it_is_the_same_whoever_was_asked_before_and_however_many() -> None:
    many = [f"redis-cli -h cache-{number}.prod INCR key-{number}" for number in range(600)]
    first = [analysed(TABLES, command) for command in many]
    assert [analysed(TABLES, command) for command in reversed(many)] == first[::-1]
    assert [found.hosts for found in first[:2] if isinstance(found, Analysis)] == [
        ("cache-0.prod:6379",),
        ("cache-1.prod:6379",),
    ]


def _classes(found: tuple[Effect, ...] | Refusal) -> list[str]:
    assert not isinstance(found, Refusal)
    return [effect.effect_class.value for effect in found]
