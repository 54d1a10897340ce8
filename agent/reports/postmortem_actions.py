"""What is to be done so that it does not happen again: one rule for each fact that asks for something."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from agent.domain.decision_event import HIGH_BLOCK_RATE
from agent.domain.decisions import Attempt, AttemptEnd, EscalationTrigger
from agent.domain.incident import EventKind
from agent.domain.postmortem import ActionItem
from agent.domain.queue import Action
from agent.reports.postmortem_facts import Facts
from agent.reports.summary import duration

#: The same alert so often in one incident is a source that repeats itself.
_REPEATED = 5


def actions(facts: Facts) -> tuple[ActionItem, ...]:
    """Every one once, in the order in which they would be worked on."""
    found = [
        *_by_trigger(facts),
        *_by_settlement(facts),
        *_by_sla(facts),
        *_by_attempts(facts),
        *_by_runbook(facts),
        *_by_events(facts),
        *_by_source(facts),
    ]
    return tuple({each.text: each for each in reversed(found)}.values())[::-1]


Rule = Callable[[Facts, str], ActionItem]


def _write_runbook(facts: Facts, why: str) -> ActionItem:
    return ActionItem(f"Write a runbook for “{facts.alert.title}” on {facts.service}", why)


def _tell_apart(facts: Facts, why: str) -> ActionItem:
    asked = facts.last(EventKind.AMBIGUOUS)
    offered = asked.data.get("choices") if asked is not None else None
    names = [str(each[0]) for each in offered if each] if isinstance(offered, list) else []
    both = " and ".join(names[:3]) or "the runbooks that fit"
    return ActionItem(f"Make the trigger conditions of {both} exclude each other", why)


def _find_cause(facts: Facts, why: str) -> ActionItem:
    return ActionItem(f"Find out what makes “{facts.alert.title}” come back, and mend that", why)


def _settle_refusal(facts: Facts, why: str) -> ActionItem:
    return ActionItem(
        f"Change what a guard refused in {facts.runbook or 'the runbook'}, or allow it after a review", why
    )


def _mend_step(facts: Facts, why: str) -> ActionItem:
    failed = facts.not_good
    what = f"{facts.named(failed[-1])} of " if failed else ""
    return ActionItem(f"Mend {what}{facts.runbook or 'the runbook'}, or what it works on", why)


def _name_outcome(facts: Facts, why: str) -> ActionItem:
    unknown = [each for each in facts.not_good if each.end is AttemptEnd.OUTCOME_UNKNOWN]
    what = facts.named(unknown[-1]) if unknown else "the step that was interrupted"
    return ActionItem(f"Look whether {what} took effect, and give {facts.runbook} a step that shows it", why)


def _answer_in_time(facts: Facts, why: str) -> ActionItem:
    return ActionItem(f"Settle who answers in time whether {facts.runbook or 'a plan'} may run", why)


def _reject(facts: Facts, why: str) -> ActionItem:
    said_no = facts.last(EventKind.APPROVAL_REJECTED)
    who = person(said_no.actor) if said_no is not None else "whoever said no"
    return ActionItem(f"Ask {who} what is wrong with the plan, and change {facts.runbook}", why)


def _complete(facts: Facts, why: str) -> ActionItem:
    return ActionItem(
        f"Add to {facts.runbook} what really ends it: its steps worked and the fault stayed", why
    )


def _shorten(facts: Facts, why: str) -> ActionItem:
    return ActionItem(f"Make {facts.runbook} shorter, or give it the time that it takes", why)


def _decide_autonomy(facts: Facts, why: str) -> ActionItem:
    return ActionItem(f"Decide how far {facts.runbook} may go without a human", why)


def _mend_agent(_: Facts, why: str) -> ActionItem:
    return ActionItem("Find out in the agent's own log why it failed", why)


def _go_on(_: Facts, why: str) -> ActionItem:
    return ActionItem("Look whether what held the agent back still has to", why)


_BY_TRIGGER: dict[str, Rule] = {
    EscalationTrigger.NO_MATCH: _write_runbook,
    EscalationTrigger.AMBIGUOUS: _tell_apart,
    EscalationTrigger.FLAPPING: _find_cause,
    EscalationTrigger.RECURRENCE: _find_cause,
    EscalationTrigger.REFUSED: _settle_refusal,
    EscalationTrigger.STEP_FAILED: _mend_step,
    EscalationTrigger.STOPPED_BY_RUNBOOK: _mend_step,
    EscalationTrigger.DEADLINE: _shorten,
    EscalationTrigger.OUTCOME_UNKNOWN: _name_outcome,
    EscalationTrigger.APPROVAL_EXPIRED: _answer_in_time,
    EscalationTrigger.APPROVAL_REJECTED: _reject,
    EscalationTrigger.NOT_VERIFIED: _complete,
    EscalationTrigger.NOT_AUTONOMOUS: _decide_autonomy,
    EscalationTrigger.KILL_SWITCH: _go_on,
    EscalationTrigger.FREEZE: _go_on,
    EscalationTrigger.STUCK: _mend_agent,
    EscalationTrigger.AGENT_ERROR: _mend_agent,
}


def _by_trigger(facts: Facts) -> Iterator[ActionItem]:
    """What called a human asks for something by itself."""
    item = facts.item
    if item is None:
        return
    settled = item.resolution
    if settled is not None and settled.action is Action.FALSE_ALARM:
        return  # what is wrong is the alert
    rule = _BY_TRIGGER.get(item.trigger)
    if rule is not None:
        yield rule(facts, item.reason)


def _by_settlement(facts: Facts) -> Iterator[ActionItem]:
    """What the human who settled it said asks for more."""
    item = facts.item
    settled = item.resolution if item is not None else None
    if item is None or settled is None:
        return
    if settled.action is Action.FALSE_ALARM:
        yield ActionItem(
            f"Tune the alert “{facts.alert.title}” at {facts.alert.source}",
            f"{settled.by}: a false alarm, “{settled.note}”",
        )
    if settled.action is Action.NEEDS_RUNBOOK:
        yield _write_runbook(facts, f"{settled.by} asked for one: “{settled.note}”")
    if settled.action is Action.FIXED_BY_HAND and item.facts.get("what_was_done"):
        yield ActionItem(
            f"Review the draft runbook of what {settled.by} did by hand, and put it into force",
            "what was done is kept with the escalation, and a draft is made of it",
        )
    if settled.action is Action.RAN_RUNBOOK and settled.runbook and settled.runbook != facts.runbook:
        yield ActionItem(
            f"Let {settled.runbook} answer this alert by itself: widen its trigger conditions",
            f"{settled.by} ran it by hand",
        )


def _by_sla(facts: Facts) -> Iterator[ActionItem]:
    item, ended = facts.item, facts.ended_at
    if item is None:
        return
    if item.breached_at is None and (ended is None or ended <= item.deadline):
        return
    had = duration((item.deadline - item.created_at).total_seconds())
    whose = f"rule {item.rule}" if item.rule else "the rule"
    yield ActionItem(
        f"Settle who takes escalations of {whose} in time (now {item.target})",
        f"the SLA of {had} was missed",
    )


def _by_attempts(facts: Facts) -> Iterator[ActionItem]:
    """A step that worked at the second try only will not work at all one day."""
    if not facts.is_resolved:
        return
    unsteady: dict[str, Attempt] = {facts.named(each): each for each in facts.not_good}
    for name, last in unsteady.items():
        yield ActionItem(f"Look why {name} of {facts.runbook} does not work at once", last.reason)


def _by_runbook(facts: Facts) -> Iterator[ActionItem]:
    plan = facts.case.plan
    if facts.is_resolved and plan is not None and not plan.verify:
        yield ActionItem(
            f"Give {facts.runbook} a Verify section", "it was resolved without looking whether it is fixed"
        )


def _by_events(facts: Facts) -> Iterator[ActionItem]:
    events = facts.case.events
    peak = events.peak if events is not None else None
    if events is None or peak is None or not events.policies or peak.blocked_share < HIGH_BLOCK_RATE:
        return
    first = events.policies[0]
    share = f"at its height {peak.blocked_share:.0%} of the requests were blocked"
    yield ActionItem(
        f"Add policy behaviour tests for {first.name}", f"{share}; it blocked {first.blocked:,} in all"
    )
    if events.wrong:
        yield ActionItem(
            "Let a changed policy reach a part of the traffic first, and fall back above a block rate",
            f"{events.wrong:,} blocked requests were wrong, as reviewers said",
        )


def _by_source(facts: Facts) -> Iterator[ActionItem]:
    count = facts.incident.alert_count
    if count >= _REPEATED:
        yield ActionItem(
            f"Have {facts.alert.source} tell of “{facts.alert.title}” once",
            f"the same alert came {count} times",
        )


def person(actor: str) -> str:
    """Somebody by their name alone; what they spoke by stands behind it."""
    return actor.partition(" (")[0]
