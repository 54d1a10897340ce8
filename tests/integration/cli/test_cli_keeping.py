from __future__ import annotations

import shutil
import sqlite3
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.adapters.audit_log import AuditLog
from agent.adapters.executor_lock import ExecutorLock
from agent.adapters.fake_clock import FakeClock
from agent.adapters.store import Store
from agent.domain.decisions import Section
from agent.domain.effects import BlastRadius, Effect, EffectClass
from agent.domain.incident import Entry, EventKind, Status
from agent.domain.limits import Charge
from agent.domain.outbox import Channel, ChatLine, PageHuman
from agent.domain.people import Person, Role
from agent.domain.records import AttemptKey, Changes, Unfinished
from agent.domain.sign_ins import Proof
from agent.web import keys
from agent.web.identity import digest
from agent.web.keys import Newcomer
from tests.integration.cli.conftest import Shell
from tests.unit.pipeline.conftest import ALERT, HookedSandbox, World, runbook, step

KEY_OF_STEP_1 = (Section.STEPS, 1, 1)


@pytest.fixture
def told(world: World, shell: Shell) -> World:
    """One incident resolved, one in the middle of a step that changes something, one that waits."""
    shell.configure(
        pagerduty={"routing_key": {"env": "PAGERDUTY_ROUTING_KEY"}},
        slack={"bot_token": {"env": "SLACK_BOT_TOKEN"}},
    )
    world.runbook(runbook(steps=step(1, "redis-cli PING")))
    world.answers("redis-cli PING", "PONG")
    world.page()
    running = world.receive(replace(ALERT, source_id="P2", title="redis b"))
    world.store.record(running, (), changes=Changes(status=Status.RUNNING), messages=[ChatLine("it runs")])
    key = AttemptKey(running, *KEY_OF_STEP_1)
    charge = Charge(
        (Effect(EffectClass.CACHE_OPERATION, "redis"),), 1, BlastRadius({EffectClass.CACHE_OPERATION: 9})
    )
    world.store.begin_attempt(key, title="Flush", charge=charge)
    world.receive(replace(ALERT, source_id="P3", title="redis c"))
    AuditLog(shell.directory / "audit.jsonl", world.store).catch_up()
    return world


def restored(shell: Shell) -> Store:
    from agent.adapters.clock import SystemClock

    return Store(shell.database_url, SystemClock())


def pages(store: Store) -> list[str]:
    letters = store.next_letters(Channel.PAGER, 100)
    return [letter.message.summary for letter in letters if isinstance(letter.message, PageHuman)]


def test_a_look_at_what_would_be_archived_changes_nothing(shell: Shell, told: World) -> None:
    result = shell("archive", "--dry-run")
    assert result.code == 0
    assert "incidents would be archived into" in result.out
    assert not (shell.directory / "archive").exists()


def test_what_ended_long_ago_is_archived_by_hand(shell: Shell, told: World) -> None:
    told.clock.step_back(100 * 86_400)
    by_hand = told.store.open_manual(replace(ALERT, source_id="M1"))
    told.store.record(
        by_hand, [Entry("end", EventKind.NOTE, "done")], changes=Changes(status=Status.RESOLVED)
    )
    done = shell("archive", "--json").json
    assert done["incidents"] == 1
    assert [path.name for path in (shell.directory / "archive").glob("*.gz")] == done["archives"]
    assert shell("audit", "verify", "--archives").code == 0
    assert shell("show", by_hand, "--json").json["status"] == "resolved"
    assert "done" in shell("show", by_hand).out
    assert shell("show", "inc-nowhere").code == 2


def test_a_backup_is_one_file_that_is_never_written_over_another(shell: Shell, told: World) -> None:
    assert shell("backup", "b.tar.gz").code == 0
    with tarfile.open(shell.directory / "b.tar.gz") as packed:
        assert packed.getnames() == ["manifest.json", "oncall.db"]
    again = shell("backup", "b.tar.gz")
    assert again.code == 2
    assert "exists" in again.err


def test_a_backup_of_nothing_is_an_error(shell: Shell) -> None:
    result = shell("backup", "b.tar.gz")
    assert result.code == 2
    assert "there is no database" in result.err
    assert not (shell.directory / "b.tar.gz").exists()


def test_after_a_restore_what_was_under_way_pages_a_human_and_is_never_run_again(
    shell: Shell, told: World
) -> None:
    shell("backup", "b.tar.gz")
    told.store.close()
    result = shell("restore", "b.tar.gz", "--json")
    assert result.code == 0
    assert len(result.json["incidents"]) == 2
    store = restored(shell)
    assert store.unfinished() == []
    assert [("restored from a backup of" in page) for page in pages(store)] == [True, True]
    (running, _) = result.json["incidents"]
    assert store.look_up_attempt(AttemptKey(running, *KEY_OF_STEP_1), read_only=False) == Unfinished()
    assert store.charged(running) == {"cache_operation": 1}
    store.close()


def test_after_a_restore_nothing_runs_until_a_human_says_so(shell: Shell, told: World) -> None:
    shell("backup", "b.tar.gz")
    told.store.close()
    stop = shell("restore", "b.tar.gz", "--json").json["stop"]
    assert "restored from a backup" in shell("stops").out
    assert shell("resume", stop).code == 0


def test_a_restore_says_that_bypasses_of_the_lost_time_are_not_known(shell: Shell, told: World) -> None:
    shell.configure(
        keeptrusts={"api_token": {"env": "KEEPTRUSTS_API_TOKEN"}, "allow_unsigned_webhooks": True}
    )
    assert shell("backup", "b.tar.gz").code == 0
    assert "EMERGENCY BYPASS" in shell("restore", "b.tar.gz").out


def test_after_a_restore_no_token_and_no_session_opens_anything(shell: Shell, told: World) -> None:
    alice = Person("alice", Role.ADMIN)
    newcomer = Newcomer(alice, Proof.PASSWORD, "127.0.0.1", "a test")
    session = keys.open_session(told.store, newcomer)
    token, secret = keys.create_token(told.store, alice, Role.ADMIN, name="ci", expires_at=None, by="alice")
    shell("backup", "b.tar.gz")
    keys.revoke_token(told.store, token.id, by="alice")  # it had leaked
    told.store.close()
    assert shell("restore", "b.tar.gz").code == 0
    store = restored(shell)
    kept = store.token_by(digest(secret))
    assert kept is not None
    assert not kept.counts(told.clock.now())
    assert store.sessions_of("alice") == []
    assert store.session_by(digest(session)) is not None
    texts = [event.text for event in store.timeline(keys.SIGN_INS)]
    assert "every session is over, every token is revoked" in texts[-1]
    store.close()


def test_after_a_restore_letters_that_may_have_arrived_are_looked_up_first(shell: Shell, told: World) -> None:
    shell("backup", "b.tar.gz")
    told.store.close()
    shell("restore", "b.tar.gz")
    store = restored(shell)
    old, *new = store.next_letters(Channel.CHAT, 100)
    assert old.message == ChatLine("it runs")
    assert old.tries == 1
    assert all(letter.id > old.id + 1_000_000 for letter in new)
    store.close()


def test_after_a_restore_the_audit_log_is_whole_again_and_the_old_one_is_kept(
    shell: Shell, told: World
) -> None:
    shell("backup", "b.tar.gz")
    told.page(source_id="P9", title="redis lost", service="lost")
    AuditLog(shell.directory / "audit.jsonl", told.store).catch_up()
    told.store.close()
    kept = [Path(each) for each in shell("restore", "b.tar.gz", "--json").json["kept"]]
    assert [each.name.split(".before")[0] for each in kept] == ["oncall.db", "audit.jsonl"]
    assert "redis lost" in kept[1].read_text()
    with sqlite3.connect(kept[0]) as old:
        assert old.execute("SELECT count(*) FROM incidents").fetchone() == (4,)
    old.close()
    store = restored(shell)
    assert len(store.incidents()) == 3
    AuditLog(shell.directory / "audit.jsonl", store).catch_up()
    store.close()
    assert shell("audit", "verify").code == 0


def test_a_restore_while_a_daemon_works_is_refused(shell: Shell, told: World) -> None:
    shell("backup", "b.tar.gz")
    lock = ExecutorLock(f"sqlite:///{shell.directory}/oncall.runs.db", "another")
    result = shell("restore", "b.tar.gz")
    assert result.code == 2
    assert "a daemon works as executor 'another'" in result.err
    lock.release()
    assert len(told.store.incidents()) == 3


@pytest.mark.parametrize("damage", ["cut", "changed", "no backup", "not there"])
def test_a_backup_that_is_damaged_is_refused_and_the_database_stays(
    shell: Shell, told: World, damage: str
) -> None:
    shell("backup", "b.tar.gz")
    path = shell.directory / "b.tar.gz"
    raw = path.read_bytes()
    match damage:
        case "cut":
            path.write_bytes(raw[: len(raw) // 2])
        case "changed":
            _exchange(path, shell.directory / "config.yaml")
        case "no backup":
            path.write_bytes(b"hello")
        case _:
            path.unlink()
    result = shell("restore", "b.tar.gz")
    assert result.code == 2
    assert "b.tar.gz" in result.err
    assert len(told.store.incidents()) == 3
    assert told.store.stops() == []


def _exchange(backup: Path, other: Path) -> None:
    """The manifest stays and the database is another file."""
    with tarfile.open(backup) as packed:
        manifest = packed.extractfile("manifest.json")
        assert manifest is not None
        content = manifest.read()
    with tarfile.open(backup, "w:gz") as packed:
        path = backup.with_name("manifest.json")
        path.write_bytes(content)
        packed.add(path, "manifest.json")
        packed.add(other, "oncall.db")


def test_restoring_without_saying_what_is_a_usage_error(shell: Shell) -> None:
    result = shell("restore")
    assert result.code == 2
    assert "which backup" in result.err


@pytest.fixture
def on_postgres(shell: Shell, postgres_url: str, tmp_path: Path) -> Iterator[World]:
    shell.configure(
        database={"url": postgres_url},
        pagerduty={"routing_key": {"env": "PAGERDUTY_ROUTING_KEY"}},
        audit={"path": str(shell.directory / "audit.jsonl")},
    )
    store = Store(postgres_url, FakeClock(datetime.now(UTC)))
    runbooks = tmp_path / "other-runbooks"
    runbooks.mkdir()
    world = World(store, store.clock, runbooks, HookedSandbox())  # type: ignore[arg-type]
    world.receive(ALERT)
    AuditLog(shell.directory / "audit.jsonl", store).catch_up()
    yield world
    store.close()


def test_on_postgresql_backup_names_the_command_to_use(shell: Shell, on_postgres: World) -> None:
    for arguments in (("backup", "b.tar.gz"), ("restore", "b.tar.gz")):
        result = shell(*arguments)
        assert result.code == 2
        assert "pg_dump --format=custom" in result.err


def test_on_postgresql_a_dump_that_was_restored_by_hand_is_made_safe(
    shell: Shell, on_postgres: World, postgres_url: str, tmp_path: Path
) -> None:
    if shutil.which("pg_dump") is None:
        pytest.skip("pg_dump is not installed")
    dump = str(tmp_path / "dump")
    subprocess.run(["pg_dump", "--format=custom", "--file", dump, postgres_url], check=True)
    lost = on_postgres.receive(replace(ALERT, source_id="P2", title="redis lost"))
    subprocess.run(["pg_restore", "--clean", "--if-exists", "--dbname", postgres_url, dump], check=True)

    lock = ExecutorLock(postgres_url, "main")
    assert "stop it first" in shell("restore").err
    lock.release()
    result = shell("restore", "--json")
    assert result.code == 0, result.err
    assert len(result.json["incidents"]) == 1
    assert lost not in result.json["incidents"]
    assert on_postgres.store.unfinished() == []
    assert ["restored from a backup of an unknown time" in page for page in pages(on_postgres.store)] == [
        True
    ]
    assert [stop.id for stop in on_postgres.store.stops()] == [result.json["stop"]]
    (letter,) = on_postgres.store.next_letters(Channel.PAGER, 10)
    assert letter.id > 1_000_000
