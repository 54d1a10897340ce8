"""What a change by API must say: strict JSON, nothing missing, nothing unknown; the API's description too."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from flask import abort, request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from agent.domain.stops import words
from agent.domain.strict_json import strictly_read
from agent.pipeline.answers import LEAST_OF_A_HASH

#: A change is a few words; more is no change.
MAX_BODY_BYTES = 64 * 1024


def _said(text: str) -> str:
    line = words(text)
    if not line:
        raise ValueError("must say something")
    return line


Name = Annotated[
    str,
    Field(
        min_length=1,
        max_length=100,
        description="Who says so; it is told and kept. Needless with a personal token, which is its owner's",
    ),
    AfterValidator(_said),
]
Reason = Annotated[str, Field(min_length=1, max_length=1_000, description="Why"), AfterValidator(_said)]
PlanHash = Annotated[
    str,
    StringConstraints(pattern=rf"^[0-9a-f]{{{LEAST_OF_A_HASH},64}}$"),
    Field(description="The plan that is asked about, or at least the first 12 characters of its hash"),
]


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Answer(_Body):
    """Yes or no to exactly one plan: sent again it cannot become the answer to the next question."""

    by: Name | None = None
    plan_hash: PlanHash


class Approval(Answer):
    """A yes; `step_by_step` has each step that changes something ask once more."""

    step_by_step: Annotated[bool, Field(description="Ask again before each step that changes something")] = (
        False
    )


class Parameters(_Body):
    """Other values for a plan that is asked about; another plan is made with them, and asked about."""

    by: Name | None = None
    plan_hash: PlanHash
    parameters: Annotated[
        dict[
            Annotated[str, Field(min_length=1, max_length=100)],
            Annotated[str, Field(min_length=1, max_length=1_000)],
        ],
        Field(min_length=1, max_length=50, description="Declared parameters and the values they are to have"),
    ]


class Choice(_Body):
    """Which of the offered runbooks answers it; or, where a plan is asked about, which other one."""

    by: Name | None = None
    plan_hash: PlanHash | None = None
    runbook: Annotated[str, Field(min_length=1, max_length=200, description="One of those that are offered")]


class Run(_Body):
    """A run of exactly this runbook, for the alert that is given; it always waits for a yes."""

    by: Name | None = None
    id: Annotated[
        str, Field(min_length=8, max_length=200, description="Yours: sent again it starts nothing more")
    ]
    runbook: Annotated[str, Field(min_length=1, max_length=200, description="The runbook's id")]
    title: Annotated[str, Field(max_length=200, description="What it is about"), AfterValidator(words)] = ""
    service: Annotated[str, Field(max_length=200), AfterValidator(words)] = ""
    severity: Literal["critical", "error", "warning", "info"] | None = None
    labels: Annotated[
        dict[
            Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_said)],
            Annotated[str, Field(max_length=1_000), AfterValidator(words)],
        ],
        Field(max_length=50, description="What the runbook's parameters are filled from"),
    ] = {}


class HandOver(_Body):
    """The agent stands down from the incident."""

    by: Name | None = None


class Level(_Body):
    """How far a runbook is to go alone; without `to` one level on."""

    by: Name | None = None
    reason: Reason
    to: Annotated[Literal["shadow", "suggest", "approve", "auto"] | None, Field(description="The level")] = (
        None
    )


class PutStop(_Body):
    """The kill switch: all of the agent, or one service or runbook."""

    by: Name | None = None
    reason: Reason
    scope: Literal["all", "service", "runbook"]
    name: Annotated[
        str,
        Field(max_length=200, description="The service, or the runbook's id or path"),
        AfterValidator(words),
    ] = ""
    end_running: Annotated[bool, Field(description="End what runs too")] = False


class Resume(_Body):
    """Lift a stop."""

    by: Name | None = None


B = TypeVar("B", bound=BaseModel)


class _Said(BaseModel):
    """Of any body, who says so."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)
    by: Name | None = None


def said_by() -> str:
    """Whom the body of this request names; "" if nobody."""
    return read(_Said).by or ""


def read(kind: type[B]) -> B:
    """The body of this request; whatever is wrong with it is told at once, in words."""
    try:
        given = strictly_read(request.get_data().decode())
    except (ValueError, RecursionError) as error:
        abort(400, f"the body is not JSON: {error}")
    if not isinstance(given, dict):
        abort(400, "the body must be a JSON object")
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        problems = [_problem(".".join(map(str, each["loc"])), each["msg"]) for each in error.errors()]
        abort(400, "; ".join(problems[:10]))


def _problem(key: str, message: str) -> str:
    text = message.removeprefix("Value error, ")
    return f"{key[:100]}: {text[:1].lower()}{text[1:]}"


def check_is_json() -> None:
    """Only JSON is taken: what a form or a page of another site can send without asking is not."""
    request.max_content_length = MAX_BODY_BYTES
    if request.mimetype != "application/json":
        abort(415, "send Content-Type: application/json")
