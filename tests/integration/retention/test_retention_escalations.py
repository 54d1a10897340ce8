"""Escalations that have no incident of ours leave as incidents do: when they are settled, and whole."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agent.adapters.archive_lookup import archived
from agent.adapters.archiver import Report
from agent.adapters.audit_archives import verify_archives
from agent.adapters.audit_chain import ARCHIVES, Intact
from agent.adapters.store_retention import StoredRetention
from agent.domain.outbox import ChatLine
from agent.domain.people import Actor, Person, Role, Via
from agent.domain.queue import Action, Escalated, QueueStatus, Rank
from agent.escalations.entering import Received
from agent.pipeline import queueing
from agent.pipeline.queueing import QueueDesk, Settling
from agent.safety.redaction import Redactor
from agent.web import queue_views
from tests.integration.retention.conftest import Keeping
from tests.integration.retention.test_retention import KEPT_RUNS, aged

REVIEWER = Actor(Person("r.reviewer", Role.RESPONDER), Via.CLI)


def desk(keeping: Keeping) -> QueueDesk:
    return queueing.desk_of(keeping.config, keeping.store, Redactor(()))


def received(keeping: Keeping, number: int) -> Escalated:
    what = Received(
        f"kt-{number}", "phi-detection", f"Record {number} in a prompt", Rank.HIGH,
        policy_rule="phi-detection", facts={"original_request": "summarise the chart"},
    )  # fmt: skip
    item, new = queueing.received(desk(keeping), what, now=keeping.clock.now())
    assert new
    keeping.clock.sleep(60)
    keeping.world.deliver()
    return item


def settled(keeping: Keeping, number: int) -> str:
    item = received(keeping, number)
    how = Settling(Action.BLOCK, "a patient's name")
    after = queueing.resolve(desk(keeping), item.id, REVIEWER, how, now=keeping.clock.now())
    assert isinstance(after, Escalated)
    keeping.clock.sleep(60)
    keeping.world.deliver()
    return item.id


def archived_escalations(keeping: Keeping) -> list[str]:
    return [line["id"] for line in keeping.lines() if line["type"] == "escalation"]


def test_a_settled_escalation_without_an_incident_goes_into_an_archive_and_leaves_the_database(
    keeping: Keeping,
) -> None:
    old = [settled(keeping, number) for number in (1, 2)]
    keeping.days_later(91)
    late = settled(keeping, 3)
    assert keeping.archiver().preview() == Report(escalations=2)
    report = keeping.archive()
    assert (report.incidents, report.escalations) == (0, 2)
    assert archived_escalations(keeping) == old
    assert [keeping.rows_of(each) for each in old] == [{}, {}]
    assert keeping.store.queue_item(old[0]) is None
    assert keeping.store.queue_item(late) is not None
    told = [event.text for event in keeping.store.timeline(ARCHIVES)]
    assert told[0].startswith("🗄️ 2 escalations that ended before")
    assert keeping.archive() == Report()


def test_one_that_nobody_settled_stays_however_old_it_is(keeping: Keeping) -> None:
    waiting = received(keeping, 1)
    keeping.days_later(1_000)
    assert keeping.archive().escalations == 0
    found = keeping.store.queue_item(waiting.id)
    assert found is not None
    assert found.status is QueueStatus.OPEN


def test_one_with_an_undelivered_letter_stays(keeping: Keeping) -> None:
    old = [settled(keeping, number) for number in (1, 2)]
    keeping.store.record(old[0], (), messages=[ChatLine("not told yet")])
    keeping.days_later(91)
    keeping.archive()
    assert archived_escalations(keeping) == [old[1]]


def test_one_that_was_settled_lately_stays_although_it_came_long_ago(keeping: Keeping) -> None:
    item = received(keeping, 1)
    keeping.days_later(91)
    how = Settling(Action.ALLOW, "harmless")
    queueing.resolve(desk(keeping), item.id, REVIEWER, how, now=keeping.clock.now())
    assert keeping.archive().escalations == 0


def test_without_a_limit_settled_escalations_stay_too(keeping: Keeping) -> None:
    settled(keeping, 1)
    keeping.configure(incidents_days=0)
    keeping.days_later(10_000)
    assert keeping.archive().escalations == 0


def test_an_archived_escalation_is_shown_as_it_was(keeping: Keeping) -> None:
    old = settled(keeping, 1)
    now = keeping.clock.now()

    def whole(store: object) -> object:
        item = store.queue_item(old)  # type: ignore[attr-defined]
        return queue_views.whole(store, item, now)  # type: ignore[arg-type]

    before = whole(keeping.store)
    keeping.days_later(91)
    keeping.archive()
    with archived(keeping.archives, old, keeping.clock) as found:
        assert found is not None
        assert whole(found) == before
    (line,) = [line for line in keeping.lines() if line["type"] == "escalation"]
    assert line["escalations"][0]["facts"] == {"original_request": "summarise the chart"}
    assert line["timeline"][-1]["data"]["action"] == "block"


def test_incidents_and_escalations_leave_together_and_the_chain_is_whole_from_its_first_entry(
    keeping: Keeping,
) -> None:
    alone = settled(keeping, 1)
    old = aged(keeping, 2)
    report = keeping.archive()
    assert (report.incidents, report.escalations, len(report.files)) == (2, 1, 1)
    assert (keeping.archived(), archived_escalations(keeping)) == (old, [alone])
    assert isinstance(verify_archives(keeping.archives, keeping.store), Intact)
    assert len(keeping.store.incidents(limit=100)) == KEPT_RUNS


def test_the_senders_id_opens_a_new_one_after_the_old_one_was_archived(keeping: Keeping) -> None:
    old = settled(keeping, 1)
    keeping.days_later(91)
    keeping.archive()
    assert received(keeping, 1).id == old
    found = keeping.store.queue_item(old)
    assert found is not None
    assert found.status is QueueStatus.OPEN


class Killed(BaseException):
    """Nobody catches it: what is on the disk is what is left."""


def killed_at(name: str, *, before: bool) -> Callable[[pytest.MonkeyPatch], None]:
    def arm(patch: pytest.MonkeyPatch) -> None:
        original = getattr(StoredRetention, name)

        def killed(*arguments: object, **named: object) -> object:
            if not before:
                original(*arguments, **named)
            raise Killed

        patch.setattr(StoredRetention, name, killed)

    return arm


@pytest.mark.parametrize(
    "arm",
    [killed_at("register", before=False), killed_at("finished", before=True)],
    ids=["after it is listed", "after the last deletion"],
)
def test_a_crash_in_between_loses_no_escalation_and_archives_none_twice(
    keeping: Keeping, monkeypatch: pytest.MonkeyPatch, arm: Callable[[pytest.MonkeyPatch], None]
) -> None:
    old = [settled(keeping, number) for number in (1, 2, 3)]
    keeping.days_later(91)
    with monkeypatch.context() as patch:
        arm(patch)
        with pytest.raises(Killed):
            keeping.archive()
    keeping.archive()
    assert archived_escalations(keeping) == old
    assert all(keeping.rows_of(each) == {} for each in old)
    assert isinstance(verify_archives(keeping.archives, keeping.store), Intact)


def test_an_incidents_escalation_is_found_in_its_archive_by_its_own_id(keeping: Keeping) -> None:
    (keeping.world.runbooks / "redis-connection-timeout.md").unlink()
    keeping.world.context.library.reload()
    incident = keeping.page()
    item = keeping.store.queue_item(incident.id)
    assert item is not None
    how = Settling(Action.FALSE_ALARM, "a test")
    queueing.resolve(desk(keeping), item.id, REVIEWER, how, now=keeping.clock.now())
    keeping.clock.sleep(60)
    keeping.world.deliver()
    keeping.days_later(91)
    report = keeping.archive()
    assert (report.incidents, report.escalations) == (1, 0)
    with archived(keeping.archives, item.id, keeping.clock) as found:
        assert found is not None
        again = found.queue_item(item.id)
        assert again is not None
        assert again.resolution is not None
        assert again.resolution.note == "a test"
