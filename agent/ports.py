"""What the pipeline needs from the world. Each port has a real adapter and a fake held to one contract.

Values that cross a port are defined here or in `domain`; nothing of a vendor's shape passes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar

from agent.domain.access import ClusterRight
from agent.domain.advice import Advice, AdviceRequest, NoAdvice
from agent.domain.alert import Severity, Urgency
from agent.domain.command import PricedCommand, Refusal, Script
from agent.domain.decisions import Attempt, Plan, StandDown
from agent.domain.incident import Entry, Incident, Status, TimelineEvent
from agent.domain.limits import Charge
from agent.domain.outbox import Channel, Letter, Message
from agent.domain.records import (
    AlreadyEnded,
    AttemptKey,
    BeginAttempt,
    Changes,
    Decision,
    OwnWrite,
    Unfinished,
)
from agent.domain.runbook import Action, Runbook
from agent.domain.source_event import Accepted, SourceEvent

T = TypeVar("T")


class Clock(Protocol):
    """Time, so that tests can hold it still."""

    def now(self) -> datetime:
        """The time of day, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What the alert's source knows beyond the webhook; unknown stays empty or None.

    `resolved` says that the source counts it as over; `alert_key` is the key of its first alert.
    """

    title: str = ""
    status: str = ""
    service: str = ""
    urgency: Urgency | None = None
    severity: Severity | None = None
    priority: str = ""
    team: str = ""
    body: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    alert_keys: tuple[str, ...] = ()
    clients: tuple[str, ...] = ()
    links: tuple[str, ...] = ()


class IncidentDesk(Protocol):
    """Where the alert came from and where its incident is kept: PagerDuty's REST API.

    Every method raises ServiceError when it could not be done; writes are safe to repeat.
    """

    def facts(self, source_id: str) -> SourceFacts:
        """The incident and its alerts: severity, labels, details."""
        ...

    def acknowledge(self, source_id: str) -> str:
        """Tell the source that it is being worked on; gives the user id that it was counted for, or ""."""
        ...

    def note(self, source_id: str, text: str) -> None:
        """Add a note once: one that is already there with the same text is not added again."""
        ...

    def resolve(self, source_id: str, resolution: str) -> str:
        """Close it; closing what is closed is fine. Gives the user id that it was counted for, or ""."""
        ...

    def own_user_id(self) -> str:
        """The user that our writes are counted for, or "" if the source does not tell."""
        ...


@dataclass(frozen=True, slots=True)
class Page:
    """A human is needed: what they see at once.

    `summary` at most 1,024 characters and `dedup_key` at most 255 (PagerDuty Events API v2).
    """

    dedup_key: str
    summary: str
    severity: Severity
    source: str
    component: str = ""
    details: Mapping[str, object] = field(default_factory=dict)
    links: tuple[tuple[str, str], ...] = ()


class Pager(Protocol):
    """Wakes a human: PagerDuty's Events API v2. The same dedup_key twice wakes nobody twice."""

    def page(self, page: Page) -> None:
        """Trigger; raises ServiceError when not accepted."""
        ...

    def clear(self, dedup_key: str) -> None:
        """Resolve what was triggered with this key."""
        ...


@dataclass(frozen=True, slots=True)
class ThreadCard:
    """The root message of an incident's thread, kept current. Texts are plain and untrusted."""

    title: str
    status: str
    severity: str = ""
    service: str = ""
    runbook: str = ""
    progress: str = ""
    reason: str = ""
    url: str = ""
    source_url: str = ""


class Chat(Protocol):
    """Tells the incident's story to people: Slack. Every method raises ServiceError."""

    @property
    def has_threads(self) -> bool:
        """Whether messages can be threaded and updated (an incoming webhook alone cannot)."""
        ...

    def post_root(self, card: ThreadCard) -> str:
        """Post the root message; gives the reference that threads hang on ("" without threads)."""
        ...

    def update_root(self, ref: str, card: ThreadCard) -> None:
        """Bring the root message up to date."""
        ...

    def post_lines(self, ref: str, lines: Sequence[str], *, broadcast: bool = False) -> None:
        """Post lines as one message in the thread; broadcast also shows it in the channel."""
        ...


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What a step's commands did. `exit_code` is None when they were ended by us.

    Outputs are decoded with replacement and capped; head and tail are kept.
    """

    exit_code: int | None
    stdout: str = ""
    stderr: str = ""
    timed_out: bool = False
    interrupted: bool = False
    duration_s: float = 0.0
    problem: str = ""


class Sandbox(Protocol):
    """Spawns exactly the argvs of a parsed script, never a shell, and ends all that it started."""

    def start(self) -> None:
        """Have everything ready, so that the first attempt does not wait for it."""
        ...

    def run(
        self,
        script: Script,
        *,
        commands: Sequence[PricedCommand],
        marker: str,
        timeout_s: float,
        should_stop: Callable[[], bool],
    ) -> CommandResult:
        """Run to the end, to the timeout, or until should_stop says so (asked at least 4 times a second).

        `commands` are the script's simple commands in order of appearance, as they were priced: each reaches
        what its `access` says and nothing else.
        Every process carries the marker in its environment so that a later start can find it.
        """
        ...

    def end_orphans(self, markers: Sequence[str]) -> int:
        """End every process that carries one of the markers; how many there were."""
        ...


class Actions(Protocol):
    """Carries out typed actions, such as `kubernetes.rollout_restart`, over the vendor's API."""

    def run(
        self,
        action: Action,
        *,
        command: PricedCommand,
        marker: str,
        timeout_s: float,
        should_stop: Callable[[], bool],
    ) -> CommandResult:
        """Do what was priced and nothing more; what it did is told as JSON on `stdout`, exit code 0 or 1."""
        ...


class Counter(Protocol):
    """Counts in the live world what the text of a command does not say. None: nobody can tell, so refuse."""

    def workload_pods(self, namespace: str, kind: str, name: str) -> int | None:
        """How many pods a deployment, statefulset or daemonset has or wants, whichever is more."""
        ...

    def workload_replicas(self, namespace: str, kind: str, name: str) -> int | None:
        """What the workload's `spec.replicas` says now."""
        ...

    def selected_pods(self, namespace: str, labels: str, fields: str) -> tuple[str, ...] | None:
        """Names of the pods that a label selector and a field selector find now ("" selects all)."""
        ...

    def node_pods(self, node: str) -> tuple[tuple[str, str], ...] | None:
        """(namespace, name) of the pods that draining the node evicts: no DaemonSet's, no mirror pods."""
        ...

    def release_workloads(self, namespace: str, release: str) -> tuple[tuple[str, str, int], ...] | None:
        """(kind, name, pods) of the workloads that a Helm release owns."""
        ...

    def autoscaling_instances(self, region: str, group: str) -> int | None:
        """How many instances an Auto Scaling group has."""
        ...

    def service_tasks(self, region: str, cluster: str, service: str) -> int | None:
        """How many tasks an ECS service runs or wants, whichever is more."""
        ...


class Advisor(Protocol):
    """Chooses among offered runbooks and fills declared parameters: an LLM. Its word is never an order."""

    def advise(self, request: AdviceRequest) -> Advice | NoAdvice:
        """One question, one try, an answer within the configured deadline; never raises for a bad answer.

        What comes back holds to `domain.advice.checked`: whatever does not is NoAdvice.
        """
        ...


class Cluster(Protocol):
    """What may be asked of the Kubernetes API beforehand."""

    def denied(self, rights: Sequence[ClusterRight]) -> Sequence[ClusterRight]:
        """Those of the rights that our own credentials do not have (SelfSubjectAccessReview)."""
        ...


class Run(Protocol):
    """One durable execution: what a step returned once, it returns again after a crash."""

    def step(self, name: str, do: Callable[[], T], returns: object) -> T:
        """Do it once and remember the value (of the type `returns`)."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait; a restart in between does not start the wait anew."""
        ...

    def wait(self, topic: str, timeout_s: float) -> bool:
        """Wait for a wake-up on the topic; False when the time is over. The message carries no truth."""
        ...


class IntakeStore(Protocol):
    """Where webhooks are put before they are answered."""

    def accept(self, event: SourceEvent, raw: str) -> Accepted:
        """Store a webhook, and open an incident if it is a new trigger; durable when it returns."""
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

    def unfinished_markers(self) -> Sequence[str]:
        """Markers of attempts that were begun and not ended."""
        ...

    def stand_down(self, incident_id: str, stand_down: StandDown) -> bool:
        """A human took over; in force before the next attempt. False if the incident is over."""
        ...

    def withdraw_resolve(self, incident_id: str) -> bool:
        """Take a resolve back that has not been delivered; False if there is none."""
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


class HistoryStore(Protocol):
    """What earlier incidents teach."""

    def same_before(self, incident_id: str, *, since: datetime) -> Sequence[Incident]:
        """Earlier incidents of the same alert, received since then or resolved since then, oldest first."""
        ...

    def lately_resolved(self, limit: int) -> Sequence[Incident]:
        """Incidents that a runbook resolved, newest first."""
        ...

    def run_ends(self, runbook_id: str, revision: str, *, limit: int) -> Sequence[Status]:
        """How the last runs of this revision ended, newest first: resolved or escalated after a step ran."""
        ...


class OutboxStore(Protocol):
    """Letters that wait for a sender."""

    def next_letters(self, channel: Channel, limit: int) -> Sequence[Letter]:
        """Due letters in order; of each incident only those with none undelivered before them."""
        ...

    def begin_delivery(self, letter_ids: Sequence[int]) -> None:
        """Count a try, before anything is sent."""
        ...

    def delivered(self, letter_ids: Sequence[int]) -> None:
        """They arrived."""
        ...

    def postpone(self, letter_ids: Sequence[int], *, delay_s: float, error: str) -> None:
        """Try again later."""
        ...

    def undeliverable(self, letter_ids: Sequence[int], *, error: str) -> None:
        """The vendor will never take them; told in the timeline, kept for the operator."""
        ...

    def thread_ref(self, incident_id: str) -> str | None:
        """The root message of the incident's thread, once it is posted."""
        ...

    def keep_thread_ref(self, incident_id: str, ref: str) -> None:
        """Remember the root message."""
        ...

    def forget_thread_ref(self, incident_id: str) -> None:
        """Its root message is gone: a new one will be posted."""
        ...

    def begin_own_write(self, source_id: str, action: str) -> None:
        """Remember, before it is sent, that we change something at the source."""
        ...

    def learn_own_user_id(self, user_id: str) -> None:
        """Keep who we are at the source."""
        ...

    def end_own_write(self, source_id: str, action: str, actor_id: str) -> None:
        """The change was made, counted for this user."""
        ...


class Records(IntakeStore, IncidentStore, HistoryStore, Protocol):
    """What the pipeline needs of the store."""
