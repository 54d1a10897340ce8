"""The world outside: vendors, machines, time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar

from agent.domain.access import ClusterRight
from agent.domain.advice import Advice, AdviceRequest, NoAdvice
from agent.domain.alert import Severity, Urgency
from agent.domain.command import PricedCommand, Script
from agent.domain.presses import Button
from agent.domain.prose import Prose, ProseRequest
from agent.domain.runbook import Action

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

    def leapt_s(self) -> float:
        """How much of the last day never passed: the clock was set forward by so much while we looked on.

        What counts over a time of day counts over so much more, lest a limit be forgotten with the hour.
        """
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

    `summary` at most 1,024 characters and `dedup_key` at most 255 (PagerDuty Events API v2). `kind` is its
    `class`, `at` its `timestamp`; a `client` of "" is not sent.
    """

    dedup_key: str
    summary: str
    severity: Severity
    source: str
    component: str = ""
    details: Mapping[str, object] = field(default_factory=dict)
    links: tuple[tuple[str, str], ...] = ()
    group: str = ""
    kind: str = ""
    at: str = ""
    client: str = "oncall-agent"


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


@dataclass(frozen=True, slots=True)
class QuestionCard:
    """A question to a human, kept current until it is over. Texts are plain and untrusted.

    `facts` are few words each, under their name; `runs` are the commands that a yes lets run, word by word.
    `outcome` says what became of it; then there are no buttons.
    """

    incident_id: str
    title: str
    question: str
    facts: tuple[tuple[str, str], ...] = ()
    runs: str = ""
    expires_at: datetime | None = None
    outcome: str = ""
    buttons: tuple[Button, ...] = ()
    hint: str = ""
    url: str = ""


class Chat(Protocol):
    """Tells the incident's story to people: Slack. Every method raises ServiceError."""

    @property
    def has_threads(self) -> bool:
        """Whether messages can be threaded and updated (an incoming webhook alone cannot)."""
        ...

    def post_root(self, card: ThreadCard, *, key: str = "") -> str:
        """Post the root message; gives the reference that threads hang on ("" without threads)."""
        ...

    def find_root(self, key: str, *, since: datetime) -> str:
        """The reference of a root that was posted with this key, if it stands there; else ""."""
        ...

    def update_root(self, ref: str, card: ThreadCard) -> None:
        """Bring the root message up to date."""
        ...

    def post_lines(
        self, ref: str, lines: Sequence[str], *, keys: Sequence[str] = (), broadcast: bool = False
    ) -> int:
        """Post one message in the thread with as many of the first lines as it holds; how many those are.

        Broadcast also shows it in the channel. `keys` name the lines, one each, for `find_lines`.
        """
        ...

    def find_lines(self, ref: str, *, since: datetime) -> frozenset[str]:
        """The keys of all lines and questions that stand in the thread and were posted since then."""
        ...

    def post_question(self, ref: str, question: QuestionCard, *, key: str = "") -> str:
        """Ask in the thread, and show it in the channel; gives the question's own reference.

        Only where there are threads: elsewhere no button works, and a line asks.
        """
        ...

    def find_question(self, ref: str, key: str, *, since: datetime) -> str:
        """The reference of the question that was asked in the thread with this key; "" if there is none."""
        ...

    def update_question(self, question_ref: str, question: QuestionCard) -> None:
        """Bring a question up to date; once it is over its buttons are gone."""
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


class Writer(Protocol):
    """Writes the summary of a post-mortem: an LLM. Words alone, never a number of its own."""

    def write(self, request: ProseRequest) -> Prose | NoAdvice:
        """One question, one try, an answer within the configured deadline; never raises for a bad answer.

        What comes back holds to `domain.prose.checked_prose`: whatever does not is NoAdvice.
        """
        ...


class Cluster(Protocol):
    """What may be asked of the Kubernetes API beforehand."""

    def denied(self, rights: Sequence[ClusterRight]) -> Sequence[ClusterRight]:
        """Those of the rights that our own credentials do not have (SelfSubjectAccessReview)."""
        ...


class Run(Protocol):
    """One durable execution: what a step returned once, it returns again after a crash.

    A step is named once in a run. It is remembered by its name, at the latest together with what the run
    writes next; until then a crash makes it be done again, so it must be safe to do twice.
    """

    def step(self, name: str, do: Callable[[], T], returns: object) -> T:
        """Do it once and remember the value (of the type `returns`)."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait; a restart in between does not start the wait anew."""
        ...

    def wait(self, topic: str, timeout_s: float) -> bool:
        """Wait for a wake-up on the topic; False when the time is over. The message carries no truth."""
        ...

    def turn(self, topic: str, *, waiting: Callable[[], object]) -> bool:
        """Wait for the incident's turn, if a wait has cost it that; False when woken on the topic before.

        `waiting` is called when it really has to wait.
        """
        ...
