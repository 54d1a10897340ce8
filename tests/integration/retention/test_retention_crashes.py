"""A crash anywhere in retention leaves both or the archive, and the next pass ends what was begun."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from agent.adapters import archive_file
from agent.adapters.archive_file import ArchiveFolder
from agent.adapters.audit_archives import verify_archives
from agent.adapters.audit_chain import Intact
from agent.adapters.store_retention import StoredRetention
from agent.domain.source_event import EventType, SourceEvent
from tests.integration.retention.conftest import Keeping
from tests.integration.retention.test_retention import KEPT_RUNS, aged


class Killed(BaseException):
    """Nobody catches it: what is on the disk is what is left."""


def killing(owner: type, name: str, *, before: bool, calls: int = 1) -> Callable[[pytest.MonkeyPatch], None]:
    """End the process right before or right after the n-th call."""

    def arm(patch: pytest.MonkeyPatch) -> None:
        original, left = getattr(owner, name), [calls]

        def killed(*arguments: object, **named: object) -> object:
            left[0] -= 1
            if before and left[0] == 0:
                raise Killed
            result = original(*arguments, **named)
            if left[0] == 0:
                raise Killed
            return result

        patch.setattr(owner, name, killed)

    return arm


PLACES = {
    "before the archive is written": killing(ArchiveFolder, "write", before=True),
    "after the archive is written": killing(ArchiveFolder, "write", before=False),
    "after it is listed": killing(StoredRetention, "register", before=False),
    "before the second deletion": killing(StoredRetention, "delete", before=True, calls=2),
    "after the last deletion": killing(StoredRetention, "finished", before=True),
    "after everything": killing(StoredRetention, "finished", before=False),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_crash_loses_nothing_and_the_next_pass_ends_what_was_begun(
    keeping: Keeping, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    old = aged(keeping, 9)
    with monkeypatch.context() as patch:
        PLACES[place](patch)
        with pytest.raises(Killed):
            keeping.archive()
    kept = {each.id for each in keeping.store.incidents(limit=100)}
    assert kept | set(keeping.archived()) >= set(old)

    keeping.archive()
    assert set(keeping.archived()) == set(old)
    assert all(keeping.rows_of(each) == {} for each in old)
    assert len(keeping.store.incidents(limit=100)) == KEPT_RUNS
    assert isinstance(verify_archives(keeping.archives, keeping.store), Intact)
    assert keeping.archive().incidents == 0


def test_an_incident_that_changed_after_it_was_archived_is_archived_again_with_the_change(
    keeping: Keeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = aged(keeping, 2)
    original = StoredRetention.register

    def and_then_a_webhook(rows: StoredRetention, new: object) -> int:
        added = original(rows, new)  # type: ignore[arg-type]
        late = SourceEvent("pagerduty", "d-late", EventType.OTHER, "incident.annotated", "P1")
        keeping.store.accept(late, "{}")
        return added

    with monkeypatch.context() as patch:
        patch.setattr(StoredRetention, "register", and_then_a_webhook)
        keeping.archive()
    assert keeping.store.incident(old[0])
    assert keeping.rows_of(old[1]) == {}
    keeping.archive()
    assert keeping.rows_of(old[0]) == {}
    whole = [
        line for line in keeping.lines() if line["type"] == "incident" and line["incident"]["id"] == old[0]
    ]
    assert [len(line["deliveries"]) for line in whole] == [1, 2]
    assert isinstance(verify_archives(keeping.archives, keeping.store), Intact)


def test_a_stop_in_the_middle_goes_on_with_the_same_archive(keeping: Keeping) -> None:
    old = aged(keeping, 9)
    asked = iter([False, False, True])
    keeping.archiver(should_stop=lambda: next(asked, True)).run()
    assert 0 < len(set(old) - {each.id for each in keeping.store.incidents(limit=100)}) < len(old)
    keeping.archive()
    assert keeping.archived() == old
    assert len(keeping.store.incidents(limit=100)) == KEPT_RUNS


def test_an_archive_that_is_gone_before_the_deletion_was_done_is_told_and_the_rest_archived_anew(
    keeping: Keeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = aged(keeping, 3)
    with monkeypatch.context() as patch:
        PLACES["after it is listed"](patch)
        with pytest.raises(Killed):
            keeping.archive()
    for path in keeping.archives.glob("*.gz"):
        path.unlink()
    keeping.archive()
    assert keeping.archived() == old
    told = [event.text for event in keeping.store.timeline("archives")]
    assert any("archived anew" in text for text in told)
    assert keeping.archive().incidents == 0


def test_an_archive_cut_short_on_the_disk_is_never_relied_upon(
    keeping: Keeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = aged(keeping, 3)
    original = archive_file._write

    def cut(path: Path, lines: Iterable[archive_file.Line]) -> str:
        written = original(path, lines)
        path.write_bytes(path.read_bytes()[:100])
        return written

    with monkeypatch.context() as patch:
        patch.setattr(archive_file, "_write", cut)
        with pytest.raises(archive_file.StoreError, match="nothing was deleted"):
            keeping.archive()
    assert all(keeping.store.incident(each) for each in old)
    assert list(keeping.archives.glob("*.gz")) == []
