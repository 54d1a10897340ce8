"""One point of the crash matrix: a daemon dies there, is started again, and is judged by what all saw."""

from __future__ import annotations

import contextlib
import hashlib
import re
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

import agent.simulators.slack
from agent.adapters import codec
from agent.adapters.audit_chain import Intact
from agent.adapters.audit_log import verify_against
from agent.adapters.clock import SystemClock
from agent.adapters.slack_text import render_line
from agent.adapters.store import Store
from agent.domain.outbox import ChatLine, ChatSummary, DeskNote, Message, PageHuman
from agent.simulators.anthropic import AnthropicSimulator
from agent.simulators.anthropic_minds import undecided
from agent.simulators.kubernetes.simulator import KubernetesSimulator
from agent.simulators.pagerduty import PagerDutySimulator
from agent.simulators.pagerduty_delivery import Deliverer
from agent.simulators.slack import SlackSimulator
from tests.acceptance.conftest import Agent, wait_until
from tests.acceptance.crash_scenarios import Scenario

ROOT = Path(__file__).parents[2]
DRIVER = Path(__file__).with_name("crashing_agent.py")
_TERMINAL = ("resolved", "escalated", "stood_down", "ignored")

#: A machine that is busy with other tests takes this long at most.
DEADLINE_S = 90.0


@dataclass(frozen=True)
class Outcome:
    """What came of one point. `broken` names every law that does not hold, in words."""

    scenario: str
    point: str
    killed: bool
    end: str
    commands: int
    pages: int
    doubled: int
    does: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()

    def as_row(self) -> dict[str, Any]:
        return asdict(self) | {"does": list(self.does), "broken": list(self.broken)}


@dataclass
class World:
    """Everything that one daemon talks to, and its two lives."""

    scenario: Scenario
    directory: Path
    redis_port: int
    pagerduty: PagerDutySimulator
    slack: SlackSimulator
    extra: dict[str, Any] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    cluster: KubernetesSimulator | None = None
    source_id: str = ""
    _done: set[str] = field(default_factory=set)
    _deleted_after: int = 0

    def __post_init__(self) -> None:
        self.key = hashlib.sha256(str(self.directory).encode()).hexdigest()[:12]
        self.agent = Agent(self.directory, self.pagerduty, self.slack)
        self.agent.overrides |= self.extra
        for name, text in self.scenario.runbooks.items():
            self.agent.runbook(name, text.replace("PORT", str(self.redis_port)).replace("KEY", self.key))
        self.pagerduty.subscribe(self.agent.webhook_url)
        self.database = self.directory / "oncall.db"

    def start(self, **variables: str) -> None:
        """Start the daemon through the driver; it may die before it listens."""
        self.agent.config_path.write_text(yaml.safe_dump(self.agent.config()))
        environment = {**self.agent.environment(), **self.secrets, **variables, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, str(DRIVER), "serve", "--config", str(self.agent.config_path)]
        if not variables:
            command[1:2] = ["-m", "agent"]
        with (self.directory / "agent.log").open("ab") as log:
            self.agent.process = subprocess.Popen(
                command, env=environment, cwd=self.directory, stderr=log, stdout=log
            )

    def trigger(self) -> None:
        self.scenario.before(self)
        self.source_id = self.pagerduty.create_incident(self.scenario.title, service="api-gateway").id

    def died(self) -> bool:
        process = self.agent.process
        return process is not None and process.poll() is not None

    def is_up_or_dead(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return self.died() or httpx.get(f"{self.agent.url}/ready").status_code == 200
        return False

    def rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        """What the database says now; nothing while it is not there."""
        with contextlib.suppress(sqlite3.OperationalError):
            connection = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)
            try:
                connection.row_factory = sqlite3.Row
                return connection.execute(query, values).fetchall()
            finally:
                connection.close()
        return []

    def incident_id(self) -> str:
        found = self.rows("SELECT id FROM incidents WHERE source_id = ?", self.source_id)
        return str(found[0]["id"]) if found else ""

    def status(self) -> str:
        found = self.rows("SELECT status FROM incidents WHERE source_id = ?", self.source_id)
        return str(found[0]["status"]) if found else ""

    def has_handled(self, event_name: str) -> bool:
        """Whether an event of PagerDuty's was looked at to the end."""
        query = "SELECT id FROM deliveries WHERE handled_at IS NOT NULL AND event LIKE ?"
        return bool(self.rows(query, f"%{event_name}%"))

    def is_told(self) -> bool:
        """Whether the thread is up to date."""
        return not self.rows("SELECT id FROM outbox WHERE state = 'waiting'")

    def counted(self, suffix: str = "") -> int:
        command = ["redis-cli", "-p", str(self.redis_port), "GET", f"{self.key}{suffix}"]
        return int(subprocess.run(command, capture_output=True, text=True).stdout.strip() or 0)

    def once(self, name: str, do: Callable[[], object]) -> None:
        if name not in self._done:
            do()
            self._done.add(name)

    def cli(self, *arguments: str) -> None:
        """As a human at a terminal; what is not taken, because the daemon is not so far, is tried again."""
        environment = {**self.agent.environment(), **self.secrets, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "agent", *arguments, "--config", str(self.agent.config_path)]
        done = subprocess.run(command, env=environment, cwd=self.directory, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    def acknowledge(self) -> None:
        self.pagerduty.acknowledge_as_human(self.source_id)

    def delete_root(self) -> None:
        (root,) = self.slack.roots()
        self._deleted_after = len(self.slack.thread(root.ts)) - 1
        self.said_before = _lines(self.slack, root.ts)
        self.slack.workspace.delete(root.ts)

    def is_over(self) -> bool:
        """Ended, everything told, every webhook looked at, and the audit file complete."""
        if self.status() not in _TERMINAL or not self.is_told() or not self.scenario.is_over(self):
            return False
        if not self.pagerduty.wait_until_delivered(0.01):
            return False
        if self.rows("SELECT id FROM deliveries WHERE handled_at IS NULL") or not self.is_told():
            return False
        entries = self.rows("SELECT count(*) AS n FROM timeline")[0]["n"]
        path = self.directory / "audit.jsonl"
        audit = next(iter(self.directory.glob("*audit*.jsonl")), path)
        return audit.exists() and len(audit.read_bytes().splitlines()) >= entries

    def lives(self, point: str, *, trace: str = "") -> bool:
        """Die at the point, live again to the end; whether it died."""
        self.start(CRASH_AT=point, CRASH_TRACE=trace)
        wait_until(self.is_up_or_dead, "the daemon listens, or has died", deadline_s=DEADLINE_S)
        self.trigger()
        killed = False
        until = time.monotonic() + DEADLINE_S
        while not self.is_over() or self.died():
            if self.died():
                assert not killed, f"the restarted daemon ended:\n{self.agent.log()[-3000:]}"
                killed = True
                self.looks_before = len(self.slack.requests("/api/conversations."))
                self.start()
            if time.monotonic() > until:
                break
            self.scenario.human(self)
            time.sleep(0.03)
        return killed


@contextlib.contextmanager
def world(scenario: Scenario, directory: Path, redis_port: int) -> Iterator[World]:
    """A world of its own, taken down afterwards."""
    directory.mkdir(parents=True)
    with ExitStack() as stack:
        pagerduty = stack.enter_context(PagerDutySimulator(deliverer=Deliverer(tries=400)))
        slack = stack.enter_context(SlackSimulator(scopes=agent.simulators.slack.SCOPES))
        extra, secrets, cluster = _needed(scenario, directory, stack)
        made = World(scenario, directory, redis_port, pagerduty, slack, extra, secrets, cluster)  # type: ignore[arg-type]
        try:
            yield made
        finally:
            made.agent.kill()


def _needed(
    scenario: Scenario, directory: Path, stack: ExitStack
) -> tuple[dict[str, Any], dict[str, str], KubernetesSimulator | None]:
    extra: dict[str, Any] = {}
    secrets: dict[str, str] = {}
    cluster = None
    if "advisor" in scenario.needs:
        model = stack.enter_context(AnthropicSimulator(mind=undecided))
        secrets["ANTHROPIC_API_KEY"] = model.api_key
        key = {"env": "ANTHROPIC_API_KEY"}
        llm = {"provider": "anthropic", "model": "claude-haiku-4-5", "base_url": model.url, "api_key": key}
        extra["llm"] = llm
    if "cluster" in scenario.needs:
        cluster = stack.enter_context(KubernetesSimulator())
        cluster.add_deployment("production", "api", replicas=2)  # type: ignore[attr-defined]
        kubeconfig = cluster.kubeconfig(directory / "kubeconfig", namespace="production")  # type: ignore[attr-defined]
        extra["kubernetes"] = {"kubeconfig": str(kubeconfig)}
    return extra, secrets, cluster  # type: ignore[return-value]


def run_point(scenario: Scenario, point: str, directory: Path, redis_port: int) -> Outcome:
    """Kill there, restart, judge."""
    with world(scenario, directory, redis_port) as made:
        killed = made.lives(point)
        outcome = judge(made, point, killed=killed)
        if outcome.broken:
            (directory / "broken.txt").write_text("\n".join(outcome.broken))
        return outcome


def trace(scenario: Scenario, directory: Path, redis_port: int) -> tuple[list[str], Outcome]:
    """The points that an undisturbed way goes through, in their order, each once."""
    path = directory / "points.txt"
    with world(scenario, directory, redis_port) as made:
        made.lives("", trace=str(path))
        points = list(dict.fromkeys(path.read_text().splitlines()))
        return points, judge(made, "", killed=False)


def judge(made: World, point: str, *, killed: bool) -> Outcome:
    facts = Facts(made)
    return Outcome(
        scenario=made.scenario.name,
        point=point,
        killed=killed,
        end=facts.end,
        commands=facts.commands,
        pages=len(facts.alerts),
        doubled=facts.doubled,
        does=tuple(facts.does()) if killed else (),
        broken=tuple(facts.broken()),
    )


def _lines(slack: SlackSimulator, ts: str) -> str:
    return "\n".join(message.text for message in slack.thread(ts)[1:])


class Facts:
    """What everybody saw, held against the laws."""

    def __init__(self, made: World) -> None:
        self.made = made
        self.incident_id = made.incident_id()
        self.status = made.status()
        found = made.rows("SELECT trigger FROM escalations WHERE incident_id = ?", self.incident_id)
        self.trigger = str(found[0]["trigger"]) if found else ""
        self.end = f"{self.status}: {self.trigger}" if self.trigger else self.status
        self.letters = made.rows("SELECT * FROM outbox ORDER BY id")
        self.messages = [codec.load(row["message"], Message) for row in self.letters]
        self.alerts = made.pagerduty.pages()
        self.commands = made.counted() if made.cluster is None else self._restarts()
        self.doubled = self._doubled()

    def _restarts(self) -> int:
        assert self.made.cluster is not None
        changed = self.made.cluster.calls(verb="patch", resource="deployments")
        return len([each for each in changed if each.changed])

    def _expected_lines(self, about: str) -> list[str]:
        """What was written for the thread of an incident, or of a stop, which has a thread too."""
        said = [m for m, row in self._with_rows() if row["incident_id"] == about]
        lines = (each.text for each in said if isinstance(each, ChatLine | ChatSummary))
        return [shown for line in lines if (shown := render_line(line)).strip()]

    def _threads(self) -> dict[str, list[str]]:
        """What stands in each thread: one text a root, by what the root is about."""
        found: dict[str, list[str]] = {}
        for root in self.made.slack.roots():
            payload = (root.metadata or {}).get("event_payload")
            about = str(payload.get("incident")) if isinstance(payload, dict) else ""
            found.setdefault(about, []).append(_lines(self.made.slack, root.ts))
        return found

    def _doubled(self) -> int:
        """Lines, and root messages, that stand there more often than they were written."""
        count = 0
        for about, threads in self._threads().items():
            said = Counter("\n".join(threads).split("\n"))
            written = Counter("\n".join(self._expected_lines(about)).split("\n"))
            count += sum((said - written).values()) + len(threads) - 1
        return count

    def broken(self) -> Iterator[str]:
        yield from self._end_laws()
        yield from self._command_laws()
        yield from self._page_laws()
        yield from self._desk_laws()
        yield from self._chat_laws()
        yield from self._rest()

    def _end_laws(self) -> Iterator[str]:
        pages = sum(isinstance(each, PageHuman) for each in self.messages)
        if self.status not in _TERMINAL:
            yield f"the incident has not ended: {self.status or 'lost'}"
        elif not self.made.scenario.is_right(self.status, self.trigger, pages):
            yield f"it ended {self.end} with {pages} pages written"
        if not self.made.is_over():
            waiting = [type(m).__name__ for m, row in self._with_rows() if row["state"] == "waiting"]
            yield f"not everything was told: {waiting}"
        ends = self.made.rows("SELECT key FROM timeline WHERE key = 'end'")
        if len(ends) != 1:
            yield f"{len(ends)} ends in the timeline"

    def _with_rows(self) -> Iterator[tuple[Any, sqlite3.Row]]:
        yield from zip(self.messages, self.letters, strict=True)

    def _command_laws(self) -> Iterator[str]:
        for suffix in ("", "-back"):
            if self.made.counted(suffix) > 1:
                yield f"a command that changes something ran {self.made.counted(suffix)} times"
        if self.commands > 1:
            yield f"what changes something was done {self.commands} times"
        begun = {
            row["marker"]: row["attempt"] or ""
            for row in self.made.rows("SELECT * FROM attempts WHERE NOT read_only")
        }
        charged = Counter(row["marker"] for row in self.made.rows("SELECT marker FROM charges"))
        classes = 2 if self.made.cluster is not None else 1
        for marker, attempt in begun.items():
            wanted = 0 if '"refused"' in attempt else classes
            if charged[marker] != wanted and not (wanted and charged[marker] in (1, classes)):
                yield f"{charged[marker]} charges for {marker}"
        if set(charged) - set(begun):
            yield "a charge without an attempt"
        endless = self.made.rows("SELECT marker FROM attempts WHERE ended_at IS NULL")
        if endless:
            yield f"{len(endless)} attempts have no end"

    def _page_laws(self) -> Iterator[str]:
        written = Counter(each.dedup_key for each in self.messages if isinstance(each, PageHuman))
        woken = Counter(alert.alert_key for alert in self.alerts)
        if written != woken:
            yield f"pages written {dict(written)}, humans woken {dict(woken)}"

    def _desk_laws(self) -> Iterator[str]:
        desk = self.made.pagerduty.incident(self.made.source_id)
        of_ours = [each for each in self.made.pagerduty.deliveries() if each.order == self.made.source_id]
        told = Counter(each.event_type for each in of_ours)
        resolves = self.made.scenario.resolves
        wanted = (1 if self.status == "resolved" else 0) if resolves is None else resolves
        if told["incident.resolved"] != wanted:
            yield f"{told['incident.resolved']} resolves are seen, not {wanted}"
        if told["incident.acknowledged"] > 1 + ("acknowledge" in self.made._done):
            yield f"{told['incident.acknowledged']} acknowledges are seen"
        notes = [each.text.strip() for each in self.messages if isinstance(each, DeskNote)]
        if [each.content.strip() for each in desk.notes] != notes or len(notes) != 1:
            yield f"{len(desk.notes)} notes, {len(notes)} written"

    def _chat_laws(self) -> Iterator[str]:
        threads = self._threads()
        for about in {self.incident_id} | set(threads):
            yield from self._thread_laws(about, threads.get(about, []))
        (card,) = [root for root in self.made.slack.roots() if self.incident_id in str(root.metadata)] or [
            None
        ]
        if card is not None and self.status.replace("_", " ") not in card.text:
            yield f"the root message still says {card.text!r}"
        lines = Counter(each.text for each in self.messages if isinstance(each, ChatLine))
        told = Counter(row["text"] for row in self.made.rows("SELECT text FROM timeline"))
        if lines - told:
            yield f"lines that the timeline does not have so often: {dict(lines - told)}"

    def _thread_laws(self, about: str, threads: Sequence[str]) -> Iterator[str]:
        if len(threads) != 1:
            yield f"{len(threads)} root messages for {about}"
            return
        (said,) = threads
        written = "\n".join(self._expected_lines(about))
        if said != written and not (self.made.scenario.roots > 1 and said and written.endswith(said)):
            yield f"the thread of {about} says\n{said}\nand was to say\n{written}"

    def _rest(self) -> Iterator[str]:
        store = Store(f"sqlite:///{self.made.database}", SystemClock())
        try:
            audit = next(iter(self.made.directory.glob("*audit*.jsonl")))
            seen = verify_against(audit, store)
        except StopIteration:
            yield "there is no audit log"
            return
        finally:
            store.close()
        if not isinstance(seen, Intact):
            yield f"the audit log is not intact: {seen}"
        if processes_of(self.incident_id):
            yield "a process of the incident is left"

    def does(self) -> Iterator[str]:
        """What the restarted agent did because of the crash, from what the vendors saw."""
        triggered = [each for each in self.made.pagerduty.deliveries() if each.order == self.made.source_id]
        if triggered and len(triggered[0].statuses) > 1:
            yield "takes the webhook, which PagerDuty sends again"
        if self.trigger == "outcome_unknown":
            yield "does not run the command again; pages: outcome unknown"
        if self.made.rows("SELECT marker FROM attempts WHERE read_only AND commands > 1"):
            yield "runs the reading command again"
        sent = len(self.made.pagerduty.requests("/v2/enqueue"))
        if sent > len(self.alerts) and "/v2/enqueue" not in str(self.made.scenario.before):
            yield "sends the page again under the same `dedup_key`"
        if len(self.made.slack.requests("/api/conversations.")) > getattr(self.made, "looks_before", 0):
            yield "looks up in Slack what it posted"


def processes_of(incident_id: str) -> list[str]:
    """Processes that carry the mark of an attempt of the incident."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"ONCALL_AGENT_ATTEMPT={incident_id}/".encode() in (place / "environ").read_bytes():
                found.append(place.name)
    return found


def boundary_of(point: str) -> str:
    """`store.record[match]:after` → `store.record`."""
    return re.split(r"[\[:]", point)[0]


def new_points(traces: Sequence[tuple[str, Sequence[str]]]) -> list[tuple[str, str]]:
    """(scenario, point): each boundary's both sides, in the scenario that reaches it first."""
    seen: set[str] = set()
    found = []
    for scenario, points in traces:
        for point in points:
            if point not in seen:
                seen.add(point)
                found.append((scenario, point))
    return found
