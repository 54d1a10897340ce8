"""What a simulated Jira holds: issues, their workflow, the fields and words of its project."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

#: status -> (transition's name, status that it leads to): the workflow of the guide.
WORKFLOW: Mapping[str, Sequence[tuple[str, str]]] = {
    "Open": (("Start work", "In Progress"), ("Close as false positive", "False Positive")),
    "In Progress": (("Ask for review", "Under Review"), ("Close as false positive", "False Positive")),
    "Under Review": (("Resolve", "Resolved"), ("Close as false positive", "False Positive")),
    "Resolved": (("Close", "Closed"), ("Reopen", "In Progress")),
    "False Positive": (("Close", "Closed"),),
    "Closed": (("Reopen", "In Progress"),),
}

DONE = frozenset({"Resolved", "False Positive", "Closed"})

PRIORITIES = ("Highest", "High", "Medium", "Low", "Lowest")
RESOLUTIONS = ("Done", "Won't Do", "False Positive")
ISSUE_TYPES = ("Bug", "Task", "Story")

#: id -> (name, kind): the guide's custom fields.
FIELDS: Mapping[str, tuple[str, str]] = {
    "customfield_10100": ("Escalation ID", "textfield"),
    "customfield_10101": ("Policy Name", "textfield"),
    "customfield_10102": ("Model", "textfield"),
    "customfield_10103": ("Gateway ID", "textfield"),
    "customfield_10104": ("Console URL", "url"),
}


@dataclass(slots=True)
class SimulatedIssue:
    """One issue as it stands."""

    id: str
    key: str
    fields: dict[str, Any]
    created_at: float
    status: str = "Open"
    resolution: str = ""
    comments: list[Any] = field(default_factory=list)
    is_indexed: bool = True

    @property
    def labels(self) -> list[str]:
        """Its labels."""
        return list(self.fields.get("labels") or ())

    @property
    def is_done(self) -> bool:
        """Whether it has ended."""
        return self.status in DONE


class JiraState:
    """Issues by id and key; thread-safe."""

    def __init__(self, projects: Sequence[str], workflow: Mapping[str, Sequence[tuple[str, str]]]) -> None:
        self.lock = threading.RLock()
        self.projects = tuple(projects)
        self.workflow = workflow
        self.issues: list[SimulatedIssue] = []
        #: Search does not find what is created while this is on.
        self.lags = False
        self.resolution_on_screen = True

    def create(self, fields: dict[str, Any]) -> SimulatedIssue:
        """A new issue; it was checked before."""
        with self.lock:
            number = len(self.issues) + 1
            key = f"{fields['project']['key']}-{number}"
            issue = SimulatedIssue(str(10_000 + number), key, fields, time.time(), is_indexed=not self.lags)
            self.issues.append(issue)
            return issue

    def find(self, id_or_key: str) -> SimulatedIssue | None:
        """One issue."""
        with self.lock:
            return next((each for each in self.issues if id_or_key in (each.id, each.key)), None)

    def labelled(self, label: str, project: str) -> list[SimulatedIssue]:
        """What search finds in a project, or in all of them, oldest first."""
        with self.lock:
            indexed = [each for each in self.issues if each.is_indexed and label in each.labels]
            return [each for each in indexed if project in ("", each.fields["project"]["key"])]

    def transitions(self, issue: SimulatedIssue) -> list[dict[str, Any]]:
        """Those that are open now, with the fields of their screens."""
        return [self._transition(name, to) for name, to in self.workflow.get(issue.status, ())]

    def _transition(self, name: str, to: str) -> dict[str, Any]:
        screen: dict[str, Any] = {}
        if to in DONE and self.resolution_on_screen:
            allowed = [{"id": str(at), "name": each} for at, each in enumerate(RESOLUTIONS, 1)]
            schema = {"type": "resolution", "system": "resolution"}
            screen["resolution"] = {
                "required": True,
                "name": "Resolution",
                "key": "resolution",
                "operations": ["set"],
                "schema": schema,
                "allowedValues": allowed,
            }
        return {"id": transition_id(name, to), "name": name, "to": status_body(to), "fields": screen}


def transition_id(name: str, to: str) -> str:
    """Numbers that differ for each workflow, as in Jira."""
    return str(11 + sum(map(ord, name + to)) % 900)


def status_body(name: str) -> dict[str, Any]:
    """A status as Jira tells it."""
    if name in DONE:
        category = {"id": 3, "key": "done", "name": "Done", "colorName": "green"}
    elif name == "Open":
        category = {"id": 2, "key": "new", "name": "To Do", "colorName": "blue-gray"}
    else:
        category = {"id": 4, "key": "indeterminate", "name": "In Progress", "colorName": "yellow"}
    return {"id": str(sum(map(ord, name))), "name": name, "statusCategory": category}


def moment(at: float) -> str:
    """A time as Jira writes it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")
