from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import alembic.autogenerate
import alembic.migration
import pytest
import sqlalchemy as sa

from agent.adapters.audit_chain import Intact, Tampered, verify_chain
from agent.adapters.audit_log import AuditLog, verify_against, verify_file
from agent.adapters.fake_clock import FakeClock
from agent.adapters.store import Store
from agent.adapters.store_schema import metadata
from agent.domain.alert import Alert
from agent.domain.errors import StoreError
from agent.domain.incident import Entry, EventKind, Status
from agent.domain.outbox import Channel, ChatCard, ChatLine, DeskNote
from agent.domain.records import Changes


@pytest.fixture
def incident_id(store: Store) -> str:
    return store.open_manual(Alert("manual", "m-1", "Redis connection timeout"))


def entry(number: int) -> Entry:
    return Entry(f"note-{number}", EventKind.NOTE, f"line {number} → “ünïcode”", {"number": number})


@pytest.fixture
def audit(store: Store, incident_id: str, tmp_path: Path) -> AuditLog:
    for number in range(5):
        store.record(incident_id, [entry(number)])
    log = AuditLog(tmp_path / "audit.jsonl", store)
    log.catch_up()
    return log


def rewrite(audit: AuditLog, change: object) -> None:
    lines = audit.path.read_text().splitlines()
    audit.path.write_text("".join(f"{line}\n" for line in change(lines)))  # type: ignore[operator]


def test_the_migrations_make_exactly_the_tables_that_the_code_speaks_of(store: Store) -> None:
    with store.database.reading() as connection:
        context = alembic.migration.MigrationContext.configure(connection)
        differences = alembic.autogenerate.compare_metadata(context, metadata)
    assert [each for each in differences if "oncall_migrations" not in str(each)] == []


def test_entry_changes_and_messages_are_one_transaction(store: Store, incident_id: str) -> None:
    told = store.record(
        incident_id,
        [entry(1)],
        changes=Changes(status=Status.RUNNING),
        messages=[ChatLine("line"), DeskNote("P1", "note")],
    )
    assert told
    assert store.incident(incident_id).status is Status.RUNNING
    assert [each.message for each in store.next_letters(Channel.CHAT, 10)] == [ChatLine("line")]
    assert [each.message for each in store.next_letters(Channel.DESK, 10)] == [DeskNote("P1", "note")]


def test_telling_the_same_entry_again_does_nothing(store: Store, incident_id: str) -> None:
    store.record(incident_id, [entry(1)])
    again = store.record(
        incident_id, [entry(1)], changes=Changes(status=Status.RESOLVED), messages=[ChatCard()]
    )
    assert not again
    assert store.incident(incident_id).status is Status.RECEIVED
    assert store.next_letters(Channel.CHAT, 10) == []


def test_an_unknown_incident_is_told_with_words(store: Store) -> None:
    with pytest.raises(StoreError, match="there is no incident inc-0"):
        store.incident("inc-0")


@pytest.mark.parametrize("words", [2, 3_000])
def test_an_incident_is_read_with_the_alert_that_it_has_now(
    store: Store, incident_id: str, words: int
) -> None:
    first = replace(store.incident(incident_id).alert, body="disk full " * words)
    for learned in (first, replace(first, team="storage", labels={"rack": "7"}), first):
        store.record(incident_id, [], changes=Changes(alert=learned))
        assert store.incident(incident_id).alert == learned


def test_data_is_chained_as_it_is_read_back(store: Store, incident_id: str) -> None:
    """JSON has texts for names and no tuples, and writes an emoji as two halves."""
    data = {"steps": {10: "ten", 2: ("two", Status.RUNNING)}, "halves": "\ud83d\ude00", "half": "\ud83d"}
    store.record(incident_id, [Entry("note", EventKind.NOTE, "told", data)])
    (told,) = store.timeline(incident_id)
    assert told.data == {
        "steps": {"10": "ten", "2": ["two", "running"]}, "halves": "😀", "half": "\ud83d"
    }  # fmt: skip
    assert isinstance(verify_chain(store.audit_entries()), Intact)


def test_an_untouched_audit_log_is_intact(store: Store, audit: AuditLog) -> None:
    assert isinstance(verify_against(audit.path, store), Intact)


def test_a_changed_word_breaks_the_chain_at_its_entry(audit: AuditLog) -> None:
    rewrite(audit, lambda lines: [line.replace("line 2", "line two") for line in lines])
    assert verify_file(audit.path) == Tampered(3, "entry 3 was changed after it was written")


def test_a_text_given_twice_in_one_line_is_found(audit: AuditLog) -> None:
    rewrite(audit, lambda lines: [lines[0].replace("{", '{"text": "nothing happened", ', 1), *lines[1:]])
    assert isinstance(verify_file(audit.path), Tampered)


def test_a_key_added_to_an_entry_is_found(audit: AuditLog) -> None:
    added = json.loads(audit.path.read_text().splitlines()[0]) | {"approved_by": "ceo"}
    rewrite(audit, lambda lines: [json.dumps(added, ensure_ascii=False), *lines[1:]])
    assert verify_file(audit.path) == Tampered(1, "entry 1 has approved_by added")


def test_a_dropped_entry_breaks_the_chain(audit: AuditLog) -> None:
    rewrite(audit, lambda lines: lines[:2] + lines[3:])
    outcome = verify_file(audit.path)
    assert isinstance(outcome, Tampered)
    assert outcome.seq == 3


def test_swapped_entries_break_the_chain(audit: AuditLog) -> None:
    rewrite(audit, lambda lines: [lines[0], lines[2], lines[1], *lines[3:]])
    assert isinstance(verify_file(audit.path), Tampered)


def test_a_rehashed_entry_breaks_the_link_to_the_next(store: Store, audit: AuditLog) -> None:
    def forge(lines: list[str]) -> list[str]:
        from agent.adapters.audit_chain import entry_hash

        forged = json.loads(lines[1]) | {"text": "nothing happened"}
        forged["hash"] = entry_hash(forged["prev"], forged)
        return [lines[0], json.dumps(forged), *lines[2:]]

    rewrite(audit, forge)
    assert verify_file(audit.path) == Tampered(3, "entry 3 does not stand on the entry before it")


def test_a_file_that_lags_a_moment_behind_is_intact(store: Store, audit: AuditLog) -> None:
    rewrite(audit, lambda lines: lines[:3])
    assert isinstance(verify_against(audit.path, store), Intact)


def test_a_dropped_tail_is_found_against_the_database(
    store: Store, clock: FakeClock, audit: AuditLog
) -> None:
    rewrite(audit, lambda lines: lines[:3])
    clock.sleep(61)
    assert isinstance(verify_file(audit.path), Intact)
    assert isinstance(verify_against(audit.path, store), Tampered)


def test_an_entry_changed_in_the_database_is_found(store: Store, audit: AuditLog) -> None:
    with store.database.writing() as connection:
        connection.execute(sa.text("UPDATE timeline SET text = 'nothing happened' WHERE seq = 2"))
    outcome = verify_against(audit.path, store)
    assert isinstance(outcome, Tampered)
    assert outcome.reason.startswith("in the database")


def test_entries_dropped_from_the_end_of_the_database_are_found(store: Store, audit: AuditLog) -> None:
    with store.database.writing() as connection:
        connection.execute(sa.text("DELETE FROM timeline WHERE seq > 3"))
    assert verify_against(audit.path, store) == Tampered(
        4, "entries that the file has were dropped from the database"
    )


def test_junk_in_the_audit_log_is_a_break_and_no_crash(audit: AuditLog) -> None:
    rewrite(audit, lambda lines: [*lines[:2], "not json", *lines[2:]])
    assert isinstance(verify_file(audit.path), Tampered)


def test_a_line_that_a_crash_cut_off_is_written_again(
    store: Store, audit: AuditLog, incident_id: str
) -> None:
    whole = audit.path.read_bytes()
    audit.path.write_bytes(whole[:-20])
    again = AuditLog(audit.path, store)
    assert again.catch_up() == 1
    assert audit.path.read_bytes() == whole
    assert isinstance(verify_against(audit.path, store), Intact)


def test_an_empty_chain_is_intact() -> None:
    assert verify_chain([]) == Intact(0, "0" * 64)


def test_letters_come_in_order_and_wait_behind_a_postponed_one(
    store: Store, clock: FakeClock, incident_id: str
) -> None:
    other = store.open_manual(Alert("manual", "m-2", "Disk full"))
    store.record(incident_id, [entry(1)], messages=[ChatLine("a"), ChatLine("b")])
    store.record(other, [entry(1)], messages=[ChatLine("c")])
    first, second, third = store.next_letters(Channel.CHAT, 10)
    store.postpone([first.id], delay_s=30, error="down")
    assert [each.id for each in store.next_letters(Channel.CHAT, 10)] == [third.id]
    clock.sleep(31)
    assert [each.id for each in store.next_letters(Channel.CHAT, 10)] == [first.id, second.id, third.id]


def test_a_delivered_letter_is_not_offered_again(store: Store, incident_id: str) -> None:
    store.record(incident_id, [entry(1)], messages=[ChatLine("a")])
    (letter,) = store.next_letters(Channel.CHAT, 10)
    store.begin_delivery([letter.id])
    store.delivered([letter.id])
    assert store.next_letters(Channel.CHAT, 10) == []
    assert store.outbox_state() == {}
