"""An alert as the ranking reads it: its name, what it says, and what it is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agent.domain.alert import Alert

#: Labels that say how bad it is or who is told, not what it is about.
_ABOUT_NOTHING = frozenset({"alertname", "severity", "alert_type", "pager", "priority", "urgency"})


@dataclass(frozen=True, slots=True)
class Question:
    """Which runbook answers this? `name` is "" when the alert has no identifier of its own."""

    name: str
    summary: str = ""
    description: str = ""
    about: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Everything it says in words."""
        return f"{self.name} {self.summary} {self.description}"


def about(labels: Mapping[str, str]) -> tuple[str, ...]:
    """Label values that name a thing; templates name nothing."""
    return tuple(
        str(value) for key, value in labels.items() if key not in _ABOUT_NOTHING and "{{" not in str(value)
    )


def question_of(alert: Alert) -> Question:
    """The alert's name is its `alertname` label, else a title that is one single word."""
    title = alert.title.strip()
    name = alert.labels.get("alertname", "") or (title if title and " " not in title else "")
    things = (alert.service, alert.team, *about(alert.labels))
    return Question(name, title, alert.body, tuple(thing for thing in things if thing))
