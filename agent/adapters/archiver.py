"""Retention: what ended long ago goes into an archive, and then, little by little, out of the database.

Written, read back, listed and named in the audit chain first; deleted afterwards, a few incidents in each
transaction. A crash in between leaves both, and the next pass goes on. Archived twice does no harm: the
later archive is the whole story.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import islice

import structlog

from agent.adapters import archive_file, archive_rows
from agent.adapters.archive_file import ArchiveFolder, Line
from agent.adapters.audit_chain import Gap, gaps_of
from agent.adapters.sqlite_upkeep import give_back
from agent.adapters.store import Store
from agent.adapters.store_retention import Archive, Ended, Limits, NewArchive, StoredRetention
from agent.config import Config
from agent.config.retention import LEAST_KEPT_DAYS
from agent.domain.errors import StoreError
from agent.ports import Clock

log = structlog.get_logger()

#: Incidents of one archive file: some megabytes, and what is in memory while it is deleted.
_PER_FILE = 1_000

#: Incidents read together while an archive is written.
_READ_AT_ONCE = 50

#: Rows of webhooks changed in one transaction.
_WEBHOOKS_AT_ONCE = 200

#: Incidents whose delivered letters go in one transaction.
_LETTERS_OF_AT_ONCE = 20

#: What one transaction of ours may take: writers wait for it, and a webhook must be answered.
_TRANSACTION_S = 0.04

#: How often a daemon looks whether something may leave.
_EVERY_S = 3_600.0

_AFTER_FAILURE_S = 600.0

#: A daemon that has just started has something better to do.
_FIRST_AFTER_S = 120.0


@dataclass(frozen=True, slots=True)
class Report:
    """What a pass did, or what one would do."""

    incidents: int = 0
    files: tuple[str, ...] = ()
    bodies: int = 0
    webhooks: int = 0
    busy: bool = False
    escalations: int = 0  # those that have no incident of ours

    def and_gone(self, ids: Collection[str], escalations: Collection[str]) -> Report:
        """With these that left the database."""
        alone = sum(1 for each in ids if each in escalations)
        return replace(
            self,
            incidents=self.incidents + len(ids) - alone,
            escalations=self.escalations + alone,
        )


class Archiver:
    """One pass over what may leave; another process at it in the same folder is left alone."""

    def __init__(
        self,
        store: Store,
        config: Config,
        *,
        should_stop: Callable[[], bool] = lambda: False,
        per_file: int = _PER_FILE,
    ) -> None:
        self._store = store
        self._rows = StoredRetention(store)
        self._folder = ArchiveFolder(config.archive_path())
        self._config = config
        self._should_stop = should_stop
        self._per_file = per_file
        self._pace = Pace(store.clock, _TRANSACTION_S)
        self._began = False

    def tick(self) -> float:
        """A pass of the daemon; gives the seconds before it is worth looking again."""
        if not self._began:
            self._began = True
            return _FIRST_AFTER_S
        try:
            done = self.run()
        except StoreError as error:  # a full disk is not mended within a second
            log.error("retention_failed", error=str(error))  # noqa: TRY400
            return _AFTER_FAILURE_S
        if done != Report():
            log.info("retention", incidents=done.incidents, escalations=done.escalations,
                     archives=list(done.files), bodies=done.bodies, webhooks=done.webhooks)  # fmt: skip
        return _EVERY_S

    def preview(self) -> Report:
        """What a pass would archive now; nothing is written."""
        limits = self._limits()
        leaving = () if limits is None else tuple(self._rows.archivable(limits))
        alone = sum(1 for each in leaving if each.is_alone)
        return Report(incidents=len(leaving) - alone, escalations=alone)

    def run(self) -> Report:
        """Archive, delete, and give the room back."""
        with self._folder.locked() as ours:
            if not ours:
                return Report(busy=True)
            report = self._archive_all()
        bodies, webhooks = self._drop_what_passes()
        self._drop_decision_events()
        give_back(self._store.database, self._should_stop, self._store.clock)
        return replace(report, bodies=bodies, webhooks=webhooks)

    def _archive_all(self) -> Report:
        limits = self._limits()
        if limits is None:
            return Report()
        report = Report()
        for archive in self._rows.archives(unfinished=True):
            report = self._go_on(report, archive, limits)
        leaving = self._rows.archivable(limits)
        while not self._should_stop() and (ended := list(islice(leaving, self._per_file))):
            report = self._archive(report, ended, limits)
        return report

    def _limits(self) -> Limits | None:
        """None if everything is kept for ever. What is still looked back at never leaves."""
        retention, escalation = self._config.retention, self._config.escalation
        if not retention.incidents_days:
            return None
        looked_back = max(escalation.flapping.window_s, escalation.recurrence_window_s)
        kept = max(timedelta(days=retention.incidents_days), timedelta(days=1, seconds=looked_back))
        now, escalated = self._store.clock.now(), retention.open_escalations_days
        return Limits(
            ended_before=now - kept,
            escalated_before=now - timedelta(days=escalated) if escalated else None,
            runs_kept=self._config.matching.incomplete.runs,
        )

    def _archive(self, report: Report, ended: Sequence[Ended], limits: Limits) -> Report:
        taken = _Taken()
        lines = self._lines([each.id for each in ended], taken)
        times = [each.ended_at for each in ended]
        written = self._folder.write(lines, first=min(times), last=max(times))
        new = NewArchive(
            file=written.path.name,
            sha256=written.sha256,
            incidents=len(taken.counts) - len(taken.escalations),
            escalations=len(taken.escalations),
            entries=len(taken.links),
            ended_before=limits.ended_before,
            gaps=gaps_of(taken.links),
        )
        archive_id = self._rows.register(new)
        report = replace(report, files=(*report.files, new.file))
        return self._delete(report, archive_id, taken, limits)

    def _lines(self, ids: Sequence[str], taken: _Taken) -> Iterator[Line]:
        """The runbooks before the incidents that ran by them."""
        told: set[str] = set()
        for start in range(0, len(ids), _READ_AT_ONCE):
            for line in self._rows.lines(ids[start : start + _READ_AT_ONCE]):
                revision = archive_rows.revision_of(line)
                if revision and revision not in told:
                    told.add(revision)
                    yield from filter(None, [self._rows.revision_line(revision)])
                taken.note(line)
                yield line

    def _go_on(self, report: Report, archive: Archive, limits: Limits) -> Report:
        """Delete what a crash or a stop left of an archive."""
        if not self._folder.intact(archive.file, archive.sha256):
            log.error("archive_lost", file=archive.file, folder=str(self._folder.path))
            self._rows.lose(archive, "is not in its folder as it was written")
            self._rows.finished(archive.id)
            return report
        taken = _Taken()
        for line in archive_file.read(self._folder.path / archive.file):
            if archive_rows.story_of(line):
                taken.note(line)
        return self._delete(report, archive.id, taken, limits)

    def _delete(self, report: Report, archive_id: int, taken: _Taken, limits: Limits) -> Report:
        left = list(taken.counts)
        while left and not self._should_stop():
            some, left = left[: self._pace.size], left[self._pace.size :]
            with self._pace:
                gone = self._rows.delete({each: taken.counts[each] for each in some}, limits)
                report = report.and_gone(gone, taken.escalations)
        if not left:
            self._rows.finished(archive_id)
        return report

    def _drop_what_passes(self) -> tuple[int, int]:
        days = self._config.retention.raw_webhooks_days
        if not days:
            return 0, 0
        now = self._store.clock.now()
        bodies_before = now - timedelta(days=days)
        strays_before = now - timedelta(days=max(days, LEAST_KEPT_DAYS))
        bodies = self._repeat(lambda: self._rows.drop_bodies(bodies_before, limit=_WEBHOOKS_AT_ONCE))
        self._repeat(lambda: self._rows.drop_letters(bodies_before, limit=_LETTERS_OF_AT_ONCE))
        webhooks = self._repeat(lambda: self._rows.drop_strays(strays_before, limit=_WEBHOOKS_AT_ONCE))
        return bodies, webhooks

    def _drop_decision_events(self) -> None:
        """They are Keeptrusts' own, and are there; what a post-mortem counted of them, it says."""
        days = self._config.retention.decision_events_days
        if days:
            before = self._store.clock.now() - timedelta(days=days)
            self._repeat(lambda: self._store.drop_events(before, limit=_WEBHOOKS_AT_ONCE))

    def _repeat(self, some: Callable[[], int]) -> int:
        total = 0
        while not self._should_stop():
            with self._pace:
                count = some()
            if not count:
                break
            total += count
        return total


@dataclass
class _Taken:
    """What is in an archive: rows of each table for each incident, and links of the chain."""

    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    escalations: set[str] = field(default_factory=set)  # those of `counts` that have no incident
    links: list[Gap] = field(default_factory=list)

    def note(self, line: Line) -> None:
        """One more line."""
        story = archive_rows.story_of(line)
        self.counts[story] = archive_rows.counts_of(line)
        if line["type"] == "escalation":
            self.escalations.add(story)
        links = line["timeline"]
        self.links += [Gap(link["seq"], link["seq"], link["prev"], link["hash"]) for link in links]


class Pace:
    """Keeps each transaction short by doing more or less in it, and lets others have their turn after it."""

    def __init__(self, clock: Clock, transaction_s: float) -> None:
        self._clock = clock
        self._wanted_s = transaction_s
        self._started = 0.0
        self.size = 4

    def __enter__(self) -> None:
        self._started = self._clock.monotonic()

    def __exit__(self, *_: object) -> None:
        took_s = self._clock.monotonic() - self._started
        if took_s > self._wanted_s:
            self.size = max(1, self.size // 2)
        elif took_s < self._wanted_s / 2:
            self.size = min(500, self.size + max(1, self.size // 4))
        self._clock.sleep(max(took_s, 0.001))
