"""`config.yaml`: one `load`, frozen sections, secrets only by reference, all problems told at once."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from agent.domain.effects import EffectClass
from agent.domain.errors import ConfigError, ConfigProblem
from agent.domain.runbook import Autonomy

_AWS_REFERENCES = ("aws_ssm", "aws_secret")


class SecretReference(BaseModel):
    """Where a secret is kept: `{env: NAME}`, `{file: PATH}`, `{aws_ssm: NAME}` or `{aws_secret: NAME}`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    env: str | None = None
    file: str | None = None
    aws_ssm: str | None = None
    aws_secret: str | None = None

    @property
    def is_one(self) -> bool:
        """Whether exactly one place is named."""
        return len(self.model_fields_set) == 1

    def place(self) -> str:
        """The place in words, never the value."""
        kind = next(iter(self.model_fields_set), "nothing")
        return f"{kind} {getattr(self, kind, '')}"

    def resolve(self) -> Secret:
        """Fetch the value; ValueError in words if it is not there."""
        if self.env is not None:
            value = os.environ.get(self.env, "")
            if not value:
                raise ValueError(f"the environment variable {self.env} is not set")
        elif self.file is not None:
            path = Path(self.file)
            if not path.is_file():
                raise ValueError(f"the file {self.file} does not exist")
            value = path.read_text(encoding="utf-8").strip()
        else:
            raise ValueError("secrets from AWS are not supported by this build; use env or file")
        if not value:
            raise ValueError(f"{self.place()} is empty")
        return Secret(value)


class Secret:
    """A secret's value; shows itself as *** everywhere but in `reveal()`."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value, for the one call that needs it."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__


def is_loopback(host: str) -> bool:
    """Whether a host name or address never leaves this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _vendor_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme == "https" and parts.hostname:
        return value
    if parts.scheme == "http" and parts.hostname and is_loopback(parts.hostname):
        return value
    raise ValueError("must be an https:// URL (plain http:// only for a loopback host)")


def _database_url(value: str) -> str:
    if value.startswith(("sqlite:///", "postgresql://")):
        return value
    raise ValueError("must start with sqlite:/// or postgresql://")


def _effect_limits(value: Mapping[str, int]) -> Mapping[str, int]:
    known = {f"{effect.value}s" for effect in EffectClass if effect is not EffectClass.READ}
    unknown = sorted(set(value) - known)
    if unknown:
        near = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; known: {', '.join(sorted(known))}"
        raise ValueError(f"{unknown[0]} is no effect class{hint}")
    return value


VendorUrl = Annotated[str, AfterValidator(_vendor_url)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Server(_Section):
    """Where the daemon listens, and how people reach it."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    public_url: str = "http://localhost:8080"
    api_token: SecretReference | None = None


class DatabaseSection(_Section):
    """Where everything is kept."""

    url: Annotated[str, AfterValidator(_database_url)] = "sqlite:///data/oncall.db"


class Runbooks(_Section):
    """Where the runbooks are, and how far one may go that does not say so itself."""

    path: str = "runbooks"
    reload: bool = True
    default_autonomy: Autonomy = Autonomy.APPROVE


class PagerDuty(_Section):
    """The source of pages (REST, webhooks) and the way to a human (Events API v2)."""

    api_url: VendorUrl = "https://api.pagerduty.com"
    events_url: VendorUrl = "https://events.pagerduty.com"
    api_token: SecretReference | None = None
    routing_key: SecretReference | None = None
    webhook_secrets: tuple[SecretReference, ...] = ()
    allow_unsigned_webhooks: bool = False
    from_email: str = "oncall-agent@example.com"
    agent_user_id: str = ""
    timeout_s: Seconds = 5.0


class Slack(_Section):
    """Where the story is told."""

    api_url: VendorUrl = "https://slack.com/api/"
    bot_token: SecretReference | None = None
    signing_secret: SecretReference | None = None
    channel: str = "#incidents"
    webhook_url: SecretReference | VendorUrl | None = None
    timeout_s: Seconds = 5.0


class Llm(_Section):
    """The optional advisor that ranks offered runbooks."""

    provider: Literal["none", "anthropic"] = "none"
    model: str | None = None
    base_url: VendorUrl | None = None
    api_key: SecretReference | None = None
    min_confidence: Annotated[float, Field(ge=0, le=1)] = 0.8
    deadline_s: Seconds = 20


class Allow(_Section):
    """What commands may touch at all; an empty list sets no limit beyond the runbook's own."""

    hosts: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()


class ExecutionSection(_Section):
    """How steps are run."""

    max_attempts: Positive = 2
    retry_delay_s: Annotated[float, Field(ge=0)] = 1.0
    step_timeout_s: Seconds = 60
    incident_deadline_s: Seconds = 600
    sandbox: Literal["auto", "process"] = "auto"
    allow: Allow = Allow()
    effect_tables: tuple[str, ...] = ()
    pass_environment: tuple[str, ...] = (
        "KUBECONFIG",
        "KUBERNETES_SERVICE_HOST",
        "KUBERNETES_SERVICE_PORT",
    )


class Limits(_Section):
    """Limits across incidents."""

    per_hour: Annotated[Mapping[str, Count], AfterValidator(_effect_limits)] = Field(default_factory=dict)
    concurrent_incidents: Positive = 32

    def hourly(self) -> dict[EffectClass, int]:
        """The limits of the last hour by effect class."""
        return {EffectClass(name.removesuffix("s")): limit for name, limit in self.per_hour.items()}


class Flapping(_Section):
    """How often the same alert may come back."""

    count: Positive = 3
    window_s: Seconds = 3600


class EscalationSection(_Section):
    """When a human is called although nothing failed."""

    flapping: Flapping = Flapping()
    critical_downtime_s: Seconds = 300
    approval_timeout_s: Seconds = 900


class Audit(_Section):
    """Where the audit log is written as JSON lines; left out: beside the SQLite file, else data/."""

    path: str | None = None


class Config(_Section):
    """The whole configuration. A vendor section left out switches that integration off."""

    server: Server = Server()
    database: DatabaseSection = DatabaseSection()
    runbooks: Runbooks = Runbooks()
    pagerduty: PagerDuty | None = None
    slack: Slack | None = None
    llm: Llm = Llm()
    execution: ExecutionSection = ExecutionSection()
    limits: Limits = Limits()
    escalation: EscalationSection = EscalationSection()
    audit: Audit = Audit()

    def secret_references(self) -> Iterator[tuple[str, SecretReference]]:
        """(key path, reference) of every secret that the configuration names."""
        yield from _references(self, "")

    def audit_path(self) -> Path:
        """The file of the audit log."""
        if self.audit.path is not None:
            return Path(self.audit.path)
        sqlite = self.database.url.removeprefix("sqlite:///")
        return (Path(sqlite).parent if sqlite != self.database.url else Path("data")) / "audit.jsonl"

    def needs(self, key_path: str) -> bool:
        """Whether a secret is used by what is switched on; one that is not may be unset."""
        if key_path == "llm.api_key":
            return self.llm.provider != "none"
        return key_path != "slack.signing_secret"

    def secret(self, reference: SecretReference | None) -> Secret | None:
        """The value behind a reference; `load` has made sure that it is there."""
        return None if reference is None else reference.resolve()


def load(path: str | Path) -> Config:
    """Read and check the configuration; ConfigError tells every problem with its key path and fix."""
    config = read(path)
    missing = missing_secrets(config)
    if missing:
        raise ConfigError(str(path), missing)
    return config


def read(path: str | Path) -> Config:
    """Read and check the configuration without fetching secrets, for what needs none."""
    return parse(_read_yaml(Path(path)), path=str(path))


def missing_secrets(config: Config) -> list[ConfigProblem]:
    """Every secret that is needed and cannot be fetched."""
    return [
        ConfigProblem(key, problem, "set it, or leave the key out to switch this off")
        for key, reference in config.secret_references()
        if config.needs(key) and (problem := _unresolved(reference))
    ]


def parse(data: object, *, path: str) -> Config:
    """Check parsed YAML without fetching secrets."""
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise ConfigError(path, [ConfigProblem("(top)", "must be a mapping of sections")])
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise ConfigError(path, [_problem(details) for details in error.errors()]) from None


def _read_yaml(path: Path) -> object:
    if not path.is_file():
        fix = "write one (README, Configuration) or name it with --config"
        raise ConfigError(str(path), [ConfigProblem("(file)", "does not exist", fix)])
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), [ConfigProblem("(file)", f"is not YAML: {error}")]) from error


def _unresolved(reference: SecretReference) -> str:
    if not reference.is_one:
        return "must name exactly one of env, file, aws_ssm, aws_secret"
    try:
        reference.resolve()
    except (ValueError, OSError) as error:
        return str(error)
    return ""


def _references(value: object, prefix: str) -> Iterator[tuple[str, SecretReference]]:
    if isinstance(value, SecretReference):
        yield prefix, value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _references(getattr(value, name), f"{prefix}.{name}" if prefix else name)
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _references(item, f"{prefix}[{index}]")


def _problem(details: ErrorDetails) -> ConfigProblem:
    location = [part for part in details["loc"] if part not in _UNION_BRANCHES]
    key_path = ".".join(str(part) for part in location) or "(top)"
    if details["type"] == "extra_forbidden":
        return ConfigProblem(key_path, "is not a known key", _suggestion(location))
    if details["type"] in ("model_type", "model_attributes_type") and _names_a_secret(key_path):
        return ConfigProblem(key_path, "must be a reference, never the secret itself", "write {env: NAME}")
    message = details["msg"].removeprefix("Value error, ")
    return ConfigProblem(key_path, f"{message[:1].lower()}{message[1:]}")


#: pydantic names the branch of a union that it tried; the operator did not write it.
_UNION_BRANCHES = ("SecretReference", "function-after[_vendor_url(), str]")


def _names_a_secret(key_path: str) -> bool:
    return any(word in key_path for word in ("token", "secret", "routing_key", "api_key", "webhook_url"))


def _suggestion(location: Sequence[int | str]) -> str:
    section = _section_at(location[:-1])
    known = list(section.model_fields) if section is not None else []
    near = difflib.get_close_matches(str(location[-1]), known, n=1)
    if near:
        return f"did you mean {near[0]}?"
    return f"known keys: {', '.join(known)}" if known else "remove it"


def _section_at(location: Sequence[int | str]) -> type[BaseModel] | None:
    section: type[BaseModel] = Config
    for part in location:
        field = section.model_fields.get(str(part))
        found = _model_in(field.annotation) if field is not None else None
        if found is None:
            return None
        section = found
    return section


def _model_in(annotation: object) -> type[BaseModel] | None:
    for candidate in (annotation, *getattr(annotation, "__args__", ())):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None
