"""Loads effect tables: the shipped ones, then the team's own; all problems of a file are told at once."""

from __future__ import annotations

import re
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from pathlib import Path

import yaml
from pydantic import ValidationError

from agent.domain.errors import ConfigError, ConfigProblem
from agent.safety.compilation import Compiler
from agent.safety.documents import Document
from agent.safety.grammar import EffectRule, Tool
from agent.safety.table_rows import EffectRow, SqlRow, TableFile, UrlRow


@dataclass(frozen=True, slots=True)
class Resource:
    """A Kubernetes resource by its plural name."""

    name: str
    cluster: bool = False
    secret: bool = False
    group: str = ""


@dataclass(frozen=True, slots=True)
class UrlRule:
    """A request that changes something and may be priced."""

    method: str
    url: str
    effect: EffectRule


@dataclass(frozen=True, slots=True)
class SqlRule:
    """A statement that psql may run, by a pattern of the whole."""

    statement: str
    effect: EffectRule


@dataclass(frozen=True, slots=True)
class Tables:
    """Everything the tables say: tools by name or path, and what is refused by name with a hint."""

    tools: Mapping[str, Tool]
    refused: Mapping[str, str]
    resources: Mapping[str, Resource]
    urls: tuple[UrlRule, ...] = ()
    secret_paths: tuple[str, ...] = ()
    sql: tuple[SqlRule, ...] = ()
    documents: Mapping[str, Document] = field(default_factory=dict)


class _UniqueKeys(yaml.SafeLoader):
    """A key given twice is an error, and only true and false are booleans (`off` and `no` are names)."""

    yaml_implicit_resolvers = {  # noqa: RUF012  (how PyYAML is told)
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


_UniqueKeys.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(?:true|false)$"), list("tf"))


def load(extra: Sequence[Path] = (), *, rules: Collection[str] = ()) -> Tables:
    """The shipped tables and the team's own ones; ConfigError with file and key path if one is wrong."""
    shipped = _shipped()
    own = tuple((str(path), _read(str(path), _text_of(path))) for path in extra)
    files = (*shipped, *own)
    compiler = Compiler()
    for name, table in files:
        compiler.declare(name, table)
    tools: dict[str, Tool] = {}
    for name, table in shipped:
        tools |= compiler.tools(name, table, rules=rules)
    # The rules rely on the shape of the shipped tables: another table cannot name them.
    for name, table in own:
        tools |= compiler.tools(name, table, rules=())
    documents: dict[str, Document] = {}
    for name, table in files:
        documents |= compiler.documents(name, table)
    compiler.raise_problems()
    tables = [table for _, table in files]
    return Tables(
        tools=tools,
        refused={name: hint for table in tables for name, hint in table.refused.items()},
        resources={alias: found for table in tables for alias, found in _resources(table).items()},
        urls=tuple(_url_rule(row) for table in tables for row in table.urls.allowed),
        secret_paths=tuple(path for table in tables for path in table.urls.secret_paths),
        sql=tuple(_sql_rule(row) for table in tables for row in table.sql),
        documents=documents,
    )


@lru_cache(maxsize=1)
def _shipped() -> tuple[tuple[str, TableFile], ...]:
    folder = resources.files("agent.safety") / "tables"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".yaml"))
    texts = {f"shipped {name}": (folder / name).read_text(encoding="utf-8") for name in names}
    return tuple((name, _read(name, text)) for name, text in texts.items())


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problem = ConfigProblem("(file)", f"the effect table cannot be read: {error}", "check the path")
        raise ConfigError(str(path), [problem]) from error


def _read(name: str, text: str) -> TableFile:
    try:
        # A subclass of SafeLoader: it makes plain values only.
        raw = yaml.load(text, Loader=_UniqueKeys)  # noqa: S506
    except yaml.YAMLError as error:
        raise ConfigError(name, [ConfigProblem("(file)", f"not YAML: {error}")]) from error
    try:
        return TableFile.model_validate(raw if raw is not None else {})
    except ValidationError as error:
        problems = [
            ConfigProblem(".".join(str(part) for part in each["loc"]) or "(file)", each["msg"])
            for each in error.errors()
        ]
        raise ConfigError(name, problems) from error


def _resources(table: TableFile) -> dict[str, Resource]:
    return {
        alias: Resource(name, cluster=row.cluster, secret=row.secret, group=row.group)
        for name, row in table.kubernetes.resources.items()
        for alias in (name, *row.names)
    }


def _url_rule(row: UrlRow) -> UrlRule:
    return UrlRule(row.method, row.url, _effect_rule(row.effect))


def _sql_rule(row: SqlRow) -> SqlRule:
    return SqlRule(row.statement, _effect_rule(row.effect))


def _effect_rule(row: EffectRow) -> EffectRule:
    return EffectRule(row.effect_class, row.target, row.count)
