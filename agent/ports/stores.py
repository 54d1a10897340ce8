"""The stores: where incidents, their journal, their queue and their history are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from agent.domain.approvals import Counted, TooLate, Vote
from agent.domain.autonomy import LevelGiven, Standing
from agent.domain.command import Refusal
from agent.domain.decisions import Attempt, Plan, StandDown
from agent.domain.incident import Entry, Incident, Status, TimelineEvent
from agent.domain.limits import Charge
from agent.domain.outbox import Channel, Message
from agent.domain.queue import Escalated, QueueFilter, QueuePage
from agent.domain.records import (
    AlreadyEnded,
    AttemptKey,
    BeginAttempt,
    Changes,
    Decision,
    OwnWrite,
    Unfinished,
)
from agent.domain.runbook import Runbook
from agent.domain.source_event import Accepted, SourceEvent
from agent.domain.stops import Stop
from agent.domain.stuck import LateEvents, LateLetter
from agent.ports.handoffs import HandoffStore


class IntakeStore(Protocol):
    """Where webhooks are put before they are answered."""

    def accept(self, event: SourceEvent, raw: str) -> Accepted:
        """Store a webhook, and open an incident if it is a new trigger; durable when it returns."""
        ...

    def folded(self, incident_id: str, *, limit: int) -> Sequence[str]:
        """The ids at the source of what was folded into it, oldest first."""
        ...

    def folded_into(self, incident_id: str) -> str:
        """The incident that this one goes with; "" if it stands for itself."""
        ...

    def unhandled_events(self, limit: int) -> Sequence[tuple[str, SourceEvent]]:
        """(incident id, event) of stored events that nobody has looked at yet, oldest first."""
        ...

    def event_handled(self, delivery_id: str, outcome: str) -> None:
        """Remember what was made of a stored event."""
        ...

    def own_writes(self, source_id: str) -> Sequence[OwnWrite]:
        """What the agent itself changed at the source's incident."""
        ...

    def own_user_id(self) -> str:
        """The user at the source that our writes are counted for, as learned so far."""
        ...

    def is_own_summary(self, text: str) -> bool:
        """Whether a page of ours was sent with exactly this summary, for whatever reason."""
        ...


class IncidentStore(Protocol):
    """The truth about incidents: rows, timeline, journal, charges, outbox."""

    def incident(self, incident_id: str) -> Incident:
        """One incident; UnknownIncidentError if there is none."""
        ...

    def timeline(self, incident_id: str) -> Sequence[TimelineEvent]:
        """Its story, oldest first."""
        ...

    def record(
        self,
        incident_id: str,
        entries: Sequence[Entry],
        *,
        changes: Changes | None = None,
        messages: Sequence[Message] = (),
    ) -> bool:
        """Tell entries, apply changes and post messages in one transaction.

        False, and nothing is done, if the first entry's key was told before.
        """
        ...

    def record_soon(
        self,
        incident_id: str,
        entries: Sequence[Entry],
        *,
        changes: Changes | None = None,
        messages: Sequence[Message] = (),
    ) -> None:
        """The same, durable no later than what the run writes next, or before it waits for anything.

        A crash before that makes the run tell it anew. An alert that changes, and an end, are written now.
        """
        ...

    def service_of(self, incident_id: str) -> str:
        """The service that the incident's alert is about; "" if it does not say."""
        ...

    def keep_revision(self, runbook: Runbook) -> None:
        """Keep the text of a revision for as long as incidents refer to it."""
        ...

    def revision_text(self, revision: str) -> tuple[str, str]:
        """(path, text) of a kept revision."""
        ...

    def plan(self, incident_id: str) -> Plan | None:
        """The plan that the incident runs by."""
        ...

    def look_up_attempt(self, key: AttemptKey, *, read_only: bool) -> AlreadyEnded | Unfinished | None:
        """What the journal knows of an attempt; None if it may begin (again, if it only reads)."""
        ...

    def refuse_attempt(self, key: AttemptKey, *, title: str, refusal: Refusal) -> None:
        """Write down that a guard said no before anything was charged; after a restart it is still a no."""
        ...

    def begin_attempt(
        self,
        key: AttemptKey,
        *,
        title: str,
        charge: Charge,
    ) -> BeginAttempt:
        """Charge every limit and write the intent in one transaction, before anything is spawned.

        Refused, nothing is charged and the refusal is written down; Busy, nothing is written at all.
        """
        ...

    def over_a_window(self, charge: Charge) -> Refusal | None:
        """Whether incidents have left too little of a limit across them; nothing is charged or written."""
        ...

    def end_attempt(self, key: AttemptKey, attempt: Attempt) -> None:
        """Write down how an attempt ended."""
        ...

    def attempts(self, incident_id: str) -> Sequence[Attempt]:
        """The journal of an incident, oldest first; unfinished ones have end OUTCOME_UNKNOWN."""
        ...

    def stand_down(self, incident_id: str, stand_down: StandDown) -> bool:
        """A human took over; in force before the next attempt. False if the incident is over."""
        ...

    def withdraw_resolve(self, incident_id: str, *, why: str) -> bool:
        """Take back a resolve that was not delivered, True again for the same why; False if there is none."""
        ...

    def may_go_on(self, incident_id: str) -> bool:
        """Whether nobody took over and the incident has not ended; cheap, a running command asks often."""
        ...

    def stand_down_of(self, incident_id: str) -> StandDown | None:
        """Who took over, if anybody did."""
        ...

    def decide(self, incident_id: str, decision: Decision) -> bool:
        """A human's answer to a plan; the first one counts, False for any later one."""
        ...

    def decision(self, incident_id: str, plan_hash: str) -> Decision | None:
        """The answer to this plan, if there is one."""
        ...

    def vote(
        self, incident_id: str, vote: Vote, *, needed: int, entry: Entry, messages: Sequence[Message] = ()
    ) -> Counted | TooLate:
        """Each person counts once; the last yes that is needed is the decision, which wakes the run."""
        ...

    def votes(self, incident_id: str, plan_hash: str) -> Sequence[Vote]:
        """The yeses to this question so far, oldest first."""
        ...


class HistoryStore(Protocol):
    """What earlier incidents teach."""

    def same_before(self, incident_id: str, *, since: datetime) -> Sequence[Incident]:
        """Earlier incidents of the same alert, received since then or resolved since then, oldest first."""
        ...

    def related_before(self, incident_id: str, *, since: datetime, limit: int) -> Sequence[Incident]:
        """Other alerts of the same service that came in since then and before this one, oldest first."""
        ...

    def lately_resolved(self, limit: int) -> Sequence[Incident]:
        """Incidents that a runbook resolved, newest first."""
        ...

    def run_ends(self, runbook_id: str, revision: str, *, limit: int) -> Sequence[Status]:
        """How the last runs of this revision ended, newest first: resolved or escalated after a step ran."""
        ...


class AutonomyStore(Protocol):
    """How far each runbook has earned to go alone; `IncidentStore.record` changes it with what changed it."""

    def autonomy_of(self, runbook_id: str) -> Standing | None:
        """The runbook's record; None while there is none."""
        ...

    def all_autonomy(self) -> Sequence[Standing]:
        """Every record, by the runbook's name."""
        ...

    def give_level(self, story: str, event: LevelGiven, *, in_chat: bool) -> None:
        """A human's word on how far a runbook may go, told in the timeline in the same transaction."""
        ...


class StopStore(Protocol):
    """The kill switch: what humans have stopped."""

    def stops(self) -> Sequence[Stop]:
        """Those in force, oldest first; cheap, it is asked before everything that starts."""
        ...

    def stop_of(self, stop_id: str) -> Stop | None:
        """One stop by its id, in force or lifted."""
        ...

    def put_stop(self, stop: Stop, entry: Entry, messages: Sequence[Message] = ()) -> Stop:
        """In force when it returns; what the same human has in force with the same words is given instead."""
        ...

    def put_stop_aside(self, stop: Stop) -> None:
        """In force when it returns, although a process holds the database and hangs."""
        ...

    def set_aside(self) -> Sequence[Stop]:
        """Those in force that the database has not yet."""
        ...

    def taken_over(self, stop: Stop) -> None:
        """The database has it now."""
        ...

    def lift_stop(self, stop_id: str, by: str, entry: Entry, messages: Sequence[Message] = ()) -> bool:
        """No longer in force when it returns; False if it was not in force."""
        ...

    def all_stops(self, *, limit: int = 100) -> Sequence[Stop]:
        """Those that were lifted too, newest first."""
        ...

    def known_services(self) -> Sequence[str]:
        """The services of all incidents so far."""
        ...

    def untold_stops(self) -> Sequence[Stop]:
        """Those of whose beginning or end the incidents were not told yet."""
        ...

    def stop_told(self, stop: Stop) -> None:
        """Every incident that it touches was told, of its end too if it is lifted."""
        ...

    def unfinished(self) -> Sequence[Incident]:
        """Every incident of the daemon that has not ended."""
        ...


class QueueStore(Protocol):
    """The escalation queue: what waits for a human, who has it, until when."""

    def queue_item(self, item_id: str) -> Escalated | None:
        """One escalation by its id, or by its incident's."""
        ...

    def queue_page(self, wanted: QueueFilter) -> QueuePage:
        """Open ones by rank and then age, settled ones newest first."""
        ...

    def queue_add(self, item: Escalated, entry: Entry, messages: Sequence[Message] = ()) -> bool:
        """Put in one that has no incident of ours; False, and nothing is done, if it is there already."""
        ...

    def queue_change(
        self, before: Escalated, after: Escalated, entry: Entry, messages: Sequence[Message] = ()
    ) -> bool:
        """Change it, tell it and post its messages at once; False if it is not as it was read any more."""
        ...

    def queue_due(self, now: datetime, most: int) -> Sequence[Escalated]:
        """Open ones whose time ran short or out and of whom nobody was told yet, the latest due last."""
        ...

    def queue_like(self, item: Escalated, *, limit: int = 10) -> Sequence[Escalated]:
        """Earlier escalations of the same consumer or policy rule, or of the same service and trigger."""
        ...


class KnownStore(Protocol):
    """Small things that are remembered under a name."""

    def keep_known(self, name: str, value: str) -> None:
        """Remember a value under a name."""
        ...

    def forget_known(self, name: str) -> None:
        """Remember it no longer."""
        ...

    def known(self, prefix: str) -> Mapping[str, str]:
        """What is remembered under names that begin so, without that beginning."""
        ...


class LateStore(Protocol):
    """What should have been told, or looked at, long ago."""

    def late_letters(self, channel: Channel, before: datetime, most: int) -> Sequence[LateLetter]:
        """Letters posted before then that wait, oldest first; not the clearing of pages, it wakes nobody."""
        ...

    def late_channels(self, before: datetime) -> frozenset[Channel]:
        """For which channels there are such letters at all; one look for all of them."""
        ...

    def late_events(self, before: datetime) -> LateEvents | None:
        """Events that were stored before then and that nobody has looked at."""
        ...


class CounterStore(Protocol):
    """Totals that outlive the process."""

    def count(self, amounts: Mapping[str, float]) -> None:
        """Add to totals, each by its name."""
        ...


class Records(
    IntakeStore,
    IncidentStore,
    HistoryStore,
    AutonomyStore,
    StopStore,
    QueueStore,
    HandoffStore,
    CounterStore,
    Protocol,
):
    """What the pipeline needs of the store."""
