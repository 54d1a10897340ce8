"""The laws of escalations, tickets, hand-overs, bypasses and notices: what their receivers saw."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from agent.domain.outbox import (
    AnswerHandOver,
    AnswerKeeptrusts,
    ChannelNotice,
    CloseTicket,
    CommentTicket,
    HandOver,
    HookNotice,
    MailHuman,
    Message,
    OpenTicket,
    PageHuman,
)
from agent.domain.queue import QueueStatus
from agent.simulators.jira import OWN_NAME
from agent.simulators.jira_state import DONE, SimulatedIssue
from agent.simulators.server import Recorded
from tests.acceptance.crash_vendors import GOVERNED
from tests.acceptance.crash_world import World

M = TypeVar("M")

#: A message that calls a human to an escalation.
_CALLS = (PageHuman, MailHuman, ChannelNotice, HookNotice, OpenTicket, HandOver)


class Further:
    """What was written down, and what arrived."""

    def __init__(self, made: World, messages: Sequence[Message]) -> None:
        self.made = made
        self.messages = messages

    def broken(self) -> Iterator[str]:
        yield from self._queue_laws()
        yield from self._ticket_laws()
        yield from self._answer_laws()
        yield from self._notice_laws()
        yield from self._handoff_laws()
        yield from self._bypass_laws()
        yield from self._press_laws()

    def doubled(self) -> int:
        """Messages in further channels that stand there more often than they were written."""
        return sum((self._stands() - self._noticed()).values())

    def does(self) -> Iterator[str]:
        """What the restarted agent did because of the crash, from what its receivers saw."""
        vendors = self.made.vendors
        if vendors.jira is not None and vendors.jira.requests("/rest/api/3/search"):
            yield "looks for the ticket in Jira"
        if len(self._answers_taken()) > len(self._of(AnswerKeeptrusts)):
            yield "answers Keeptrusts again, which says that it has it"
        if vendors.mailbox is not None and _has_twice(vendors.mailbox.got):
            yield "sends the mail again with the same `Message-ID`"
        if vendors.hooks is not None and _has_twice(each["key"] for each in vendors.hooks.notifications):
            yield "tells the hook again under the same key"
        if vendors.platform is not None and _has_twice(path for path, _ in vendors.platform.posted):
            yield "posts to the other agent again under the same key"
        if self.made.done & {"hour"} and self.made.scenario.ends == {"resolved": 0}:
            yield "ends the bypass at its time"

    def _answers_taken(self) -> list[Recorded]:
        keeptrusts = self.made.vendors.keeptrusts
        asked = [] if keeptrusts is None else keeptrusts.requests("/v1/escalations")
        return [each for each in asked if each.path.endswith("/resolve")]

    def _of(self, kind: type[M]) -> list[M]:
        return [each for each in self.messages if isinstance(each, kind)]

    def _queue_laws(self) -> Iterator[str]:
        """Whatever waits for a human has called one; what a human settles is over."""
        for row in self.made.rows("SELECT incident_id, status FROM escalations"):
            if self.made.scenario.settled and not QueueStatus(row["status"]).is_over:
                yield f"the escalation {row['incident_id']} is not over: {row['status']}"
        if self.made.rows("SELECT status FROM escalations") and not any(map(self._of, _CALLS)):
            yield "an escalation called nobody"

    def _ticket_laws(self) -> Iterator[str]:
        """One ticket a key; what was said of it is said once; it is closed once."""
        jira = self.made.vendors.jira
        if jira is None:
            return
        keys = {each.key for each in self._of(OpenTicket)}
        if len(jira.issues()) != len(keys):
            yield f"{len(jira.issues())} tickets for {sorted(keys)}"
        known = self.made.rows("SELECT key FROM tickets WHERE opened_at IS NOT NULL")
        if sorted(row["key"] for row in known) != sorted(keys):
            yield "a ticket that stands in Jira is not known"
        for issue in jira.issues():
            yield from self._issue_laws(issue, jira.hooks.told)

    def _issue_laws(self, issue: SimulatedIssue, hooks: Sequence[Any]) -> Iterator[str]:
        said = Counter(json.dumps(each, sort_keys=True) for each in issue.comments)
        written = len(self._of(CommentTicket)) + len(self._of(CloseTicket))
        if sum(said.values()) > max(len(said), written):
            yield f"{sum(said.values())} comments on {issue.key}, {written} written"
        if [each for each, count in said.items() if count > 1]:
            yield f"a comment stands twice on {issue.key}"
        closed = [each for each in map(_move_of, hooks) if each == (issue.key, OWN_NAME)]
        if len(closed) > 1:
            yield f"{issue.key} was closed {len(closed)} times"
        if self._of(CloseTicket) and not closed and not self.made.done & {"close"}:
            yield f"{issue.key} was never closed"

    def _answer_laws(self) -> Iterator[str]:
        """Keeptrusts is answered once, with what the human said; it may be asked again, and says so."""
        keeptrusts = self.made.vendors.keeptrusts
        if keeptrusts is None:
            return
        taken = self._answers_taken()
        answers = {each.escalation_id: each for each in self._of(AnswerKeeptrusts)}
        if len(answers) != len(self._of(AnswerKeeptrusts)):
            yield "an answer was written twice"
        if sum(each.status < 300 for each in taken) != len(answers):
            yield f"{len(taken)} answers came to Keeptrusts, {len(answers)} were written"
        for escalation_id, answer in answers.items():
            found = keeptrusts.escalation(escalation_id)
            if (found.status, found.resolution) != ("resolved", answer.resolution):
                yield f"Keeptrusts has {found.status} {found.resolution} for {escalation_id}"

    def _notice_laws(self) -> Iterator[str]:
        """Mails and hooks are known by their key; in a channel each stands once."""
        mailbox, hooks = self.made.vendors.mailbox, self.made.vendors.hooks
        if mailbox is not None:
            wanted = {(each.key, to) for each in self._of(MailHuman) for to in each.to}
            if len(set(mailbox.got)) != len(wanted):
                yield f"{len(set(mailbox.got))} mails, {len(wanted)} written"
        if hooks is not None:
            got = {str(each.get("key") or each.get("id")) for each in hooks.notifications}
            if got != {each.key for each in self._of(HookNotice)}:
                yield f"hooks were told {sorted(got)}"
        if self._stands() != self._noticed():
            yield f"channels say {dict(self._stands())}, written {dict(self._noticed())}"

    def _stands(self) -> Counter[str]:
        return Counter(each.text for each in self.made.slack.messages("security"))

    def _noticed(self) -> Counter[str]:
        return Counter(each.text for each in self._of(ChannelNotice))

    def _handoff_laws(self) -> Iterator[str]:
        """Asked and answered under one key; not at all once a human has it."""
        platform = self.made.vendors.platform
        if platform is None:
            return
        asked = {str(each["key"]) for each in platform.packages()}
        if not asked <= {each.key for each in self._of(HandOver)}:
            yield f"the other agent was asked {sorted(asked)}"
        if self.made.status() == "stood_down" and asked:
            yield "the other agent has what a human took"
        said = {(str(each["key"]), str(each["outcome"])) for each in platform.answers()}
        if said != {(each.key, each.outcome) for each in self._of(AnswerHandOver)}:
            yield f"the other agent was answered {sorted(said)}"

    def _bypass_laws(self) -> Iterator[str]:
        """Applied once at most, and over: what was in force before is in force."""
        gateways = self.made.vendors.gateways
        if gateways is None:
            return
        if gateways.current["cfg_main"] != GOVERNED or self.made.rows("SELECT * FROM keeptrusts_bypasses"):
            yield "a bypass is left"
        applied = [text for text in gateways.versions["cfg_main"].values() if "flag" in text]
        if len(applied) > 1:
            yield f"a bypass was applied {len(applied)} times"

    def _press_laws(self) -> Iterator[str]:
        """Each person's yes counts once."""
        votes = self.made.rows("SELECT * FROM votes")
        people = [row["by"] for row in votes]
        if len(people) != len(set(people)):
            yield f"somebody's yes counts twice: {people}"


def _has_twice(names: Iterable[object]) -> bool:
    return any(count > 1 for count in Counter(names).values())


def _move_of(hook: Any) -> tuple[str, str] | None:
    """(issue, who) of a webhook of Jira's that tells of an end."""
    body: Mapping[str, Any] = json.loads(hook.raw)
    moves = [each["toString"] for each in body["changelog"]["items"] if each["field"] == "status"]
    if not set(moves) & DONE:
        return None
    return str(body["issue"]["key"]), str(body["user"]["displayName"])
