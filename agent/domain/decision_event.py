"""What an AI gateway decided about one request, as Keeptrusts tells it: evidence, never a reason to act."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

#: What a decision is called; the verbs of a policy (`block`) mean the same as the outcome (`blocked`).
BLOCKED = "blocked"
#: Fewer requests in a minute are no rate.
LEAST_OF_A_MINUTE = 10

#: From this share of blocked requests on a gateway's block rate is an incident of its own.
HIGH_BLOCK_RATE = 0.3

_OUTCOME_OF = {
    "allow": "allowed", "pass": "allowed", "passed": "allowed", "block": BLOCKED, "deny": BLOCKED,
    "denied": BLOCKED, "escalate": "escalated", "redact": "redacted", "flag": "flagged", "log": "logged",
}  # fmt: skip


def outcome_of(word: str) -> str:
    """A decision's word in one spelling; a word that is not known stays as it is."""
    plain = word.strip().lower()
    return _OUTCOME_OF.get(plain, plain)


@dataclass(frozen=True, slots=True)
class PolicyEvaluation:
    """What one policy said about the request; `result` is an outcome."""

    policy: str
    result: str


@dataclass(frozen=True, slots=True)
class DecisionEvent:
    """One decision. The request and the answer themselves are never taken over, only who, when and what.

    `was_wrong`: a reviewer said that it should not have been blocked.
    """

    id: str
    at: datetime
    decision: str
    user: str = ""
    team: str = ""
    gateway: str = ""
    model: str = ""
    was_wrong: bool = False
    evaluations: tuple[PolicyEvaluation, ...] = ()


@dataclass(frozen=True, slots=True)
class Minute:
    """How many decisions of each kind were made within one minute, from `at` on."""

    at: datetime
    decisions: Mapping[str, int]

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.decisions.values())

    @property
    def blocked(self) -> int:
        """Those that blocked."""
        return self.decisions.get(BLOCKED, 0)

    @property
    def blocked_share(self) -> float:
        """What part of them was blocked."""
        return self.blocked / self.total if self.total else 0.0


@dataclass(frozen=True, slots=True)
class Ranked:
    """One name, and how many requests were blocked by it or for it."""

    name: str
    blocked: int


@dataclass(frozen=True, slots=True)
class GovernanceData:
    """What the events of a window come to, all of it counted by the store.

    `users` and `teams` are those of whom something was blocked; `wrong` is how many of the blocked ones a
    reviewer said were wrong, `policies` and `top_users` the ones with most blocks first.
    """

    since: datetime
    until: datetime
    total: int
    blocked: int
    wrong: int = 0
    users: int = 0
    teams: int = 0
    minutes: tuple[Minute, ...] = ()
    policies: tuple[Ranked, ...] = ()
    top_users: tuple[Ranked, ...] = ()
    decisions: Mapping[str, int] = field(default_factory=dict)

    @property
    def blocked_share(self) -> float:
        """What part of all was blocked."""
        return self.blocked / self.total if self.total else 0.0

    @property
    def peak(self) -> Minute | None:
        """The minute with the highest share of blocked requests; a handful of requests is no rate."""
        told = [each for each in self.minutes if each.total >= LEAST_OF_A_MINUTE]
        return max(told, key=lambda each: each.blocked_share, default=None)

    @property
    def wrong_share(self) -> float:
        """What part of all was blocked and should not have been."""
        return self.wrong / self.total if self.total else 0.0
