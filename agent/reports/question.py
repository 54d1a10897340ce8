"""A question to a human as the chat shows it: what is asked, what a yes lets run, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from agent.domain.approvals import OTHERS, Vote, needs_of
from agent.domain.decisions import Plan, StandDown
from agent.domain.incident import EventKind, Incident, TimelineEvent
from agent.domain.limits import LimitUse
from agent.domain.presses import Button, PressAction
from agent.domain.records import Decision
from agent.ports import QuestionCard
from agent.reports.summary import duration, titled

#: So much of a plan's hash is shown, and names it.
_HASH_SHOWN = 12

#: What stands behind a choice's reasons where there are no buttons.
_TYPED = "; `oncall-agent"

_MOST_REASONS = 5


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of the question now. `is_last`: nothing was asked after it."""

    incident: Incident
    asked: TimelineEvent
    plan: Plan | None
    decision: Decision | None
    stand_down: StandDown | None
    votes: Sequence[Vote] = ()
    is_last: bool = True


def question(facts: Facts, *, now: datetime, pages_url: str) -> QuestionCard:
    """The question as it stands now; over, it says how and offers nothing."""
    incident, asked = facts.incident, facts.asked
    outcome = _outcome(facts, now)
    is_choice = asked.kind is EventKind.AMBIGUOUS
    first, _, rest = asked.text.partition("\n")
    return QuestionCard(
        incident_id=incident.id,
        title="Which runbook?" if is_choice else "Approval needed",
        question=titled(incident) if not is_choice else f"{titled(incident)}\n{first.partition('. ')[0]}",
        facts=_choices(rest) if is_choice else _facts(facts),
        runs="" if is_choice else "\n".join(line.strip() for line in rest.splitlines()),
        expires_at=expiry(asked),
        outcome=outcome,
        buttons=() if outcome else (_choice_buttons(asked) if is_choice else _buttons(asked)),
        hint=_hint(incident.id, is_choice=is_choice),
        url=f"{pages_url}/incidents/{incident.id}",
    )


def expiry(asked: TimelineEvent) -> datetime:
    """Until when an answer counts."""
    return datetime.fromisoformat(str(asked.data["expires_at"]))


def _outcome(facts: Facts, now: datetime) -> str:
    decision, ends = facts.decision, expiry(facts.asked)
    if decision is not None and decision.at <= ends:
        return _decided(decision, is_choice=facts.asked.kind is EventKind.AMBIGUOUS)
    if facts.stand_down is not None:
        return f"🧍 {facts.stand_down.by} {facts.stand_down.how}"
    if now > ends:
        return "⌛ Nobody answered in time; that is no rejection"
    if facts.incident.status.is_terminal:
        return f"Not asked any more: the incident is {facts.incident.status}".replace("_", " ")
    return "" if facts.is_last else "Not asked any more: something else is asked by now"


def _decided(decision: Decision, *, is_choice: bool) -> str:
    at = f"{decision.at:%H:%M:%S} UTC"
    if is_choice:
        return f"👉 {decision.by} chose {decision.choice} at {at}"
    if decision.edited is not None:
        return f"✏️ {decision.by} edited the parameters at {at}: another plan, which is asked about anew"
    if decision.rechosen:
        chosen = f"👉 {decision.by} chose {decision.rechosen} instead at {at}"
        return f"{chosen}: another plan, which is asked about anew"
    how = ", step by step," if decision.is_step_by_step else ""
    return f"{'👍 Approved' if decision.approved else '👎 Rejected'}{how} by {decision.by} at {at}"


def _facts(facts: Facts) -> tuple[tuple[str, str], ...]:
    incident = facts.incident
    plan_hash = str(facts.asked.data.get("plan_hash", ""))
    found = [
        ("Runbook", incident.runbook_id),
        ("Service", incident.alert.service),
        ("Why this runbook", "; ".join(incident.match_reasons[:_MOST_REASONS])),
        ("Blast radius", "\n".join(_use(each) for each in facts.plan.limits) if facts.plan else ""),
        ("It takes", str(needs_of(facts.asked.data))),
        ("Yes so far", ", ".join(each.by for each in facts.votes)),
        ("Plan", plan_hash[:_HASH_SHOWN]),
        ("Others that match", "\n".join(f"{name} ({sure:.2f})" for name, sure in _others(facts.asked))),
        ("Time to answer", duration((expiry(facts.asked) - facts.asked.at).total_seconds())),
    ]
    return tuple((name, value) for name, value in found if value)


def _use(use: LimitUse) -> str:
    before = f", {use.used} used before" if use.used else ""
    return f"{use.key}: asks for {use.asked} of {use.maximum}{before}, {max(use.left, 0)} left"


def _others(asked: TimelineEvent) -> list[tuple[str, float]]:
    """(runbook, confidence) of each one that may be chosen instead."""
    found = asked.data.get(OTHERS)
    return [(str(name), float(sure)) for name, sure, *_ in found] if isinstance(found, list) else []


def _choices(rest: str) -> tuple[tuple[str, str], ...]:
    """What was offered, each with what speaks for it."""
    lines: Sequence[str] = [line.strip().partition(_TYPED)[0] for line in rest.splitlines() if line.strip()]
    parted = [line.partition(": ") for line in lines]
    return tuple((name, why or "–") for name, _, why in parted)


def _buttons(asked: TimelineEvent) -> tuple[Button, ...]:
    plan_hash = str(asked.data.get("plan_hash", ""))
    by_steps = Button(PressAction.STEP_BY_STEP, "Run step by step", plan_hash)
    return (
        Button(PressAction.APPROVE, "Approve", plan_hash, is_first=True),
        *([by_steps] if asked.data.get("about") == "plan" else []),
        Button(PressAction.REJECT, "Reject", plan_hash, is_grave=True),
        Button(PressAction.TAKE_OVER, "Take over"),
        *(
            Button(PressAction.OTHER_RUNBOOK, f"Rather {name}", f"{plan_hash} {name}")
            for name, _ in _others(asked)
        ),
    )


def _choice_buttons(asked: TimelineEvent) -> tuple[Button, ...]:
    offered = asked.data.get("choices")
    names = [str(each[0]) for each in offered] if isinstance(offered, list) else []
    return (
        *(Button(PressAction.CHOOSE, name, name) for name in names),
        Button(PressAction.TAKE_OVER, "Take over"),
    )


def _hint(incident_id: str, *, is_choice: bool) -> str:
    typed = f"choose {incident_id} RUNBOOK" if is_choice else f"approve {incident_id}"
    return f"Or type /oncall {typed}, or oncall-agent {typed} where the agent runs"
