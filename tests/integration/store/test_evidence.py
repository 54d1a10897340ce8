"""Evidence that is taken away: the same bytes for the same data, and whoever changes one is found out."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from agent.adapters import evidence_rows
from agent.adapters.evidence_check import check
from agent.adapters.evidence_file import MANIFEST, evidence
from agent.adapters.fake_clock import FakeClock
from agent.adapters.store import Store
from agent.domain.decision_event import DecisionEvent, PolicyEvaluation
from agent.domain.evidence import Altered, EvidenceAsked, Whole
from agent.domain.incident import Entry, EventKind
from agent.safety.redaction import Redactor
from tests.unit.pipeline.conftest import SECRET, HookedSandbox, World, runbook, step


@pytest.fixture
def world(store: Store, clock: FakeClock, tmp_path: Path) -> World:
    """One incident that was resolved, an hour later one that needs a human, and a decision in between."""
    (tmp_path / "runbooks").mkdir()
    world = World(store, clock, tmp_path / "runbooks", HookedSandbox())
    world.runbook(runbook(steps=step(1, "redis-cli PING")))
    world.answers("redis-cli PING", "PONG")
    world.page()
    clock.sleep(1_800)
    event = DecisionEvent(
        "evt-1", clock.now(), "blocked", user="=cmd()", evaluations=(PolicyEvaluation("p", "blocked"),)
    )
    store.keep_events([event])
    clock.sleep(1_800)
    world.page(title="Nobody knows this", source_id="P2")
    return world


def of_window(world: World, hours: float = 2) -> EvidenceAsked:
    now = world.clock.now()
    return EvidenceAsked(now - timedelta(hours=hours), now + timedelta(seconds=1))


def taken(world: World, asked: EvidenceAsked, secrets: tuple[str, ...] = ()) -> bytes:
    return b"".join(evidence(world.store, asked, Redactor(secrets).value))


def lines(data: bytes, name: str) -> list[dict[str, object]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [json.loads(line) for line in archive.read(f"{name}.jsonl").splitlines()]


def test_it_holds_every_kind_twice_and_the_same_data_are_the_same_bytes(world: World, tmp_path: Path) -> None:
    data = taken(world, of_window(world))
    assert taken(world, of_window(world)) == data
    kinds = ("incidents", "attempts", "escalations", "decision_events")
    assert [len(lines(data, name)) for name in kinds] == [2, 1, 1, 1]
    (decision,) = lines(data, "decision_events")
    assert decision["policies"] == [{"policy_name": "p", "result": "blocked"}]
    (tmp_path / "e.zip").write_bytes(data)
    found = check(tmp_path / "e.zip")
    assert isinstance(found, Whole)
    assert found.entries == found.last_entry == world.store.last_seq()
    assert found.head == list(world.store.audit_entries())[-1]["hash"]


def test_a_window_ends_where_it_says(world: World) -> None:
    data = taken(world, of_window(world, hours=0.25))
    (incident,) = lines(data, "incidents")
    assert incident["title"] == "Nobody knows this"
    assert (lines(data, "attempts"), lines(data, "decision_events")) == ([], [])


def test_of_an_incident_it_is_all_of_it_and_nothing_else(world: World) -> None:
    resolved = world.store.incidents()[1]
    data = taken(world, EvidenceAsked(world.clock.now(), world.clock.now(), resolved.id))
    assert {each["incident"] for each in lines(data, "timeline")} == {resolved.id}
    assert [each["id"] for each in lines(data, "incidents")] == [resolved.id]
    assert len(lines(data, "attempts")) == 1


def test_a_spreadsheet_finds_no_formula_in_it(world: World) -> None:
    with zipfile.ZipFile(io.BytesIO(taken(world, of_window(world)))) as archive:
        (row,) = csv.DictReader(io.StringIO(archive.read("decision_events.csv").decode()))
    assert row["user_id"] == "'=cmd()"


def test_nor_does_one_that_parts_cells_elsewhere_or_reads_full_width_signs(world: World) -> None:
    inside = ("ops;=cmd()", 'ops;"=cmd()"', "ops\n+cmd()", "ops\t@cmd()", "；＝cmd()")
    users = (*inside, *(f"{sign}cmd()" for sign in "＝＋－＠"))
    now = world.clock.now()
    world.store.keep_events([DecisionEvent(f"e-{user}", now, "blocked", user=user) for user in users])
    with zipfile.ZipFile(io.BytesIO(taken(world, of_window(world)))) as archive:
        text = archive.read("decision_events.csv").decode()
    for separator in (",", ";", "\t", "；"):
        cells = [cell for row in csv.reader(io.StringIO(text), delimiter=separator) for cell in row]
        assert len([cell for cell in cells if "cmd()" in cell]) >= len(users)
        assert not [cell for cell in cells if cell.startswith(tuple("=+-@＝＋－＠"))]


def test_what_is_no_formula_stands_in_it_as_it_is(world: World) -> None:
    world.store.keep_events([DecisionEvent("evt-2", world.clock.now(), "blocked", user="a=b; c - d, e@f")])
    with zipfile.ZipFile(io.BytesIO(taken(world, of_window(world)))) as archive:
        rows = list(csv.DictReader(io.StringIO(archive.read("decision_events.csv").decode())))
    assert "a=b; c - d, e@f" in {row["user_id"] for row in rows}


def test_what_has_become_a_secret_since_is_not_taken_away(world: World, tmp_path: Path) -> None:
    world.store.record("inc-x", [Entry("note", EventKind.NOTE, f"it said {SECRET[5:]}")])
    data = taken(world, of_window(world), (SECRET[5:],))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert not any(SECRET[5:].encode() in archive.read(name) for name in archive.namelist())
    (tmp_path / "e.zip").write_bytes(data)
    found = check(tmp_path / "e.zip")
    assert isinstance(found, Whole)
    assert found.cleared == 1


Change = Callable[[dict[str, bytes]], object]


def one_sign(files: dict[str, bytes]) -> None:
    files["timeline.jsonl"] = files["timeline.jsonl"].replace(
        b"resolved automatically", b"resolved magically", 1
    )


def with_new_hashes(files: dict[str, bytes]) -> None:
    """Whoever changes an entry and the manifest with it still has the chain against them."""
    import hashlib

    one_sign(files)
    said = json.loads(files[MANIFEST])
    text = files["timeline.jsonl"]
    said["files"]["timeline.jsonl"] |= {"sha256": hashlib.sha256(text).hexdigest(), "size": len(text)}
    files[MANIFEST] = (json.dumps(said, indent=1) + "\n").encode()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (one_sign, "changed after it was written"),
        (with_new_hashes, "changed after it was written"),
        (lambda files: files.pop("attempts.csv"), "missing"),
        (lambda files: files.update({"more.txt": b""}), "not in the manifest"),
        (lambda files: files.update({"incidents.csv": b"id\r\n"}), "not the file whose hash"),
        (lambda files: files.pop(MANIFEST), "missing"),
        (lambda files: files.update({MANIFEST: b"{}"}), "cannot be read"),
        (
            lambda files: files.update({MANIFEST: files[MANIFEST].replace(b'"rows": 1', b'"rows":  1')}),
            "format 1",
        ),
    ],
)
def test_whatever_is_changed_is_found(world: World, tmp_path: Path, change: Change, words: str) -> None:
    with zipfile.ZipFile(io.BytesIO(taken(world, of_window(world)))) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    with zipfile.ZipFile(tmp_path / "e.zip", "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    found = check(tmp_path / "e.zip")
    assert isinstance(found, Altered)
    assert words in found.reason


@pytest.mark.parametrize("cut", [0, 10, 1_000, -30])
def test_half_a_file_is_none(world: World, tmp_path: Path, cut: int) -> None:
    (tmp_path / "e.zip").write_bytes(taken(world, of_window(world))[:cut])
    assert isinstance(check(tmp_path / "e.zip"), Altered)


def test_much_of_it_takes_no_more_memory(
    world: World, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not database_url.startswith("sqlite"):
        pytest.skip("the same rows by the same code; once is enough")
    monkeypatch.setattr(evidence_rows, "_PAGE", 50)

    def many() -> Iterator[DecisionEvent]:
        for number in range(3_000):
            yield DecisionEvent(f"evt-many-{number}", world.clock.now(), "allowed", user=f"{number}" * 200)

    world.store.keep_events(many())
    asked, size = of_window(world), 0
    tracemalloc.start()
    for piece in evidence(world.store, asked, lambda row: row):
        size += len(piece)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size > 50_000
    assert peak < 4_000_000
