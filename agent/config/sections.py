"""The sections of `config.yaml`: every key with its type and default. README tells what each one means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, Field, model_validator

from agent.config.addresses import VendorUrl, is_loopback
from agent.config.approval import ApprovalSection, AutonomySection
from agent.config.base import Seconds, Section
from agent.config.calendar import FreezeSection
from agent.config.console import ConsoleSection
from agent.config.escalation import BusinessHoursSection, Rules, SlaSection, one_spelling, reaches_nobody
from agent.config.execution import ExecutionSection
from agent.config.handoff import Handoff
from agent.config.hooks import Hooks
from agent.config.jira import Jira
from agent.config.keeptrusts import Keeptrusts
from agent.config.limits import Limits
from agent.config.mail import Mail
from agent.config.notifications import Notifications
from agent.config.people import PersonSection, SlackGroups, problem_with
from agent.config.prometheus import Prometheus
from agent.config.retention import Audit, Retention
from agent.config.secrets import Secret, SecretReference
from agent.config.sources import SourcesSection
from agent.domain.freeze import FreezeWindow
from agent.domain.outbox import Channel
from agent.domain.people import Person
from agent.domain.runbook import Autonomy


def _database_url(value: str) -> str:
    if value.startswith(("sqlite:///", "postgresql://")):
        return value
    raise ValueError("must start with sqlite:/// or postgresql://")


class Server(Section):
    """Where the daemon listens, and how people reach it."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    public_url: str = "http://localhost:8080"
    api_token: SecretReference | None = None
    stop_grace_s: Annotated[float, Field(ge=0, le=3600)] = 15.0


class DatabaseSection(Section):
    """Where everything is kept."""

    url: Annotated[str, AfterValidator(_database_url)] = "sqlite:///data/oncall.db"


class Runbooks(Section):
    """Where the runbooks are, and how far one may go that does not say so itself."""

    path: str = "runbooks"
    reload: bool = True
    default_autonomy: Autonomy = Autonomy.APPROVE


class PagerDuty(Section):
    """The source of pages (REST, webhooks) and the way to a human (Events API v2)."""

    api_url: VendorUrl = "https://api.pagerduty.com"
    events_url: VendorUrl = "https://events.pagerduty.com"
    api_token: SecretReference | None = None
    routing_key: SecretReference | None = None
    routing_keys: Mapping[str, SecretReference] = Field(default_factory=dict)
    webhook_secrets: tuple[SecretReference, ...] = ()
    allow_unsigned_webhooks: bool = False
    from_email: str = "oncall-agent@example.com"
    agent_user_id: str = ""
    timeout_s: Seconds = 5.0

    @model_validator(mode="after")
    def _pages_somewhere(self) -> PagerDuty:
        if self.routing_keys and self.routing_key is None:
            raise ValueError("routing_keys are for further services; routing_key is missing, the agent's own")
        return self


class Slack(Section):
    """Where the story is told."""

    api_url: VendorUrl = "https://slack.com/api/"
    bot_token: SecretReference | None = None
    signing_secret: SecretReference | None = None
    app_token: SecretReference | None = None
    channel: str = "#incidents"
    webhook_url: SecretReference | VendorUrl | None = None
    timeout_s: Seconds = 5.0
    groups: SlackGroups = Field(default_factory=dict)


class Llm(Section):
    """The optional advisor that chooses among offered runbooks, and from what confidence on one runs alone.

    The two prices (US dollars per million tokens) are for models whose price is not built in.
    """

    provider: Literal["none", "anthropic"] = "none"
    model: str | None = None
    base_url: VendorUrl | None = None
    api_key: SecretReference | None = None
    min_confidence: Annotated[float, Field(ge=0, le=1)] = 0.8
    max_raise: Annotated[float, Field(ge=0, le=1)] = 0.1
    max_candidates: Annotated[int, Field(ge=2, le=20)] = 5
    max_output_tokens: Annotated[int, Field(ge=256, le=64_000)] = 4_096
    deadline_s: Seconds = 20
    input_usd_per_million: Annotated[float, Field(ge=0)] | None = None
    output_usd_per_million: Annotated[float, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _whole(self) -> Llm:
        if self.provider == "anthropic":
            for name, hint in (("model", "claude-haiku-4-5"), ("api_key", "{env: ANTHROPIC_API_KEY}")):
                if not getattr(self, name):
                    raise ValueError(f"{name} is missing; with a provider write {name}: {hint}")
        if (self.input_usd_per_million is None) != (self.output_usd_per_million is None):
            raise ValueError("give both prices, input_usd_per_million and output_usd_per_million, or neither")
        return self


class Kubernetes(Section):
    """The cluster that kubectl steps and typed actions work on; only the metering proxy has its credentials.

    Without a kubeconfig: the agent's own KUBECONFIG, else the ServiceAccount of the pod it runs in.
    """

    kubeconfig: str | None = None
    context: str | None = None
    name: str = "default"


class Aws(Section):
    """Where AWS is; credentials come from boto3's own chain (environment, profile, role)."""

    region: str | None = None
    endpoint_url: VendorUrl | None = None
    timeout_s: Seconds = 10.0


Share = Annotated[float, Field(ge=0, le=1)]


class Incomplete(Section):
    """When a runbook that mostly escalates runs alone no more: over this share of its last runs."""

    runs: Annotated[int, Field(ge=5, le=1000)] = 10
    escalated_share: Share = 0.8


class Matching(Section):
    """Which runbook answers an alert. Rules decide; scores rank where several rules hold."""

    min_confidence: Share = 0.8
    without_rules: Literal["none", "match"] = "none"
    trusted_runbook_urls: tuple[str, ...] = ()
    incomplete: Incomplete = Incomplete()


class Flapping(Section):
    """How often the same alert may come back."""

    count: Annotated[int, Field(ge=2, le=50)] = 3
    window_s: Seconds = 3600


class EscalationSection(Section):
    """When a human is called although nothing failed."""

    flapping: Flapping = Flapping()
    recurrence_window_s: Seconds = 1200
    critical_downtime_s: Seconds = 300
    approval_timeout_s: Seconds = 900
    sla: SlaSection = SlaSection()
    business_hours: BusinessHoursSection | None = None
    routing: Rules = ()


class Intake(Section):
    """What becomes of alerts that come in together."""

    fold_same_alert: bool = True
    storm_s: Annotated[float, Field(ge=0)] = 300
    group_window_s: Annotated[float, Field(ge=0)] = 0


class HeartbeatSection(Section):
    """How the agent shows that it is alive and able to work; whoever listens pages when it falls silent."""

    url: SecretReference | VendorUrl | None = None
    authorization: SecretReference | None = None
    every_s: Annotated[float, Field(ge=1, le=3600)] = 30
    file: str | None = None


class Config(Section):
    """The whole configuration. A vendor section left out switches that integration off."""

    server: Server = Server()
    database: DatabaseSection = DatabaseSection()
    runbooks: Runbooks = Runbooks()
    pagerduty: PagerDuty | None = None
    slack: Slack | None = None
    llm: Llm = Llm()
    execution: ExecutionSection = ExecutionSection()
    kubernetes: Kubernetes = Kubernetes()
    aws: Aws = Aws()
    limits: Limits = Limits()
    matching: Matching = Matching()
    escalation: EscalationSection = EscalationSection()
    mail: Mail | None = None
    prometheus: Prometheus | None = None
    notifications: Notifications = Notifications()
    hooks: Hooks = Field(default_factory=dict)
    handoff: Handoff = Handoff()
    approval: ApprovalSection = ApprovalSection()
    autonomy: AutonomySection = AutonomySection()
    intake: Intake = Intake()
    audit: Audit = Audit()
    heartbeat: HeartbeatSection = HeartbeatSection()
    retention: Retention = Retention()
    freeze: tuple[FreezeSection, ...] = ()
    people: tuple[PersonSection, ...] = ()
    console: ConsoleSection = ConsoleSection()
    sources: SourcesSection = SourcesSection()
    keeptrusts: Keeptrusts | None = None
    jira: Jira | None = None

    @model_validator(mode="after")
    def _each_person_is_one(self) -> Config:
        if problem := problem_with(self.people):
            raise ValueError(f"people: {problem}")
        return self

    @model_validator(mode="before")
    @classmethod
    def _one_spelling(cls, data: object) -> object:
        return one_spelling(data)

    @model_validator(mode="after")
    def _routing_reaches_somebody(self) -> Config:
        services = self.pagerduty.routing_keys if self.pagerduty is not None else {}
        known = {
            "pagerduty": (services, "pagerduty.routing_keys"),
            "hook": (self.hooks, "hooks"),
            "handoff": (self.handoff.targets, "handoff.targets"),
        }
        if self.jira is not None:
            known["jira"] = ({}, "")
        if problem := reaches_nobody(self.escalation.routing, known):
            raise ValueError(problem)
        if self.keeptrusts is not None and (problem := self.keeptrusts.pages_nobody(frozenset(services))):
            raise ValueError(problem)
        return self

    def channels(self) -> frozenset[Channel]:
        """The ways on which anybody can be told anything, as configured."""
        slack, pagerduty = self.slack, self.pagerduty
        has = {
            Channel.CHAT: slack is not None and (slack.bot_token or slack.webhook_url) is not None,
            Channel.DESK: pagerduty is not None and pagerduty.api_token is not None,
            Channel.PAGER: pagerduty is not None and pagerduty.routing_key is not None,
            Channel.MAIL: self.mail is not None,
            Channel.HOOK: bool(self.hooks),
            Channel.HANDOFF: bool(self.handoff.targets or self.handoff.accept_from),
            Channel.NOTICE: slack is not None and slack.bot_token is not None,
            Channel.TICKET: self.jira is not None,
            Channel.KEEPTRUSTS: self.keeptrusts is not None and self.keeptrusts.api_token is not None,
        }
        return frozenset(channel for channel, is_there in has.items() if is_there)

    @property
    def console_is_on(self) -> bool:
        """Whether the console is there: on loopback unless switched off, beyond it only switched on."""
        enabled = self.console.enabled
        return is_loopback(self.server.host) if enabled is None else enabled

    @property
    def pages_url(self) -> str:
        """Where links for people begin: the console's pages; without it, the same things as JSON."""
        base = self.server.public_url.rstrip("/")
        return f"{base}/console" if self.console_is_on else f"{base}/api/v1"

    @property
    def is_https(self) -> bool:
        """Whether people reach the agent by https."""
        return urlsplit(self.server.public_url).scheme == "https"

    def person(self, name: str) -> Person | None:
        """Somebody by their name in large or small letters; None if nobody is so called."""
        wanted = name.casefold()
        return next((each.person() for each in self.people if each.name.casefold() == wanted), None)

    def freezes(self) -> tuple[FreezeWindow, ...]:
        """The calendar of windows in which nothing is changed, or only with a human's yes."""
        return tuple(each.window() for each in self.freeze)

    def secret_references(self) -> Iterator[tuple[str, SecretReference]]:
        """(key path, reference) of every secret that the configuration names."""
        yield from _references(self, "")

    def audit_path(self) -> Path:
        """The file of the audit log."""
        if self.audit.path is not None:
            return Path(self.audit.path)
        return self._data_folder() / "audit.jsonl"

    def heartbeat_path(self) -> Path:
        """The file that says when the agent was last well."""
        file = self.heartbeat.file
        return Path(file) if file else self.audit_path().with_name("heartbeat.json")

    def archive_path(self) -> Path:
        """The folder of the archives."""
        return Path(self.retention.archive) if self.retention.archive else self._data_folder() / "archive"

    def _data_folder(self) -> Path:
        sqlite = self.database.url.removeprefix("sqlite:///")
        return Path(sqlite).parent if sqlite != self.database.url else Path("data")

    def needs(self, key_path: str) -> bool:
        """Whether a secret is used by what is switched on; one that is not may be unset."""
        if key_path == "llm.api_key":
            return self.llm.provider != "none"
        return key_path != "slack.signing_secret"

    def secret(self, reference: SecretReference | None) -> Secret | None:
        """The value behind a reference; `load` has made sure that it is there."""
        return None if reference is None else reference.resolve()


def _references(value: object, prefix: str) -> Iterator[tuple[str, SecretReference]]:
    if isinstance(value, SecretReference):
        yield prefix, value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _references(getattr(value, name), f"{prefix}.{name}" if prefix else name)
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _references(item, f"{prefix}[{index}]")
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _references(item, f"{prefix}.{name}")
