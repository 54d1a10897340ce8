from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from tests.integration.cli.conftest import Shell
from tests.unit.pipeline.conftest import World, runbook, step


@pytest.fixture
def story(world: World) -> World:
    world.runbook(runbook(steps=step(1, "redis-cli PING")))
    world.answers("redis-cli PING", "PONG")
    world.page()
    return world


def test_a_postmortem_is_printed_or_written(shell: Shell, story: World, tmp_path: Path) -> None:
    (incident,) = story.store.incidents()
    told = shell("postmortem", incident.id)
    assert told.code == 0
    assert told.out.startswith("## Incident: Redis connection timeout\n")
    page = tmp_path / "made" / "pm.html"
    assert shell("postmortem", "P1", "--format", "html", "--out", str(page)).out == f"written: {page}\n"
    assert page.read_text().startswith("<!doctype html>")
    assert shell("postmortem", incident.id, "--json").json["incident_id"] == incident.id


def test_of_what_there_is_not_none_is_made(shell: Shell, story: World) -> None:
    assert "there is no incident inc-404" in shell("postmortem", "inc-404").err


def test_evidence_is_written_and_verified(shell: Shell, story: World, tmp_path: Path) -> None:
    file = tmp_path / "evidence.zip"
    made = shell("export", "--incident", "P1", "--out", str(file))
    assert made.code == 0
    assert "1 attempts, 0 decision events, 0 escalations, 1 incidents, 9 timeline" in made.out
    assert file.stat().st_mode & 0o077 == 0
    verified = shell("export", "--verify", str(file), "--json").json
    assert verified["intact"] is True
    assert verified["manifest_sha256"] in made.out
    with zipfile.ZipFile(file) as archive:
        entry = json.loads(archive.read("timeline.jsonl").splitlines()[0])
    assert entry["kind"] == "received"
    file.write_bytes(file.read_bytes()[:-100])
    broken = shell("export", "--verify", str(file))
    assert (broken.code, broken.out.startswith("altered: evidence.zip: it is no whole ZIP")) == (1, True)


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("--out x.zip", "say what of"),
        ("--since 2026-01-05", "say where to"),
        ("--since soon --out x.zip", "--since soon is no time"),
        ("--since 2026-01-05 --until 2026-01-04 --out x.zip", "is not before"),
        ("--verify x.zip --since 2026-01-05", "takes nothing else"),
        ("--verify x.zip", "cannot be read"),
        ("--incident inc-404 --out x.zip", "there is no incident"),
    ],
)
def test_what_is_typed_wrong_is_told(shell: Shell, story: World, typed: str, words: str) -> None:
    told = shell("export", *typed.split())
    assert told.code == 2
    assert words in " ".join(told.err.split())
