"""The form of an effect table file; an unknown key or a wrong value is a problem with its key path."""

from __future__ import annotations

from typing import Annotated, Literal

import re2
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from agent.domain.access import Capability, Network
from agent.domain.effects import EffectClass
from agent.safety.grammar import PipedInput
from agent.safety.kinds import Role


def _is_pattern(pattern: str) -> str:
    try:
        re2.compile(pattern)
    except re2.error as error:
        raise ValueError(f"not a regular expression that re2 takes: {error}") from error
    return pattern


def _value_alone(row: object) -> object:
    return {"value": row} if isinstance(row, str) else row


def _class_alone(row: object) -> object:
    return {"class": row} if isinstance(row, str) else row


def _action_alone(row: object) -> object:
    return {"action": row} if isinstance(row, str) else row


def _one_or_more(row: object) -> object:
    return row if isinstance(row, list) else [row]


Pattern = Annotated[str, AfterValidator(_is_pattern)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
AbsolutePath = Annotated[str, Field(pattern=r"^/")]


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class KindRow(_Row):
    """A kind of argument."""

    pattern: Pattern
    says: str
    role: Role = Role.TEXT
    forbidden: Pattern = ""
    forbidden_says: str = ""
    secret: Pattern = ""


class CloudRow(_Row):
    """A right in AWS; `{--option}` in `resource` stands for each of its values."""

    action: Annotated[str, Field(pattern=r"^[a-z0-9-]+:[A-Za-z0-9]+$")]
    resource: str = "*"


Cloud = Annotated[CloudRow, BeforeValidator(_action_alone)]


class SandboxRow(_Row):
    """What a command needs beside its own words; a subcommand, or an option, has it all and its own."""

    network: Network | None = None
    hosts: tuple[str, ...] = ()
    reads: tuple[AbsolutePath, ...] = ()
    writes: tuple[AbsolutePath, ...] = ()
    environment: tuple[str, ...] = ()
    local_sockets: bool = False
    datagrams: bool = False
    keeps_user: bool = False
    capabilities: tuple[Capability, ...] = ()
    alone: bool = False
    cloud: Annotated[tuple[Cloud, ...], BeforeValidator(_one_or_more)] = ()


class OptionRow(_Row):
    """An option; `value` is `switch` or the kinds of its values with blanks between them.

    `many`: it takes every following word up to the next option.
    """

    value: str = "switch"
    optional: bool = False
    repeat: bool = False
    many: bool = False
    fills_argument: bool = False
    all_namespaces: bool = False
    effect: EffectClass | None = None
    sandbox: SandboxRow = SandboxRow()
    refuse: str = ""
    hint: str = ""


class EffectRow(_Row):
    """An effect; `count` is a number, `arguments`, or an option's name."""

    effect_class: Annotated[EffectClass, Field(alias="class")]
    target: str = ""
    count: Annotated[int, Field(ge=1)] | str = 1


Option = Annotated[OptionRow, BeforeValidator(_value_alone)]
Effect = Annotated[EffectRow, BeforeValidator(_class_alone)]


class CommandRow(_Row):
    """An executable's subcommand, or what an executable does without one."""

    options: dict[str, Option] = {}
    arguments: tuple[str, ...] = ()
    commands: dict[str, CommandRow] = {}
    effect: Annotated[tuple[Effect, ...], BeforeValidator(_one_or_more)] = ()
    rule: str = ""
    requires: tuple[str, ...] = ()
    passes_on: bool = False
    piped_input: PipedInput = PipedInput.NONE
    sandbox: SandboxRow = SandboxRow()
    refuse: str = ""
    hint: str = ""


class ToolRow(CommandRow):
    """An executable and how it reads its command line (the defaults are GNU getopt's)."""

    clusters: bool = True
    permutes: bool = True
    equals: bool = True
    short_equals: bool = False
    ends_options: bool = True
    word_options: bool = False
    option_prefixes: str = "-"
    any_case: bool = False
    free_text: bool = False
    numeric: str = ""
    default_host: str = ""
    default_port: int = 0
    port_option: str = ""
    namespaced: bool = False
    repeat_option: str = ""
    inside: bool = True


class ScriptRow(ToolRow):
    """A team's own script: it runs only while its content has this hash."""

    sha256: Sha256
    inside: Literal[False] = False


class FilesRow(_Row):
    """Files that commands may show, and files that hold secrets."""

    readable: tuple[str, ...] = ()
    secret: tuple[str, ...] = ()


class ResourceRow(_Row):
    """A Kubernetes resource that may be read; `group` is its API group, "" the core one."""

    names: tuple[str, ...] = ()
    group: str = ""
    cluster: bool = False
    secret: bool = False


class KubernetesRow(_Row):
    """What is known of Kubernetes."""

    resources: dict[str, ResourceRow] = {}


class UrlRow(_Row):
    """A request that changes something: its method, the whole URL as a pattern, what it does."""

    method: Literal["POST", "PUT", "PATCH", "DELETE"]
    url: Pattern
    effect: Effect


class UrlsRow(_Row):
    """Requests that may change something, and paths that show secrets."""

    allowed: tuple[UrlRow, ...] = ()
    secret_paths: tuple[Pattern, ...] = ()


class SqlRow(_Row):
    """A statement that psql may run, as a pattern of the whole, and what it does."""

    statement: Pattern
    effect: Effect


class DocumentRow(_Row):
    """An SSM document that may be run: what it does to each instance, and the kinds of its parameters."""

    effect: Annotated[tuple[Effect, ...], BeforeValidator(_one_or_more)]
    parameters: dict[str, str] = {}


class SsmRow(_Row):
    """What may be run by AWS Systems Manager."""

    documents: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{3,128}$")], DocumentRow] = {}


class TableFile(_Row):
    """One effect table file."""

    kinds: dict[str, KindRow] = {}
    files: FilesRow = FilesRow()
    tools: dict[str, ToolRow] = {}
    scripts: dict[str, ScriptRow] = {}
    refused: dict[str, str] = {}
    kubernetes: KubernetesRow = KubernetesRow()
    urls: UrlsRow = UrlsRow()
    sql: tuple[SqlRow, ...] = ()
    ssm: SsmRow = SsmRow()
