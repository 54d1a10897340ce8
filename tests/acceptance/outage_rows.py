"""The outage table: what happens when a neighbour is away, slow or strange. The tests run these rows, and
docs/outages.md is written from them: `python -m tests.acceptance.outage_page`.

In a text of a row, `<…>` stands for what differs from case to case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import re2

from agent.domain.incident import Status
from tests.acceptance.outage_faults import Fault

#: After a failure; the longest wait goes on for as long as the neighbour is away.
WAITS = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0)

_LATE = (Fault.SLOW, Fault.SILENT, Fault.STALLED, Fault.DRIPPING)
_NO_NAME = "cannot be reached (its name cannot be resolved)"
_REFUSED = "cannot be reached (connection refused)"
_BAD_TLS = "cannot be reached (its certificate is not trusted: self-signed certificate)"
_CUT_OFF = "was cut off before its answer was whole"
_TOO_LATE = "was not answered within <n> s"


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One neighbour that speaks HTTP: what holds for it whatever is wrong."""

    name: str
    scene: str
    sees: str
    retried: str
    escalated: str
    lost: str
    bounded: str
    #: The line of the timeline, and of the thread, that tells of the fault; `{error}` are the fault's words.
    told: str
    #: The event in the log that tells of it.
    logged: str
    #: How the incident ends while the neighbour is broken.
    ends: Status
    #: The words of each fault.
    errors: Mapping[Fault, str]
    #: The waits between tries; none where nothing is asked twice.
    waits: tuple[float, ...] = ()
    #: How long it is waited for at most although 429 asks for an hour.
    limited_wait_s: float = 0.0

    def waits_for(self, fault: Fault) -> tuple[float, ...]:
        """What passes between the tries."""
        if fault is Fault.LIMITED and self.waits:
            return (self.limited_wait_s,) * len(self.waits)
        return self.waits


@dataclass(frozen=True, slots=True)
class HttpRow:
    """One neighbour with one fault."""

    neighbour: Neighbour
    fault: Fault

    @property
    def id(self) -> str:
        return f"{self.neighbour.scene}-{self.fault.name.lower()}"

    @property
    def error(self) -> str:
        return self.neighbour.errors[self.fault]

    @property
    def told(self) -> str:
        return self.neighbour.told.replace("{error}", self.error)


def matches(pattern: str, text: str) -> bool:
    """Whether the text is the row's, with anything in the place of each `<…>`."""
    parts = re2.split(r"<[a-z …]+>", pattern)
    return re2.fullmatch(r"(?s)" + ".*".join(re2.escape(part) for part in parts), text) is not None


SLACK = Neighbour(
    name="Slack",
    scene="slack",
    sees="nothing in Slack while it lasts; then the whole thread in order, each line once. The incident, "
    "PagerDuty and the console go on as if nothing were",
    retried="the oldest message of each incident that is not told yet",
    escalated="nobody: it holds nothing up",
    lost="nothing: a message whose answer was lost is looked for in Slack before it is said again",
    bounded="a try is over after `slack.timeout_s`, whatever Slack sends or does not send",
    told="",
    logged="chat_down",
    ends=Status.RESOLVED,
    waits=WAITS,
    limited_wait_s=300.0,
    errors={
        **dict.fromkeys(_LATE, f"Slack: {_TOO_LATE}"),
        Fault.RESET: f"Slack: {_CUT_OFF}",
        Fault.REFUSED: f"Slack: {_REFUSED}",
        Fault.NO_NAME: f"Slack: {_NO_NAME}",
        Fault.BAD_TLS: f"Slack: {_BAD_TLS}",
        Fault.LIMITED: "Slack: asks for fewer messages (429)",
        Fault.BROKEN: "Slack: is in trouble (500)",
        Fault.AWAY: "Slack: is in trouble (503)",
        **dict.fromkeys(
            (Fault.HTML, Fault.CUT_JSON, Fault.HUGE),
            "Slack: answered something that is not Slack's; check the address in the slack section and any "
            "proxy",
        ),
        Fault.OTHER_JSON: "Slack: answered ok:false without an error code",
    },
)

_PAGE = "pagerduty-events: POST /v2/enqueue"
_TRIGGER = "pagerduty-events: trigger to /v2/enqueue was answered"
_NO_SUCCESS = (
    f'{_TRIGGER} 200 without status "success"; check that <host> is the vendor and no proxy answers for it'
)

EVENTS = Neighbour(
    name="PagerDuty Events API (pages)",
    scene="events",
    sees="in the thread and the timeline, once: `⚠️ The page could not be delivered yet (<the error>); it "
    "is tried again until it is taken`, and `📟 A human was paged` when it was; in the log each try "
    "(`page_not_taken`)",
    retried="every page, for ever, at least every 30 s",
    escalated="this is the escalation; the incident stands in `oncall-agent escalations` meanwhile",
    lost="nothing: the page carries a `dedup_key`, so one whose answer was lost wakes nobody twice",
    bounded="a try is over after `pagerduty.timeout_s`",
    told="⚠️ The page could not be delivered yet ({error}); it is tried again until it is taken",
    logged="page_not_taken",
    ends=Status.ESCALATED,
    waits=WAITS,
    limited_wait_s=30.0,
    errors={
        **dict.fromkeys(_LATE, f"{_PAGE} {_TOO_LATE}"),
        Fault.RESET: f"{_PAGE} {_CUT_OFF}",
        Fault.REFUSED: f"{_PAGE}: <host> {_REFUSED}",
        Fault.NO_NAME: f"{_PAGE}: <host> {_NO_NAME}",
        Fault.BAD_TLS: f"{_PAGE}: <host> {_BAD_TLS}",
        Fault.LIMITED: f"{_TRIGGER} 429",
        Fault.BROKEN: f"{_TRIGGER} 500",
        Fault.AWAY: f"{_TRIGGER} 503",
        **dict.fromkeys((Fault.HTML, Fault.CUT_JSON, Fault.OTHER_JSON), _NO_SUCCESS),
        Fault.HUGE: f"{_PAGE} was answered with an endless body",
    },
)

_GET = "pagerduty: GET /incidents/<id>"
_NO_OBJECT = (
    f"{_GET} was answered 200 without a JSON object; check that <host> is the vendor and no proxy "
    "answers for it"
)

REST = Neighbour(
    name="PagerDuty REST API (details, acknowledge, note, resolve)",
    scene="rest",
    sees="`⚠️ Details could not be fetched (<reason>); going on with what the webhook says`; the incident "
    "runs to its "
    "end, and PagerDuty shows it as triggered until the API is back",
    retried="acknowledge, note, resolve, in this order; a note that was tried eight times lets the resolve "
    "pass and "
    "follows it",
    escalated="nobody while it lasts; what PagerDuty refuses for good is told, and a resolve that it "
    "refuses pages",
    lost="nothing: each write looks first at what is there, so one whose answer was lost is not done twice",
    bounded="a request is over after `pagerduty.timeout_s`; the details are asked for once, by two requests",
    told="⚠️ Details could not be fetched (<reason>); going on with what the webhook says",
    logged="desk_down",
    ends=Status.RESOLVED,
    waits=WAITS,
    limited_wait_s=300.0,
    errors={
        **dict.fromkeys(_LATE, f"{_GET} {_TOO_LATE}"),
        Fault.RESET: f"{_GET} {_CUT_OFF}",
        Fault.REFUSED: f"{_GET}: <host> {_REFUSED}",
        Fault.NO_NAME: f"{_GET}: <host> {_NO_NAME}",
        Fault.BAD_TLS: f"{_GET}: <host> {_BAD_TLS}",
        Fault.LIMITED: f"{_GET} was answered 429",
        Fault.BROKEN: f"{_GET} was answered 500",
        Fault.AWAY: f"{_GET} was answered 503",
        Fault.HTML: _NO_OBJECT,
        Fault.CUT_JSON: _NO_OBJECT,
        Fault.OTHER_JSON: f"{_GET} was answered 200 without an incident; check that <host> is the vendor "
        "and no proxy "
        "answers for it",
        Fault.HUGE: f"{_GET} was answered with an endless body",
    },
)

_NO_MESSAGE = "bad_answer: it is no message; check llm.base_url and any proxy"

ADVISOR = Neighbour(
    name="LLM (the advisor)",
    scene="advisor",
    sees="`💡 No advice (<why>); rules and scores decide`, and then what happens without an advisor: one "
    "clear "
    "match runs, else a human chooses",
    retried="nothing: one question, one try",
    escalated="as without an advisor: two candidates that are close page a human at once, who chooses",
    lost="nothing but the advice",
    bounded="the question is over after `llm.deadline_s`",
    told="💡 No advice ({error}); rules and scores decide",
    logged="",
    ends=Status.ESCALATED,
    errors={
        **dict.fromkeys(_LATE, "timeout: no answer within llm.deadline_s (<n> s)"),
        Fault.RESET: "unreachable: llm.base_url cannot be reached (connection reset by peer)",
        Fault.REFUSED: f"unreachable: llm.base_url {_REFUSED}",
        Fault.NO_NAME: f"unreachable: llm.base_url {_NO_NAME}",
        Fault.BAD_TLS: f"unreachable: llm.base_url {_BAD_TLS}",
        Fault.LIMITED: "rate_limited: answered 429: the account's rate limit is used up",
        Fault.BROKEN: "server_error: answered 500",
        Fault.AWAY: "server_error: answered 503",
        **dict.fromkeys((Fault.HTML, Fault.CUT_JSON, Fault.OTHER_JSON), _NO_MESSAGE),
        Fault.HUGE: "bad_answer: the answer is unreadable or endless",
    },
)

_COUNT = "Kubernetes: get on deployments.apps <name> in <namespace>"

COUNTING = Neighbour(
    name="Kubernetes API, when the plan is priced",
    scene="counting",
    sees="`🔴 ESCALATING: Refused: step 1 (<title>): <action>: cannot count the pods of <what> that it "
    "would restart; "
    "<hint>`; why it could not is in the log (`cannot_count`)",
    retried="nothing: who cannot count must not change",
    escalated="at once: nothing ran, a human is paged with the plan",
    lost="nothing; nothing was charged",
    bounded="each request is over after 5 s",
    told="🔴 ESCALATING: Refused: step 1 (<title>): <action>: cannot count the pods of <what> that it would "
    "restart; "
    "it can be run where the agent reaches the cluster",
    logged="cannot_count",
    ends=Status.ESCALATED,
    errors={
        **dict.fromkeys(_LATE, f"{_COUNT} was sent and not answered within <n> s"),
        Fault.RESET: f"{_COUNT} was sent, and its connection broke before the answer was whole",
        Fault.REFUSED: f"{_COUNT} could not be sent: connection refused",
        Fault.NO_NAME: f"{_COUNT} could not be sent: its name cannot be resolved",
        Fault.BAD_TLS: f"{_COUNT} could not be sent: its certificate is not trusted: self-signed certificate",
        Fault.LIMITED: f"{_COUNT} is not allowed now",
        Fault.BROKEN: f"{_COUNT} was answered 500",
        Fault.AWAY: f"{_COUNT} was answered 503",
        Fault.HTML: "Kubernetes: the answer to get on deployments.apps <name> in <namespace> is not JSON",
        Fault.CUT_JSON: "Kubernetes: the answer to get on deployments.apps <name> in <namespace> is not JSON",
        Fault.OTHER_JSON: "Kubernetes: the answer to get on deployments.apps <name> in <namespace> is no "
        "object of "
        "Kubernetes",
        Fault.HUGE: "Kubernetes: an answer is larger than <n> bytes",
    },
)

_CHANGE = "Kubernetes: patch on deployments.apps <name> in <namespace>"
_MAYBE = "the change may have been made, look before doing it again"
_ANSWER = "Kubernetes: the answer to patch on deployments.apps <name> in <namespace>"

CHANGING = Neighbour(
    name="Kubernetes API, when a typed action changes something",
    scene="changing",
    sees="`❓ Step 1 attempt 1: outcome unknown (<title>): outcome unknown: <the error>; the change may "
    "have been made, "
    "look before doing it again; not run again`; where it surely was not made, a failed attempt",
    retried="nothing whose outcome is unknown; what surely was not made counts as a failed attempt",
    escalated="at once, as `outcome_unknown`, with what was sent; after the last failed attempt as "
    "`step_failed`",
    lost="nothing; the charge stands",
    bounded="the request is over after 5 s, the action after the step's timeout",
    told="❓ Step 1 attempt 1: outcome unknown (<title>): outcome unknown: {error}; not run again",
    logged="",
    ends=Status.ESCALATED,
    errors={
        **dict.fromkeys(_LATE, f"{_CHANGE} was sent and not answered within <n> s; {_MAYBE}"),
        Fault.RESET: f"{_CHANGE} was sent, and its connection broke before the answer was whole; {_MAYBE}",
        Fault.BROKEN: f"{_CHANGE} was answered 500; {_MAYBE}",
        Fault.AWAY: f"{_CHANGE} was answered 503; {_MAYBE}",
        Fault.HTML: f"{_ANSWER} is not JSON; {_MAYBE}",
        Fault.CUT_JSON: f"{_ANSWER} is not JSON; {_MAYBE}",
        Fault.OTHER_JSON: f"{_ANSWER} is no object of Kubernetes; {_MAYBE}",
        Fault.HUGE: f"Kubernetes: an answer is larger than <n> bytes; {_MAYBE}",
    },
)

#: The same, where it is sure that nothing was changed.
REFUSING = Neighbour(
    name="Kubernetes API, when a typed action surely changed nothing",
    scene="changing",
    sees="`❌ Step 1 attempt 1 failed: <the error>`",
    retried="as the step says: two attempts by default, each counted, charged and tried dry before it is "
    "sent",
    escalated="after the last attempt, as `step_failed`",
    lost="nothing; the charges stand",
    bounded="the request is over after 5 s, the action after the step's timeout",
    told="❌ Step 1 attempt 1 failed: {error} (exit code 1, <n> s)<output>",
    logged="",
    ends=Status.ESCALATED,
    errors={
        Fault.REFUSED: f"{_CHANGE} could not be sent: connection refused",
        Fault.LIMITED: f"{_CHANGE} is not allowed now",
    },
)

NEIGHBOURS = (SLACK, EVENTS, REST, ADVISOR, COUNTING, CHANGING, REFUSING)


def http_rows() -> Iterator[HttpRow]:
    """Every neighbour with every fault."""
    for neighbour in NEIGHBOURS:
        for fault in neighbour.errors:
            yield HttpRow(neighbour, fault)


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that goes wrong beside the vendors; `told` is the exact line or answer that people see."""

    id: str
    what: str
    told: str
    sees: str
    retried: str
    escalated: str
    lost: str = "nothing"


_WEBHOOKS = "webhooks are answered 503 within PagerDuty's 5 s, and PagerDuty sends them again"
_LATER = "the store cannot be used right now; send it again"

DATABASE = (
    Row(
        "database-locked",
        "SQLite: another process holds the lock for writing (a copy of the file, a forgotten shell)",
        told=_LATER,
        sees=f"{_WEBHOOKS}; in the log `store_down` and `step_tried_again`",
        retried="the step that could not be written, for ten minutes; the end of a command that ran "
        "meanwhile "
        "(`attempt_not_written`), so that its outcome is not lost",
        escalated="nobody, if it is over within ten minutes; then a human is paged as soon as it is over",
    ),
    Row(
        "database-full",
        "SQLite: the disk is full",
        told=_LATER,
        sees=f"{_WEBHOOKS}; the daemon and `/health` stay up, also where its own log is on the full disk",
        retried="as for a lock; it goes on by itself when there is room",
        escalated="nobody, if there is room within ten minutes; then a human is paged as soon as there is",
        lost="nothing that was answered 202; lines of the log that could not be written",
    ),
    Row(
        "audit-full",
        "the audit log is on a full disk",
        told="the audit log <path> cannot be written: No space left on device",
        sees="in the log `schedule_failed` with `schedule: audit-log`; incidents go on",
        retried="every second; half a line is cut away, and the file is completed from the database",
        escalated="nobody for fifteen minutes; then a human is paged once",
    ),
    Row(
        "database-read-only",
        "SQLite: the kernel made the disk read-only after an error",
        told=_LATER,
        sees=f"{_WEBHOOKS}; nothing new starts",
        retried="as for a lock; a disk that stays so needs an operator, and the agent a restart on a good "
        "one",
        escalated="by the dead man's switch: the heartbeat stops, because nothing can be written",
        lost="nothing that was answered 202, as far as the disk can be read",
    ),
    Row(
        "postgresql-gone",
        "PostgreSQL: the server is gone",
        told=_LATER,
        sees=f"{_WEBHOOKS}; in the log `store_down`, then `lock_taken_again`",
        retried="as for a lock; a running command is not cut off because nobody can say whether it may go on",
        escalated="nobody, if it is back within ten minutes; then a human is paged as soon as it is",
    ),
    Row(
        "postgresql-hangs",
        "PostgreSQL: the server hangs: connections stand, nothing is answered",
        told=_LATER,
        sees=f"{_WEBHOOKS}, also those whose statement hangs",
        retried="as for a lock, on new connections",
        escalated="nobody, if it is back within ten minutes; then a human is paged as soon as it is",
    ),
)

CLOCK = (
    Row(
        "clock-letters",
        "letters that wait for their next try (forward and back)",
        told="",
        sees="nothing",
        retried="forward: at once; back: after the wait that was meant, at the latest",
        escalated="nobody",
    ),
    Row(
        "clock-forward-approval",
        "forward, while a plan waits for a yes",
        told="⌛ Nobody approved the plan in time",
        sees="the question expires early, and says so",
        retried="nothing",
        escalated="at once, as `approval_expired`",
        lost="the rest of the time to answer",
    ),
    Row(
        "clock-back-approval",
        "back, while a plan waits for a yes",
        told="👍 Approved by <name>",
        sees="the question stands for as much longer; a yes or a no counts at once",
        retried="nothing",
        escalated="as without the step, later by as much",
    ),
    Row(
        "clock-forward-deadline",
        "forward, in the middle of a step",
        told="⏹️ Step 2 attempt 1 stopped: the incident's time is over",
        sees="the running command ends by itself (its timeout is measured on a clock that nobody sets); "
        "the next step does not start",
        retried="nothing",
        escalated="at once, as `deadline`",
        lost="the rest of the incident's time",
    ),
    Row(
        "clock-back-deadline",
        "back, in the middle of a step",
        told="✅ Incident resolved automatically",
        sees="times in the timeline go back once; its order and the audit chain do not",
        retried="nothing is run again: attempts are known by their number, not by their time",
        escalated="nobody; each step keeps its own timeout, the incident's time ends later by as much",
    ),
    Row(
        "clock-limits",
        "limits of an hour or a day, and what runs one at a time (forward and back)",
        told="🔴 ESCALATING: <step> limits.per_hour.cache_operations is 1: 1 used in the last hour by "
        "<whom>, this attempt asks for 1 more<hint>",
        sees="nothing is forgotten early: what counts over an hour counts over as much more as the clock "
        "was set "
        "forward by; set back, it counts for longer",
        retried="nothing",
        escalated="as over any limit",
        lost="nothing; a daemon that was started after the step believes the clock",
    ),
    Row(
        "clock-forward-flapping",
        "forward, between occurrences of an alert",
        told="🔁 Flapping: the same alert 3 times within <time> (<times>)<lines>",
        sees="it is flapping all the same",
        retried="nothing",
        escalated="as `flapping`",
        lost="nothing. Set back, what came before the step is counted again once the clock has passed it; "
        "the "
        "limits above hold meanwhile",
    ),
    Row(
        "clock-forward-recurrence",
        "forward, between a fix and the alert's return",
        told="🔁 Symptom, not cause: <runbook> fixed it at <time>, and it is back after <time>; "
        "nothing is run<lines>",
        sees="it is a return all the same",
        retried="nothing",
        escalated="as `recurrence`",
    ),
    Row(
        "clock-takeover",
        "back, after the agent acknowledged and before a human does",
        told="",
        sees="the human takes over, as without the step",
        retried="nothing",
        escalated="nobody",
    ),
    Row(
        "clock-webhooks",
        "between two deliveries of one webhook (forward and back)",
        told="known incident",
        sees="one incident: it is known by its id, not by its time",
        retried="nothing",
        escalated="nobody",
    ),
    Row(
        "clock-watchdog",
        "the watchdog (forward and back)",
        told="",
        sees="`clock_stepped` in its log; everything gets two minutes to end by itself before it is called "
        "stuck",
        retried="nothing",
        escalated="what is late after that, with a page",
    ),
)

STOPS = (
    Row(
        "stop-finishes",
        "SIGTERM while a command runs that ends within `server.stop_grace_s`",
        told="✅ Step 1 succeeded<rest>",
        sees="the step's result; webhooks that come meanwhile are answered 503, and PagerDuty sends them "
        "again",
        retried="nothing: the outcome is written, and the next start tells it and goes on with the next step",
        escalated="nobody",
    ),
    Row(
        "stop-cuts-off",
        "SIGTERM while a command runs that does not end within the grace",
        told="❓ Step 1 attempt 1: outcome unknown (Flush): the agent was interrupted while it ran; not run "
        "again",
        sees="`attempts_cut_off` in the log; the command's processes are ended",
        retried="by the next start: only what changes nothing",
        escalated="by the next start, as `outcome_unknown`, if it changes things",
    ),
    Row(
        "stop-twice",
        "a second SIGTERM or SIGINT",
        told="attempts_cut_off",
        sees="the grace is over at once; the rest of the stop is the same",
        retried="as above",
        escalated="as above",
    ),
    Row(
        "stop-approval",
        "SIGTERM while a plan waits for a yes",
        told="👍 Approved by <name>",
        sees="the process is gone at once; the question stands, and may be answered meanwhile",
        retried="the next start goes on where it was",
        escalated="nobody",
    ),
    Row(
        "stop-delivering",
        "SIGTERM while a thread is told",
        told="✅ Incident resolved automatically",
        sees="the rest of the thread after the next start, each line once",
        retried="letters that were not taken; one whose answer was lost is looked for first",
        escalated="nobody",
    ),
    Row(
        "stop-webhooks",
        "SIGTERM while webhooks are answered",
        told="the agent is starting or stopping; send it again",
        sees="202 for what was stored, 503 for what was not, until nobody listens any more: nothing that was "
        "stored stays unanswered",
        retried="by PagerDuty; what it sends twice is known",
        escalated="nobody",
    ),
    Row(
        "stop-bound",
        "something does not end although it was told to",
        told="",
        sees="the process ends `server.stop_grace_s` + 15 s after the signal, with exit code 70",
        retried="as after `kill -9`",
        escalated="as after `kill -9`",
    ),
)

SECTIONS: Mapping[str, tuple[Row, ...]] = {
    "The database and the disk": DATABASE,
    "The clock, set by an hour": CLOCK,
    "Stopping": STOPS,
}


def row(row_id: str) -> Row:
    """The row with this name."""
    return next(each for rows in SECTIONS.values() for each in rows if each.id == row_id)


Test = TypeVar("Test", bound=Callable[..., object])


def proves(row_id: str) -> Callable[[Test], Test]:
    """The test is about this row, whose line it has none to compare with."""
    row(row_id)
    return lambda test: test
