"""What becomes of an escalation when it is made: its place in the queue, whose it is, and until when.

Pure: the configuration is handed in as a `Queueing`, the time with each call. Whoever stores the escalation
asks it within the same transaction, so that nobody was ever called without a place in the queue.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from agent.domain.alert import Alert
from agent.domain.handoffs import HANDOFF_SOURCE
from agent.domain.incident import MANUAL_SOURCE
from agent.domain.outbox import Channel
from agent.domain.people import Person
from agent.domain.queue import RECEIVED_PREFIX, Escalated, Origin, Rank, queue_id, rank_of
from agent.domain.records import Escalation
from agent.escalations.routing import Criteria, Passed, Route, Rule, Subject, route
from agent.escalations.sla import Sla
from agent.escalations.tickets import WAY, Ticketing

#: Whose an escalation is where no rule is configured.
CATCH_ALL = Rule("built-in", Criteria(), "team:on-call")

#: Says of an escalation that somebody ran the runbook by hand and saw how it ended, or that the agent which
#: handed it over calls its own human: nobody else is told.
BY_HAND = "by_hand"

_PERSON_LIKE = ("team:", "pagerduty:", "slack:")

#: How targets begin that are other agents: they are asked before anybody has a place in the queue.
HANDOFF_PREFIX = "handoff:"


@dataclass(frozen=True, slots=True)
class Queueing:
    """What the configuration says about the queue.

    `channels` are the ways on which anybody can be told anything, `pager_targets` the names of the services
    of PagerDuty that have a routing key of their own, `hooks` and `handoffs` those of other systems and
    agents. `slas` are the times of origins that have their own.
    """

    sla: Sla = field(default_factory=Sla)
    slas: Mapping[Origin, Sla] = field(default_factory=dict)
    rules: tuple[Rule, ...] = (CATCH_ALL,)
    people: tuple[Person, ...] = ()
    channels: frozenset[Channel] = frozenset()
    pager_targets: frozenset[str] = frozenset()
    hooks: frozenset[str] = frozenset()
    handoffs: frozenset[str] = frozenset()
    tickets: Ticketing | None = None
    pages_url: str = ""

    def entered(
        self, incident_id: str, alert: Alert, escalation: Escalation, *, runbook: str, now: datetime
    ) -> Escalated:
        """The place in the queue of an incident that ended with a human called."""
        rank = escalation.rank or rank_of(alert.severity, alert.urgency)
        subject = Subject(escalation.trigger.value, rank, runbook, "", alert.service, alert.team)
        facts = {"reason": escalation.reason, "dedup_key": escalation.dedup_key}
        if alert.source in (MANUAL_SOURCE, HANDOFF_SOURCE):
            facts[BY_HAND] = "yes"
        if escalation.message:
            facts["message"] = escalation.message
        item = Escalated(
            id=queue_id(incident_id),
            origin=Origin.AGENT,
            trigger=escalation.trigger.value,
            title=alert.title,
            rank=rank,
            created_at=now,
            amber_at=now,
            deadline=now,
            rule="",
            target="",
            incident_id=incident_id,
            runbook=runbook,
            service=alert.service,
            team=alert.team,
            facts=facts,
        )
        return self._placed(item, self.route_of(subject, escalation.routing, now).rule)

    def rule_of(
        self, alert: Alert, trigger: str, rank: Rank, *, runbook: str, wanted: str, now: datetime
    ) -> Rule:
        """The rule by which an incident of ours would have its place, other agents included."""
        subject = Subject(trigger, rank, runbook, "", alert.service, alert.team)
        return self.route_of(subject, wanted, now).rule

    def received(self, item: Escalated) -> Escalated:
        """The same for one that came from elsewhere; its own times and its target are set here."""
        subject = Subject(
            item.trigger,
            item.rank,
            item.runbook,
            item.policy_rule,
            item.service,
            item.team,
            item.consumer_group,
        )
        return self._placed(item, self.route_of(subject, "", item.created_at).rule)

    def route_of(self, subject: Subject, wanted: str, now: datetime) -> Route:
        """Whose it is; `wanted` is what the runbook's `Routing:` says, a rule's name or a target."""
        found = route(self.rules, subject, now)
        if not wanted:
            return found
        for rule in self.rules:
            if rule.name.casefold() == wanted.casefold():
                return Route(rule, (Passed("(all)", f"the runbook says Routing: {wanted}"),))
        if self.is_target(wanted):
            return Route(replace(found.rule, route_to=wanted, channel=""), found.passed)
        why = Passed("(runbook)", f"Routing: {wanted} is neither a rule's name nor a target that is known")
        return Route(found.rule, (why, *found.passed))

    def sla_of(self, origin: Origin) -> Sla:
        """The times for escalations from there."""
        return self.slas.get(origin, self.sla)

    def is_target(self, text: str) -> bool:
        """Whether a text names somebody: a person, `team:x`, `pagerduty:x`, `slack:#x`, an address, …"""
        kind, _, name = text.partition(":")
        named = {"pagerduty": self.pager_targets, "hook": self.hooks, "handoff": self.handoffs}
        if kind in named and name:
            return name in named[kind]
        if kind == WAY:
            return self.tickets is not None
        return text.startswith(_PERSON_LIKE) or "@" in text or self.person(text) is not None

    def rule_named(self, name: str) -> Rule:
        """The rule that an escalation was routed by; one that is gone leaves the catch-all."""
        return next((rule for rule in self.rules if rule.name == name), self.rules[-1])

    def person(self, name: str) -> Person | None:
        """Somebody by their name or their address."""
        wanted = name.casefold()
        return next(
            (each for each in self.people if wanted in (each.name.casefold(), each.email.casefold())), None
        )

    def addresses(self, target: str) -> tuple[str, ...]:
        """The mail addresses of a person or of everybody in a team."""
        if target.startswith("team:"):
            team = target.removeprefix("team:")
            return tuple(each.email for each in self.people if team in each.teams and each.email)
        known = self.person(target)
        if known is not None and known.email:
            return (known.email,)
        return (target,) if "@" in target else ()

    def _placed(self, item: Escalated, rule: Rule) -> Escalated:
        sla = self.sla_of(item.origin)
        return replace(
            item,
            amber_at=sla.amber_at(item.rank, item.created_at),
            deadline=sla.deadline(item.rank, item.created_at),
            respond_by=sla.respond_by(item.rank, item.created_at),
            rule=rule.name,
            target=_whose(rule),
            channel="" if rule.channel.startswith(HANDOFF_PREFIX) else rule.channel,
        )


def _whose(rule: Rule) -> str:
    """The queue holds what people have to do: what an agent was asked for before is not that agent's here."""
    if not rule.route_to.startswith(HANDOFF_PREFIX):
        return rule.route_to
    return rule.on_breach or CATCH_ALL.route_to


@dataclass(frozen=True, slots=True)
class Received:
    """An escalation as another system sends it, before it has its place.

    `given_id` is the sender's own and makes it one however often it is sent. The facts are for whoever
    reviews it: the original request, the policy match, the response, the context, the raw event.
    """

    given_id: str
    trigger: str
    title: str
    rank: Rank
    policy_rule: str = ""
    service: str = ""
    team: str = ""
    consumer: str = ""
    consumer_group: str = ""
    facts: Mapping[str, object] | None = None

    def item(self, now: datetime) -> Escalated:
        """As the queue takes it."""
        return Escalated(
            id=RECEIVED_PREFIX + self.given_id,
            origin=Origin.KEEPTRUSTS,
            trigger=self.trigger,
            title=self.title,
            rank=self.rank,
            created_at=now,
            amber_at=now,
            deadline=now,
            rule="",
            target="",
            policy_rule=self.policy_rule,
            service=self.service,
            team=self.team,
            consumer=self.consumer,
            consumer_group=self.consumer_group,
            facts=dict(self.facts or {}),
        )


def mine(person: Person) -> Sequence[str]:
    """The targets whose escalations are this person's."""
    teams = (f"team:{each}" for each in sorted(person.teams))
    return tuple(filter(None, (person.name, person.email, *teams)))
