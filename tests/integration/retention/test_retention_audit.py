"""Retention takes links out of the audit chain, and still nothing can be changed, dropped or added unseen."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from agent.adapters import codec
from agent.adapters.audit_archives import verify_archives
from agent.adapters.audit_chain import ARCHIVES, Intact, Tampered, entry_hash, verify_chain
from agent.adapters.audit_log import AuditLog, chain_of, verify_against, verify_file
from agent.adapters.store_schema import archives, timeline
from agent.domain.incident import Entry, EventKind
from tests.integration.retention.conftest import Keeping
from tests.integration.retention.test_retention import KEPT_RUNS
from tests.unit.pipeline.conftest import ALERT

Change = Callable[[sa.Connection], object]


@pytest.fixture
def kept(keeping: Keeping) -> str:
    """Of three incidents whose entries lie across each other, the one in the middle is still open."""
    keeping.page()
    ids = [keeping.world.receive(replace(ALERT, source_id=f"W{n}", title=f"redis w{n}")) for n in range(3)]
    for number in range(4):
        for incident_id in ids:
            keeping.store.record(incident_id, [Entry(f"note-{number}", EventKind.NOTE, f"line {number}")])
    for incident_id in (ids[0], ids[2]):
        keeping.world.handle(incident_id)
    keeping.page()
    keeping.clock.sleep(600)
    keeping.world.deliver()
    keeping.days_later(91)
    keeping.pages(KEPT_RUNS)
    keeping.audit.catch_up()
    assert keeping.archive().incidents == 4
    while keeping.audit.catch_up():
        pass
    return ids[1]


def tamper(keeping: Keeping, change: Change) -> None:
    with keeping.store.database.writing() as connection:
        change(connection)


def in_database(keeping: Keeping) -> Intact | Tampered:
    return verify_chain(chain_of(keeping.store))


def with_archives(keeping: Keeping) -> Intact | Tampered:
    return verify_archives(keeping.archives, keeping.store)


def links(keeping: Keeping) -> list[Any]:
    with keeping.store.database.reading() as connection:
        return list(connection.execute(sa.select(timeline).order_by(timeline.c.seq)).all())


def rehash(connection: sa.Connection, row: Any, text: str) -> None:
    """As a forger does who knows how the chain is made."""
    entry = {
        "seq": row.seq, "incident": row.incident_id, "key": row.key, "at": row.at, "kind": row.kind,
        "actor": row.actor, "text": text, "data": codec.loads(row.data),
    }  # fmt: skip
    own = entry_hash(row.prev_hash, entry)
    connection.execute(timeline.update().where(timeline.c.seq == row.seq).values(text=text, hash=own))


def test_after_archiving_file_database_and_archives_are_intact(keeping: Keeping, kept: str) -> None:
    database = in_database(keeping)
    assert isinstance(database, Intact)
    assert database.archived > 40
    assert isinstance(verify_against(keeping.audit.path, keeping.store), Intact)
    whole = with_archives(keeping)
    assert isinstance(whole, Intact)
    assert (whole.entries, whole.archived) == (database.entries + database.archived, 0)
    assert whole.head == database.head


def test_the_file_has_the_whole_story_whatever_was_archived(keeping: Keeping, kept: str) -> None:
    in_file = verify_file(keeping.audit.path)
    assert isinstance(in_file, Intact)
    assert in_file.archived == 0


def test_a_file_written_anew_after_archiving_says_what_is_in_archives(keeping: Keeping, kept: str) -> None:
    keeping.audit.path.unlink()
    anew = AuditLog(keeping.audit.path, keeping.store)
    while anew.catch_up():
        pass
    in_file = verify_against(keeping.audit.path, keeping.store)
    assert isinstance(in_file, Intact)
    assert in_file.archived > 40


def test_every_entry_that_is_left_is_protected_from_change(keeping: Keeping, kept: str) -> None:
    for row in links(keeping):
        tamper(keeping, lambda each, row=row: _set_text(each, row.seq, "nothing happened"))  # type: ignore[misc]
        outcome = in_database(keeping)
        assert isinstance(outcome, Tampered), row.seq
        assert outcome.seq == row.seq
        tamper(keeping, lambda each, row=row: _set_text(each, row.seq, row.text))  # type: ignore[misc]
    assert isinstance(in_database(keeping), Intact)


def test_every_entry_that_is_left_is_protected_from_a_forger_who_makes_its_hash_anew(
    keeping: Keeping, kept: str
) -> None:
    *rows, last = links(keeping)
    for row in rows:  # the last one is the file's to protect
        tamper(keeping, lambda each, row=row: rehash(each, row, "nothing happened"))  # type: ignore[misc]
        assert isinstance(in_database(keeping), Tampered), row.seq
        tamper(keeping, lambda each, row=row: rehash(each, row, row.text))  # type: ignore[misc]
    tamper(keeping, lambda each: rehash(each, last, "nothing happened"))
    assert isinstance(verify_against(keeping.audit.path, keeping.store), Tampered)


def test_every_entry_that_is_left_is_protected_from_being_dropped(keeping: Keeping, kept: str) -> None:
    *rows, last = links(keeping)
    for row in rows:
        tamper(
            keeping, lambda each, row=row: each.execute(timeline.delete().where(timeline.c.seq == row.seq))
        )  # type: ignore[misc]
        assert isinstance(in_database(keeping), Tampered), row.seq
        tamper(keeping, lambda each, row=row: each.execute(timeline.insert(), [dict(row._mapping)]))  # type: ignore[misc]
    tamper(keeping, lambda each: each.execute(timeline.delete().where(timeline.c.seq == last.seq)))
    assert isinstance(verify_against(keeping.audit.path, keeping.store), Tampered)


def test_a_whole_incident_that_was_dropped_and_not_archived_is_found(keeping: Keeping, kept: str) -> None:
    tamper(keeping, lambda each: each.execute(timeline.delete().where(timeline.c.incident_id == kept)))
    outcome = in_database(keeping)
    assert isinstance(outcome, Tampered)
    assert "no archive of the chain has them" in outcome.reason


def test_a_hole_that_a_forger_names_in_the_chain_is_found_without_the_archive(
    keeping: Keeping, kept: str
) -> None:
    """They delete an incident and append an entry about an archive that never was."""
    mine = [row for row in links(keeping) if row.incident_id == kept]
    gaps = [[row.seq, row.seq, row.prev_hash, row.hash] for row in mine]
    data = {"file": "incidents-forged.jsonl.gz", "sha256": "0" * 64, "gaps": gaps}
    tamper(keeping, lambda each: each.execute(timeline.delete().where(timeline.c.incident_id == kept)))
    keeping.store.record(ARCHIVES, [Entry("archive-9", EventKind.SYSTEM, "forged", data)])
    outcome = with_archives(keeping)
    assert isinstance(outcome, Tampered)
    assert "incidents-forged.jsonl.gz" in outcome.reason
    row = {"id": 9, "file": data["file"], "sha256": "0" * 64, "incidents": 1, "ended_before": "", "at": ""}
    tamper(keeping, lambda each: each.execute(archives.insert(), [row]))
    outcome = with_archives(keeping)
    assert isinstance(outcome, Tampered)
    assert "is missing" in outcome.reason


def test_an_archive_that_is_listed_and_not_in_the_chain_is_found(keeping: Keeping, kept: str) -> None:
    row = {"id": 9, "file": "x.gz", "sha256": "0" * 64, "incidents": 1, "ended_before": "", "at": ""}
    tamper(keeping, lambda each: each.execute(archives.insert(), [row]))
    outcome = with_archives(keeping)
    assert isinstance(outcome, Tampered)
    assert "the chain does not name it" in outcome.reason


@pytest.mark.parametrize("damage", ["a changed word", "an incident left out", "one bit", "gone"])
def test_an_archive_that_is_not_what_was_written_is_found(keeping: Keeping, kept: str, damage: str) -> None:
    (path,) = keeping.archives.glob("*.gz")
    raw = path.read_bytes()
    match damage:
        case "a changed word":
            path.write_bytes(gzip.compress(gzip.decompress(raw).replace(b"succeeded", b"Succeeded", 1)))
        case "an incident left out":
            path.write_bytes(gzip.compress(b"\n".join(gzip.decompress(raw).splitlines()[:-1]) + b"\n"))
        case "one bit":
            path.write_bytes(raw[:-9] + bytes([raw[-9] ^ 1]) + raw[-8:])
        case _:
            path.unlink()
    outcome = with_archives(keeping)
    assert isinstance(outcome, Tampered)
    assert path.name in outcome.reason
    assert isinstance(in_database(keeping), Intact)


def test_archiving_again_and_again_keeps_the_chain_whole(keeping: Keeping, kept: str) -> None:
    for _ in range(3):
        keeping.pages(3)
        keeping.days_later(91)
        keeping.pages(KEPT_RUNS)
        assert keeping.archive(per_file=2).incidents > 0
        assert isinstance(in_database(keeping), Intact)
        assert isinstance(with_archives(keeping), Intact)
    assert keeping.store.incident(kept)


def _set_text(connection: sa.Connection, seq: int, text: str) -> None:
    connection.execute(timeline.update().where(timeline.c.seq == seq).values(text=text))
