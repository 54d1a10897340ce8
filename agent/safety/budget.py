"""What a limit still allows. Pure: keeping charges is the store's work."""

from __future__ import annotations

from dataclasses import dataclass

from agent.domain.command import Refusal


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit by the name that people know it by, such as `max_pod_restarts`."""

    name: str
    maximum: int


def over(limit: Limit, *, used: int, asked: int, by: str = "") -> Refusal | None:
    """None if it fits; else the limit, what is used (and by whom), and what was asked."""
    if used + asked <= limit.maximum:
        return None
    users = f" by {by}" if by else ""
    spent = f"{used} used{users}, " if used else ""
    hint = f"raise {limit.name} if the runbook may do this"
    return Refusal(f"{limit.name} is {limit.maximum}, {spent}this asks for {asked}", hint)
