"""`jira:` in `config.yaml`: where tickets are opened, how they are filled, and how they end.

{url: https://example.atlassian.net, email: oncall-agent@example.com, api_token: {env: JIRA_API_TOKEN},
 project: AIGOV, webhook_secrets: [{env: JIRA_WEBHOOK_SECRET}],
 fields: {escalation_id: customfield_10100, policy_name: customfield_10101}}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from agent.config.addresses import VendorUrl
from agent.config.base import Seconds, Section
from agent.config.secrets import SecretReference
from agent.domain.people import Role
from agent.domain.queue import Action, Origin, Rank

Name = Annotated[str, Field(min_length=1, max_length=255)]
FieldId = Annotated[str, Field(pattern=r"^customfield_[0-9]{1,10}$")]
ProjectKey = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{1,254}$")]

#: What Keeptrusts' escalations are filled into, by the names that its guide gives these fields.
FIELD_NAMES: Mapping[str, str] = {
    "escalation_id": "Escalation ID",
    "policy_name": "Policy Name",
    "model": "Model",
    "gateway_id": "Gateway ID",
    "console_url": "Console URL",
}


class JiraFields(Section):
    """The ids of custom fields: they differ in every Jira, `doctor` looks them up by name."""

    escalation_id: FieldId | None = None
    policy_name: FieldId | None = None
    model: FieldId | None = None
    gateway_id: FieldId | None = None
    console_url: FieldId | None = None

    def by_name(self) -> dict[str, str]:
        """The id of each field that is configured, under its name."""
        given = {FIELD_NAMES[name]: getattr(self, name) for name in FIELD_NAMES}
        return {name: field_id for name, field_id in given.items() if field_id is not None}


class JiraPriorities(Section):
    """The names of Jira's priorities; an empty one leaves it to the project."""

    critical: str = "Highest"
    high: str = "High"
    medium: str = "Medium"
    low: str = "Low"

    def of(self, rank: Rank) -> str:
        """The priority of an escalation of this rank."""
        name: str = getattr(self, rank.value)
        return name


class JiraIssueTypes(Section):
    """The names of Jira's issue types."""

    block: Name = "Bug"
    other: Name = "Task"
    escalation: Name = "Task"
    action_item: Name = "Task"


class JiraClosing(Section):
    """How a ticket is brought to its end: transitions by their name or that of the status they lead to.

    The first of `finish` that is open is taken, else the first of `on_the_way` that was not yet, and so on.
    """

    finish: Annotated[tuple[Name, ...], Field(min_length=1)] = ("Resolved", "Done", "Closed")
    on_the_way: tuple[Name, ...] = ("In Progress", "Under Review")
    false_positive: tuple[Name, ...] = ("False Positive",)
    resolutions: Mapping[Action, Name] = Field(
        default_factory=lambda: {
            Action.ALLOW: "False Positive",
            Action.FALSE_ALARM: "False Positive",
        }
    )
    otherwise: Name = "Done"

    def resolution(self, action: str) -> str:
        """Jira's word for how it was settled."""
        known = {each.value: name for each, name in self.resolutions.items()}
        return known.get(action, self.otherwise)


_ANSWERS = {"False Positive": (Action.ALLOW, Action.FALSE_ALARM)}


class JiraAnswer(Section):
    """What a resolution, or a status, of Jira's means: for Keeptrusts' escalations, and for our own."""

    keeptrusts: Action = Action.BLOCK
    agent: Action = Action.FIXED_BY_HAND

    def of(self, origin: Origin) -> Action:
        """The action for an escalation of this origin."""
        return self.keeptrusts if origin is Origin.KEEPTRUSTS else self.agent


def _usual_answers() -> dict[str, JiraAnswer]:
    return {name: JiraAnswer(keeptrusts=kt, agent=own) for name, (kt, own) in _ANSWERS.items()}


class Jira(Section):
    """The tracker. Without an email the token is sent as a bearer: a personal access token, or OAuth 2.0."""

    url: VendorUrl
    site_url: VendorUrl | None = None
    deployment: Literal["cloud", "data_center"] = "cloud"
    email: str = ""
    api_token: SecretReference
    project: ProjectKey = "AIGOV"
    timeout_s: Seconds = 10.0
    search_lag_s: Annotated[float, Field(ge=0, le=3600)] = 90.0
    keeptrusts: bool = True
    fields: JiraFields = JiraFields()
    priorities: JiraPriorities = JiraPriorities()
    issue_types: JiraIssueTypes = JiraIssueTypes()
    labels: tuple[Name, ...] = ()
    closing: JiraClosing = JiraClosing()
    webhook_secrets: tuple[SecretReference, ...] = ()
    allow_unsigned_webhooks: bool = False
    done_statuses: tuple[Name, ...] = ("Resolved", "False Positive", "Done", "Closed")
    answers: Mapping[str, JiraAnswer] = Field(default_factory=_usual_answers)
    otherwise: JiraAnswer = JiraAnswer()
    role: Role = Role.RESPONDER

    @model_validator(mode="after")
    def _answers_settle(self) -> Jira:
        for name, answer in {**self.answers, "otherwise": self.otherwise}.items():
            if answer.keeptrusts not in _KEEPTRUSTS or answer.agent not in _OWN:
                raise ValueError(
                    f"answers.{name}: keeptrusts takes {_either(_KEEPTRUSTS)}, agent takes {_either(_OWN)}"
                )
        return self

    def answer(self, *words: str) -> JiraAnswer:
        """What the first of these words that is known means; a word is a resolution's or a status's name."""
        known = {name.casefold(): each for name, each in self.answers.items()}
        return next((known[word.casefold()] for word in words if word.casefold() in known), self.otherwise)

    def is_done(self, status: str, category: str) -> bool:
        """Whether an issue of this status has ended: by Jira's own category, or by the names above."""
        return category == "done" or status.casefold() in {each.casefold() for each in self.done_statuses}


_KEEPTRUSTS = (Action.ALLOW, Action.BLOCK, Action.REDACT_AND_ALLOW)
_OWN = (Action.FIXED_BY_HAND, Action.FALSE_ALARM)


def _either(actions: tuple[Action, ...]) -> str:
    return " or ".join(action.value for action in actions)
