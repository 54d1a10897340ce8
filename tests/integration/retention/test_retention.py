"""What ended long ago leaves the database for an archive, whole, and nothing else does."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from agent.adapters import archive_rows
from agent.adapters.archiver import Pace, Report
from agent.adapters.fake_clock import FakeClock
from agent.adapters.store import Store
from agent.adapters.store_schema import deliveries, metadata
from agent.config import parse
from agent.domain.errors import ConfigError, StoreError, UnknownIncidentError
from agent.domain.incident import Status
from agent.domain.outbox import Channel, ChatLine
from agent.domain.queue import QueueFilter
from agent.domain.source_event import Acceptance, ActorKind, EventType, SourceEvent
from agent.pipeline.takeover import handle_event
from agent.web import views
from tests.integration.retention.conftest import Keeping
from tests.unit.pipeline.conftest import ALERT, runbook, step

#: The last runs of a runbook stay.
KEPT_RUNS = 5


def aged(keeping: Keeping, count: int = 3) -> list[str]:
    """Incidents that may leave; the runs that stay are newer."""
    old = [each.id for each in keeping.pages(count)]
    keeping.days_later(91)
    keeping.pages(KEPT_RUNS)
    return old


def test_an_incident_that_ended_long_ago_goes_into_an_archive_and_leaves_the_database(
    keeping: Keeping,
) -> None:
    old = aged(keeping)
    report = keeping.archive()
    assert report.incidents == 3
    assert keeping.archived() == old
    assert [keeping.rows_of(each) for each in old] == [{}, {}, {}]
    assert len(keeping.store.incidents()) == KEPT_RUNS
    with pytest.raises(UnknownIncidentError):
        keeping.store.incident(old[0])


def test_an_archive_is_enough_to_rebuild_every_view(keeping: Keeping, tmp_path: Path) -> None:
    old = aged(keeping)
    before = [views.incident(keeping.store, each) for each in old]
    threads = [keeping.store.thread_ref(each) for each in old]
    webhooks = [keeping.store.delivery_outcomes(each) for each in old]
    writes = [keeping.store.own_writes(f"P{number}") for number in (1, 2, 3)]
    text = keeping.store.revision_text(before[0]["runbook_revision"])
    keeping.archive()

    rebuilt = Store(f"sqlite:///{tmp_path}/rebuilt.db", keeping.clock)
    rebuilt.migrate()
    with rebuilt.database.writing() as connection:
        for line in keeping.lines():
            archive_rows.restore(connection, line)
    assert [views.incident(rebuilt, each) for each in old] == before
    assert [rebuilt.thread_ref(each) for each in old] == threads
    assert [rebuilt.delivery_outcomes(each) for each in old] == webhooks
    assert [rebuilt.own_writes(f"P{number}") for number in (1, 2, 3)] == writes
    assert rebuilt.revision_text(before[0]["runbook_revision"]) == text
    assert threads[0] is not None
    assert writes[0]
    assert webhooks[0]
    rebuilt.close()


def test_every_table_goes_with_its_incident_or_stays_for_a_reason() -> None:
    goes = {table.name for table in archive_rows.BELONGING} | {"incidents", "timeline", "own_writes"}
    stays = {
        "revisions",  # the texts of runbooks that incidents refer to; they grow with edits, not with pages
        "known", "counters", "turns",  # single values, or one a service
        "autonomy", "watches",  # a row a runbook; a row a watched item, gone with it
        "decision_events", "policy_evaluations",  # deleted by their age
        "stops", "executors", "archives",  # of the agent itself
        "credentials", "api_tokens",  # of people, until somebody takes them away
        "sessions", "sign_in_failures", "sign_in_starts", "presses",  # forgotten by whoever writes them
        "keeptrusts_early", "handoffs",  # the same
        "keeptrusts_bypasses",  # open ones alone
    }  # fmt: skip
    assert goes | stays == {table.name for table in metadata.sorted_tables}


def test_what_is_watched_stays_whatever_was_imported_first() -> None:
    script = (
        "import agent.adapters.store_schema_probes\n"
        "from agent.adapters.archive_rows import BELONGING\n"
        "assert 'watches' not in {table.name for table in BELONGING}"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_what_ended_lately_stays(keeping: Keeping) -> None:
    keeping.pages(KEPT_RUNS + 1)
    keeping.days_later(89)
    assert keeping.archive().incidents == 0
    assert not list(keeping.archives.glob("*.gz"))


def test_without_a_limit_everything_stays_for_ever(keeping: Keeping) -> None:
    aged(keeping)
    keeping.configure(incidents_days=0, raw_webhooks_days=0)
    keeping.days_later(10_000)
    assert keeping.archive() == Report()


def test_an_unfinished_incident_stays_however_old_it_is(keeping: Keeping) -> None:
    waiting = keeping.world.receive(replace(ALERT, source_id="P0"))
    old = aged(keeping)
    keeping.archive()
    assert keeping.archived() == old
    assert keeping.store.incident(waiting).status is Status.RECEIVED


def test_an_incident_with_an_undelivered_letter_stays(keeping: Keeping) -> None:
    old = aged(keeping)
    keeping.store.record(old[0], (), messages=[ChatLine("not told yet")])
    keeping.archive()
    assert keeping.archived() == old[1:]


def test_an_incident_with_an_event_that_nobody_has_read_stays(keeping: Keeping) -> None:
    old = aged(keeping)
    event = SourceEvent("pagerduty", "d-late", EventType.RESOLVED, "incident.resolved", "P1")
    keeping.store.accept(event, "{}")
    keeping.archive()
    assert keeping.archived() == old[1:]


def test_an_open_escalation_keeps_its_incident_and_a_closed_one_does_not(keeping: Keeping) -> None:
    (keeping.world.runbooks / "redis-connection-timeout.md").unlink()
    keeping.world.context.library.reload()
    escalated = [keeping.page(service=name).id for name in "cd"]
    assert {keeping.store.incident(each).status for each in escalated} == {Status.ESCALATED}
    resolved = SourceEvent(
        "pagerduty", "d-over", EventType.RESOLVED, "incident.resolved", "P1", ActorKind.HUMAN, "U1", "Maria"
    )  # fmt: skip
    keeping.store.accept(resolved, "{}")
    handle_event(keeping.world.context, escalated[0], resolved)
    assert [each.incident_id for each in keeping.store.queue_page(QueueFilter()).items] == [escalated[1]]
    keeping.days_later(91)
    keeping.archive()
    assert keeping.archived() == [escalated[0]]
    keeping.days_later(300)
    keeping.archive()
    assert keeping.archived() == [escalated[0], escalated[1]]


def test_the_last_runs_of_a_runbook_stay_so_that_it_is_still_known_whether_it_mostly_escalates(
    keeping: Keeping,
) -> None:
    runs = keeping.pages(KEPT_RUNS + 2)
    before = keeping.store.run_ends(runs[0].runbook_id, runs[0].runbook_revision, limit=KEPT_RUNS)
    keeping.days_later(400)
    keeping.archive()
    assert keeping.archived() == [each.id for each in runs[:2]]
    assert keeping.store.run_ends(runs[0].runbook_id, runs[0].runbook_revision, limit=KEPT_RUNS) == before


def test_a_new_revision_lets_the_runs_of_the_old_one_go(keeping: Keeping) -> None:
    runs = keeping.pages(KEPT_RUNS)
    changed = runbook(
        title="Redis, anew", steps=step(1, "redis-cli -h cache FLUSHDB", keys='Expected output: "OK"')
    )
    keeping.world.runbook(changed)
    keeping.world.context.library.reload()
    newest = keeping.page()
    keeping.days_later(91)
    keeping.archive()
    assert keeping.archived() == [each.id for each in runs]
    assert keeping.store.incident(newest.id)


def test_what_is_looked_back_at_stays_although_the_limit_is_shorter(keeping: Keeping) -> None:
    keeping.world.configure(
        retention={"incidents_days": 7, "archive": str(keeping.archives)},
        matching={"incomplete": {"runs": 5}},
        escalation={"flapping": {"window_s": 30 * 86_400}},
    )
    keeping.pages(KEPT_RUNS + 1)
    keeping.days_later(20)
    assert keeping.archive().incidents == 0


def test_incidents_cannot_be_kept_for_less_than_webhooks_are_sent_again() -> None:
    with pytest.raises(ConfigError, match="at least 7"):
        parse({"retention": {"incidents_days": 2}}, path="config.yaml")


def test_the_same_incident_at_the_source_after_it_was_archived_is_worked_on_as_a_new_one(
    keeping: Keeping,
) -> None:
    old = aged(keeping)
    keeping.archive()
    event = SourceEvent(
        "pagerduty", "d-again", EventType.TRIGGERED, "incident.triggered", "P1",
        alert=replace(ALERT, source_id="P1"),
    )  # fmt: skip
    accepted = keeping.store.accept(event, "{}")
    assert accepted.acceptance is Acceptance.NEW_INCIDENT
    assert accepted.incident_id not in old


def test_a_look_writes_nothing_and_says_how_many_would_go(keeping: Keeping) -> None:
    old = aged(keeping)
    assert keeping.archiver().preview().incidents == len(old)
    assert not keeping.archives.exists()
    assert keeping.store.incident(old[0])


def test_many_incidents_become_several_files_that_never_take_each_others_place(keeping: Keeping) -> None:
    old = aged(keeping, 5)
    report = keeping.archive(per_file=2)
    assert len(report.files) == 3
    assert len(set(report.files)) == 3
    assert sorted(keeping.archived()) == sorted(old)
    assert [each.incidents for each in keeping_archives(keeping)] == [2, 2, 1]


def keeping_archives(keeping: Keeping) -> list[object]:
    from agent.adapters.store_retention import StoredRetention

    return list(StoredRetention(keeping.store).archives())


def test_the_bodies_of_webhooks_go_earlier_and_their_ids_stay(keeping: Keeping) -> None:
    incident = keeping.page()
    keeping.days_later(15)
    keeping.page()
    report = keeping.archive()
    assert report.bodies == 1
    with keeping.store.database.reading() as connection:
        raw = {row.id: row.raw for row in connection.execute(sa.select(deliveries))}
    assert raw == {"d-P1": "", "d-P2": "{}"}
    again = SourceEvent("pagerduty", "d-P1", EventType.TRIGGERED, "incident.triggered", "P1", alert=ALERT)
    assert keeping.store.accept(again, "{}").acceptance is Acceptance.DUPLICATE
    assert keeping.store.incident(incident.id)
    assert keeping.archive().bodies == 0


def test_webhooks_that_belong_to_no_incident_go_with_their_bodies(keeping: Keeping) -> None:
    for number in range(3):
        event = SourceEvent(
            "pagerduty", f"other-{number}", EventType.OTHER, "incident.annotated", "P-unknown"
        )
        keeping.store.accept(event, "{}")
    keeping.days_later(15)
    assert keeping.archive().webhooks == 3
    with keeping.store.database.reading() as connection:
        assert connection.execute(sa.select(deliveries.c.id)).all() == []


def test_a_folder_that_cannot_be_written_deletes_nothing_and_says_what_to_do(keeping: Keeping) -> None:
    old = aged(keeping)
    keeping.archives.write_text("a file where the folder should be")
    with pytest.raises(StoreError, match=r"nothing was deleted.*retention\.archive"):
        keeping.archive()
    assert keeping.store.incident(old[0])


def test_the_daemon_waits_after_a_failure_instead_of_trying_at_once(keeping: Keeping) -> None:
    aged(keeping)
    keeping.archives.write_text("a file where the folder should be")
    archiver = keeping.archiver()
    archiver.tick()
    assert archiver.tick() >= 60


def test_another_process_at_the_same_archives_is_left_alone(keeping: Keeping) -> None:
    from agent.adapters.archive_file import ArchiveFolder

    old = aged(keeping)
    with ArchiveFolder(keeping.archives).locked():
        assert keeping.archive() == Report(busy=True)
    assert keeping.store.incident(old[0])


def test_a_transaction_that_takes_long_makes_the_next_one_smaller(clock: FakeClock) -> None:
    pace = Pace(clock, 0.04)
    sizes = []
    for took_s in (0.0, 0.0, 0.0, 0.3, 0.3, 0.03):
        with pace:
            clock.sleep(took_s)
        sizes.append(pace.size)
    assert sizes[:3] == sorted(sizes[:3])
    assert sizes[2] > 4
    assert sizes[4] < sizes[2]
    assert sizes[5] == sizes[4]


def test_others_have_as_much_time_as_the_deletion_took(clock: FakeClock) -> None:
    before = clock.now()
    with Pace(clock, 0.04):
        clock.sleep(0.03)
    assert clock.now() - before == timedelta(seconds=0.06)


def test_delivered_chat_letters_go_with_the_bodies_and_the_timeline_keeps_their_words(
    keeping: Keeping,
) -> None:
    first = keeping.page()
    told = keeping.world.told(first.id)
    keeping.days_later(15)
    second = keeping.page()
    keeping.store.record(first.id, (), messages=[ChatLine("not told yet")])
    before = keeping.rows_of(second.id)["outbox"]
    keeping.archive()
    assert [letter.message for letter in keeping.store.next_letters(Channel.CHAT, 100)] == [
        ChatLine("not told yet")
    ]
    assert keeping.rows_of(first.id)["outbox"] == 4  # acknowledge, note, resolve, and what waits
    assert keeping.rows_of(second.id)["outbox"] == before
    assert keeping.world.told(first.id) == told
    keeping.days_later(15)
    keeping.archive()
    assert keeping.rows_of(second.id)["outbox"] == 3
