"""The laws of a crash: what everybody saw afterwards, held against what was promised."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agent.adapters import codec
from agent.adapters.audit_chain import Intact
from agent.adapters.audit_log import verify_against
from agent.adapters.clock import SystemClock
from agent.adapters.slack_text import render_line
from agent.adapters.store import Store
from agent.domain.outbox import ChatLine, ChatQuestion, ChatSummary, DeskNote, Message, PageHuman
from agent.simulators.slack import SlackMessage, SlackSimulator
from tests.acceptance.crash_further_laws import Further
from tests.acceptance.crash_scenarios import Scenario
from tests.acceptance.crash_world import TERMINAL, World, world


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


def lines_of(slack: SlackSimulator, ts: str, questions: frozenset[str]) -> str:
    """What stands in a thread; of a question, which changes as it is answered, which letter it is."""
    return "\n".join(_shown(message, questions) for message in slack.thread(ts)[1:])


def _shown(message: SlackMessage, questions: frozenset[str]) -> str:
    payload = (message.metadata or {}).get("event_payload")
    letters = str(payload.get("letters")) if isinstance(payload, dict) else ""
    return question_line(letters) if letters in questions else message.text


def question_line(letter_id: object) -> str:
    return f"question {letter_id}"


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
        self.commands = made.counted() if made.vendors.cluster is None else self._restarts()
        self.further = Further(made, self.messages)
        self.doubled = self._doubled() + self.further.doubled()

    def _restarts(self) -> int:
        assert self.made.vendors.cluster is not None
        changed = self.made.vendors.cluster.calls(verb="patch", resource="deployments")
        return len([each for each in changed if each.changed])

    def _expected_lines_of(self, about: str) -> list[str]:
        """What was written for the thread of an incident, or of a stop, which has a thread too."""
        found = []
        for message, row in self._with_rows():
            match message:
                case ChatQuestion() if row["incident_id"] == about:
                    found.append(question_line(row["id"]))
                case ChatLine(text) | ChatSummary(text) if row["incident_id"] == about:
                    found.append(render_line(text))
        return [line for line in found if line.strip()]

    def _questions(self) -> frozenset[str]:
        return frozenset(
            str(row["id"]) for message, row in self._with_rows() if isinstance(message, ChatQuestion)
        )

    def _threads(self) -> dict[str, list[str]]:
        """What stands in each thread: one text a root, by what the root is about."""
        found: dict[str, list[str]] = {}
        questions = self._questions()
        for root in self.made.slack.roots("incidents"):
            payload = (root.metadata or {}).get("event_payload")
            about = str(payload.get("incident")) if isinstance(payload, dict) else ""
            found.setdefault(about, []).append(lines_of(self.made.slack, root.ts, questions))
        return found

    def _doubled(self) -> int:
        """Lines, and root messages, that stand there more often than they were written."""
        count = 0
        for about, threads in self._threads().items():
            said = Counter("\n".join(threads).split("\n"))
            written = Counter("\n".join(self._expected_lines_of(about)).split("\n"))
            count += sum((said - written).values()) + len(threads) - 1
        return count

    def broken(self) -> Iterator[str]:
        yield from self._end_laws()
        yield from self._command_laws()
        yield from self._page_laws()
        yield from self._desk_laws()
        yield from self._chat_laws()
        yield from self._twin_laws()
        yield from self.further.broken()
        yield from self._rest()

    def _end_laws(self) -> Iterator[str]:
        pages = sum(isinstance(each, PageHuman) for each in self.messages)
        if self.status not in TERMINAL:
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
        classes = 2 if self.made.vendors.cluster is not None else 1
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
        if not self.made.scenario.at_desk:
            return
        desk = self.made.pagerduty.incident(self.made.source_id)
        of_ours = [each for each in self.made.pagerduty.deliveries() if each.order == self.made.source_id]
        told = Counter(each.event_type for each in of_ours)
        resolves = self.made.scenario.resolves
        wanted = (1 if self.status == "resolved" else 0) if resolves is None else resolves
        if told["incident.resolved"] != wanted:
            yield f"{told['incident.resolved']} resolves are seen, not {wanted}"
        if told["incident.acknowledged"] > 1 + ("acknowledge" in self.made.done):
            yield f"{told['incident.acknowledged']} acknowledges are seen"
        notes = [each.text.strip() for each in self.messages if isinstance(each, DeskNote)]
        if [each.content.strip() for each in desk.notes] != notes or len(notes) != 1:
            yield f"{len(desk.notes)} notes, {len(notes)} written"

    def _chat_laws(self) -> Iterator[str]:
        threads = self._threads()
        for about in {self.incident_id} | set(threads):
            yield from self._thread_laws(about, threads.get(about, []))
        for card in self.made.slack.roots("incidents"):
            ours = self.incident_id in str(card.metadata)
            if ours and self.status.replace("_", " ") not in card.text:
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
        written = "\n".join(self._expected_lines_of(about))
        if said != written and not (self.made.scenario.roots > 1 and said and written.endswith(said)):
            yield f"the thread of {about} says\n{said}\nand was to say\n{written}"

    def _twin_laws(self) -> Iterator[str]:
        """The same alert once more is counted with the first, runs nothing, and is closed with it."""
        if not self.made.twin_id:
            return
        found = self.made.rows("SELECT * FROM incidents WHERE source_id = ?", self.made.twin_id)
        if [(row["status"], row["folded_into"]) for row in found] != [("ignored", self.incident_id)]:
            yield f"the second of the same alert: {[tuple(row) for row in found]}"
        counted = self.made.rows("SELECT alert_count FROM incidents WHERE id = ?", self.incident_id)
        if [row["alert_count"] for row in counted] != [2]:
            yield "the same alert is not counted twice"
        state = self.made.pagerduty.incident(self.made.twin_id).status
        if self.status == "resolved" and state != "resolved":
            yield f"the second of the same alert is {state} at PagerDuty"

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
        taken = [each for each in self.made.pagerduty.requests("/v2/enqueue") if each.status == 202]
        sent = sum('"trigger"' in each.body for each in taken)
        if sent > len(self.alerts):
            yield "sends the page again under the same `dedup_key`"
        if len(self.made.slack.requests("/api/conversations.")) > self.made.looks_before:
            yield "looks up in Slack what it posted"
        yield from self.further.does()


def processes_of(incident_id: str) -> list[str]:
    """Processes that carry the mark of an attempt of the incident."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"ONCALL_AGENT_ATTEMPT={incident_id}/".encode() in (place / "environ").read_bytes():
                found.append(place.name)
    return found
