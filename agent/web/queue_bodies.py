"""What a change of the queue by API must say; the API's description is made from it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from agent.domain.queue import Action, Rank
from agent.web.bodies import Name

#: A request to a model with its answer and context; more is cut by whoever sends it.
MAX_RECEIVED_BYTES = 1024 * 1024

_Line = Annotated[str, Field(max_length=500)]


def _word(kind: type[Action] | type[Rank]) -> BeforeValidator:
    """One of the words; strict reading would want the value itself, which JSON has not."""
    return BeforeValidator(lambda value: kind(value) if value in set(kind) else value)


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    by: Name | None = None


class Claim(_Body):
    """Make it mine."""


class Release(_Body):
    """Give it back to the queue."""


class Reassign(_Body):
    """Put it before somebody else."""

    to: Annotated[
        str,
        Field(
            min_length=1, max_length=200, description="A person, team:x, pagerduty:x, slack:#x, an address"
        ),
    ]


class Further(_Body):
    """One level up, with the whole of its time again."""

    to: Annotated[str, Field(max_length=200, description='Left out: whom its rule names ("on_breach")')] = ""
    note: Annotated[str, Field(max_length=10_000)] = ""


class Resolve(_Body):
    """Settle it."""

    action: Annotated[Action, _word(Action)]
    note: Annotated[str, Field(min_length=1, max_length=10_000, description="What was found, what was done")]
    runbook: Annotated[str, Field(max_length=200, description="The one that was run")] = ""
    what_was_done: Annotated[
        str, Field(max_length=10_000, description="The commands, a line each: a runbook is drafted from them")
    ] = ""


class Receive(_Body):
    """One that another system calls humans for. `id` is the sender's own: sent again it is the same one."""

    id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]
    trigger: Annotated[str, Field(min_length=1, max_length=200)]
    title: Annotated[str, Field(min_length=1, max_length=500)]
    severity: Annotated[Rank, _word(Rank)]
    policy_rule: _Line = ""
    service: _Line = ""
    team: _Line = ""
    consumer: _Line = ""
    consumer_group: _Line = ""
    facts: Annotated[
        dict[str, Any],
        Field(
            description="For whoever reviews it: original_request, policy_match, ai_response, context, raw"
        ),
    ] = Field(default_factory=dict)
