"""What another agent posts, as this one takes it: what is not known is left out, so that newer ones can talk.

Nothing in it is run or believed: of a package the alert alone becomes an incident, with our own matching and
guards, and everything else is shown to people.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from agent.domain.alert import Severity, Urgency
from agent.domain.handoffs import Outcome

#: A whole package with every output; more is no evidence.
MAX_BODY_BYTES = 2 * 1024 * 1024

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]
Key = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,199}$")]
Short = Annotated[str, Field(max_length=1_000)]
Text = Annotated[str, Field(max_length=100_000)]


def _severity(value: object) -> object:
    """A word of another scale is no reason to refuse an alert."""
    return value if value in set(Severity) else None


def _urgency(value: object) -> object:
    return value if value in set(Urgency) else None


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class HandedAlert(_Part):
    """The alert as its source told it, in the sender's words."""

    source: Short = ""
    source_id: Short = ""
    title: Annotated[str, Field(min_length=1, max_length=5_000)]
    body: Text = ""
    service: Short = ""
    severity: Annotated[Severity | None, BeforeValidator(_severity)] = None
    urgency: Annotated[Urgency | None, BeforeValidator(_urgency)] = None
    priority: Short = ""
    team: Short = ""
    environment: Short = ""
    labels: Annotated[dict[Short, Text], Field(max_length=200)] = Field(default_factory=dict)
    url: Short = ""
    dedup_key: Short = ""
    fired_at: datetime | None = None
    links: Annotated[tuple[Short, ...], Field(max_length=50)] = ()


class HandedReason(_Part):
    """Why the sender stopped."""

    trigger: Short = ""
    why: Text = ""


class HandedAttempt(_Part):
    """One try of one step there, as it ended."""

    section: Short = "steps"
    step: int = 0
    number: int = 0
    end: Short = ""
    reason: Text = ""
    exit_code: int | None = None
    output: Text = ""
    error_output: Text = ""
    duration_s: float = 0.0


class Package(_Part):
    """An incident with all that is known of it, until a time."""

    type: Literal["oncall.handoff"] = "oncall.handoff"
    version: Literal[1] = 1
    key: Key
    sender: Name = Field(alias="from")
    chain: Annotated[tuple[Name, ...], Field(min_length=1, max_length=20)]
    max_hops: Annotated[int, Field(ge=1, le=20)] = 20
    deadline: AwareDatetime
    reason: HandedReason = HandedReason()
    alert: HandedAlert
    incident: dict[str, object] = Field(default_factory=dict)
    match: dict[str, object] = Field(default_factory=dict)
    plan: dict[str, object] | None = None
    attempts: Annotated[tuple[HandedAttempt, ...], Field(max_length=1_000)] = ()
    timeline: Annotated[tuple[dict[str, object], ...], Field(max_length=5_000)] = ()


class HandedAnswer(_Part):
    """What became of it: mended, or a human is needed."""

    type: Literal["oncall.handoff.answer"] = "oncall.handoff.answer"
    version: Literal[1] = 1
    key: Key
    outcome: Outcome
    words: Text = ""
    evidence: dict[str, object] = Field(default_factory=dict)
