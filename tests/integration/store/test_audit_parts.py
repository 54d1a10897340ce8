"""An audit log that has become large goes on in a new file, and is one log all the same."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from agent.adapters import audit_parts
from agent.adapters.audit_chain import Intact, Tampered
from agent.adapters.audit_log import AuditLog, verify_against, verify_file
from agent.adapters.store import Store
from agent.domain.alert import Alert
from agent.domain.incident import Entry, EventKind


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


@pytest.fixture
def incident_id(store: Store) -> str:
    return store.open_manual(Alert("manual", "m-1", "Redis connection timeout"))


def tell(store: Store, incident_id: str, count: int) -> None:
    start = len(store.timeline(incident_id))
    for number in range(start, start + count):
        store.record(incident_id, [Entry(f"note-{number}", EventKind.NOTE, f"line {number}")])


def log_of(store: Store, tmp_path: Path) -> AuditLog:
    return AuditLog(tmp_path / "audit.jsonl", store, closed_at_bytes=1_000)


@pytest.fixture
def parts(store: Store, incident_id: str, tmp_path: Path) -> AuditLog:
    log = log_of(store, tmp_path)
    for _ in range(7):
        tell(store, incident_id, 2)
        log.catch_up()
    return log


def test_a_large_file_is_closed_and_the_next_one_goes_on_where_it_ends(parts: AuditLog, store: Store) -> None:
    closed = audit_parts.closed(parts.path)
    assert len(closed) >= 2
    assert [part.first for part in closed] == [1, *(part.last + 1 for part in closed[:-1])]
    outcome = verify_against(parts.path, store)
    assert isinstance(outcome, Intact)
    assert outcome.entries == 14


def test_a_restart_goes_on_after_the_last_closed_part(
    parts: AuditLog, store: Store, incident_id: str, tmp_path: Path
) -> None:
    tell(store, incident_id, 3)
    again = log_of(store, tmp_path)
    assert again.catch_up() == 3
    assert isinstance(verify_against(parts.path, store), Intact)


def test_a_crash_between_closing_and_emptying_repeats_nothing(
    parts: AuditLog, store: Store, incident_id: str, tmp_path: Path
) -> None:
    last = audit_parts.closed(parts.path)[-1]
    parts.path.write_bytes(gzip.decompress(last.path.read_bytes()))
    assert isinstance(verify_file(parts.path), Intact)
    again = log_of(store, tmp_path)
    tell(store, incident_id, 1)
    while again.catch_up():
        pass
    outcome = verify_against(parts.path, store)
    assert isinstance(outcome, Intact)
    assert outcome.entries == 15


def test_a_part_that_was_taken_away_is_missed(parts: AuditLog) -> None:
    audit_parts.closed(parts.path)[0].path.unlink()
    outcome = verify_file(parts.path)
    assert isinstance(outcome, Tampered)
    assert outcome.seq == 1


@pytest.mark.parametrize(
    "damage", [lambda raw: raw[:-20], lambda raw: b"", lambda raw: raw[:40] + b"x" + raw[41:]]
)
def test_a_part_that_was_damaged_is_found(parts: AuditLog, damage: object) -> None:
    path = audit_parts.closed(parts.path)[0].path
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    assert isinstance(verify_file(parts.path), Tampered)


def test_a_line_that_a_crash_cut_off_is_written_again(store: Store, incident_id: str, tmp_path: Path) -> None:
    tell(store, incident_id, 5)
    log = AuditLog(tmp_path / "audit.jsonl", store)
    log.catch_up()
    raw = log.path.read_bytes()
    for left in (len(raw) - 1, len(raw) - 30, raw.index(b"\n") + 1, 10, 0):
        log.path.write_bytes(raw[:left])
        AuditLog(log.path, store).catch_up()
        assert log.path.read_bytes() == raw
