"""Turns the rows of effect tables into grammars, and checks that every name in them exists."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from agent.domain.command import Refusal
from agent.domain.errors import ConfigError, ConfigProblem
from agent.safety import table_rows as rows
from agent.safety.documents import Document
from agent.safety.grammar import NO_NEEDS, Argument, CloudRule, Command, EffectRule, Needs, Option, Tool
from agent.safety.kinds import FileRules, Kind

_MOST = 64
_REPEATS = {"?": (0, 1), "*": (0, _MOST), "+": (1, _MOST)}
_UNKNOWN_KIND = Kind("unknown", "", "")


class Compiler:
    """Collects what all files declare, then makes tools; problems are kept until `raise_problems`."""

    def __init__(self) -> None:
        self._rules: Collection[str] = ()
        self._kinds: dict[str, rows.KindRow] = {}
        self._readable: tuple[str, ...] = ()
        self._secret: tuple[str, ...] = ()
        self._owners: dict[tuple[str, str], str] = {}
        self._problems: list[tuple[str, ConfigProblem]] = []
        self._file = ""

    def declare(self, name: str, table: rows.TableFile) -> None:
        """Take in kinds and files, and see that nothing is declared twice."""
        self._file = name
        for section in ("kinds", "tools", "scripts", "refused"):
            for key in getattr(table, section):
                self._own(section, key)
        for plural, resource in table.kubernetes.resources.items():
            for alias in (plural, *resource.names):
                self._own("kubernetes.resources", alias)
        for key in table.ssm.documents:
            self._own("ssm.documents", key)
        self._kinds |= table.kinds
        self._readable += table.files.readable
        self._secret += table.files.secret

    def _own(self, section: str, key: str) -> None:
        group = "tools" if section == "scripts" else section
        owner = self._owners.setdefault((group, key), self._file)
        if owner != self._file:
            self._problem(f"{section}.{key}", f"{owner} has it already", "choose another name")

    def tools(self, name: str, table: rows.TableFile, *, rules: Collection[str]) -> dict[str, Tool]:
        """The tools and scripts of one file, by name or path; `rules` are those that it may name."""
        self._file, self._rules = name, rules
        found: dict[str, Tool] = {}
        for key, row in table.tools.items():
            found[key] = self._tool(f"tools.{key}", key, row)
        for key, script in table.scripts.items():
            if not key.startswith("/"):
                self._problem(f"scripts.{key}", "a script is named by its absolute path", "begin with /")
            found[key] = self._tool(f"scripts.{key}", key, script)
        return found

    def documents(self, name: str, table: rows.TableFile) -> dict[str, Document]:
        """The SSM documents of one file, by name."""
        self._file = name
        return {
            key: self._document(f"ssm.documents.{key}", key, row) for key, row in table.ssm.documents.items()
        }

    def _document(self, path: str, name: str, row: rows.DocumentRow) -> Document:
        for each in row.effect:
            if not isinstance(each.count, int):
                self._problem(f"{path}.effect.count", "not a number", "write how often, for each instance")
        return Document(
            name=name,
            effects=tuple(EffectRule(each.effect_class, each.target, each.count) for each in row.effect),
            parameters={
                key: self._kind(f"{path}.parameters.{key}", kind) for key, kind in row.parameters.items()
            },
        )

    def raise_problems(self) -> None:
        """ConfigError for the first file that has problems, with all of them."""
        if not self._problems:
            return
        first = self._problems[0][0]
        raise ConfigError(first, [problem for name, problem in self._problems if name == first])

    def _problem(self, key_path: str, message: str, fix: str = "") -> None:
        self._problems.append((self._file, ConfigProblem(key_path, message, fix)))

    def _tool(self, path: str, name: str, row: rows.ToolRow) -> Tool:
        return Tool(
            name=name,
            command=self._command(path, name, row, parent=Command(name)),
            clusters=row.clusters,
            permutes=row.permutes,
            equals=row.equals,
            short_equals=row.short_equals,
            ends_options=row.ends_options,
            word_options=row.word_options,
            option_prefixes=row.option_prefixes,
            any_case=row.any_case,
            free_text=row.free_text,
            numeric=self._kind(f"{path}.numeric", row.numeric) if row.numeric else None,
            default_host=row.default_host,
            default_port=row.default_port,
            port_option=row.port_option,
            namespaced=row.namespaced,
            repeat_option=row.repeat_option,
            inside=row.inside,
            sha256=row.sha256 if isinstance(row, rows.ScriptRow) else "",
        )

    def _command(self, path: str, name: str, row: rows.CommandRow, *, parent: Command) -> Command:
        """A subcommand has the options, the needs and the rule of the command that it stands in."""
        options = self._options(path, row.options)
        known = {**parent.options, **options}
        self._check_command(path, row, known)
        command = Command(
            name=name,
            options=known,
            arguments=tuple(self._argument(f"{path}.arguments", text) for text in row.arguments),
            effects=tuple(self._effect(path, effect, known) for effect in row.effect),
            rule=row.rule or parent.rule,
            requires=row.requires,
            passes_on=row.passes_on,
            piped_input=row.piped_input,
            needs=parent.needs + _needs(row.sandbox),
            refusal=Refusal(row.refuse, row.hint) if row.refuse else None,
        )
        return replace(command, commands=self._commands(path, row, command))

    def _commands(self, path: str, row: rows.CommandRow, parent: Command) -> dict[str, Command]:
        return {
            alias: self._command(f"{path}.commands.{key}", key.split()[0], sub, parent=parent)
            for key, sub in row.commands.items()
            for alias in key.split()
        }

    def _check_command(self, path: str, row: rows.CommandRow, known: Mapping[str, Option]) -> None:
        if not (row.effect or row.rule or row.refuse or row.commands):
            self._problem(path, "it has no effect", "give it `effect`, or `refuse` with a hint")
        if row.rule and row.rule not in self._rules:
            self._problem(f"{path}.rule", f"there is no rule {row.rule}", f"known: {sorted(self._rules)}")
        for name in row.requires:
            if name not in known:
                self._problem(f"{path}.requires", f"there is no option {name}")

    def _options(self, path: str, options: Mapping[str, rows.OptionRow]) -> dict[str, Option]:
        found: dict[str, Option] = {}
        for key, row in options.items():
            option = self._option(f"{path}.options.{key}", tuple(key.split()), row)
            for name in option.names:
                if name in found:
                    self._problem(f"{path}.options.{key}", f"{name} is declared twice")
                found[name] = option
        return found

    def _option(self, path: str, names: tuple[str, ...], row: rows.OptionRow) -> Option:
        kinds = () if row.value == "switch" else tuple(self._kind(path, name) for name in row.value.split())
        return Option(
            names=names,
            values=kinds,
            optional=row.optional,
            repeat=row.repeat,
            many=row.many,
            fills_argument=row.fills_argument,
            all_namespaces=row.all_namespaces,
            effect=row.effect,
            needs=_needs(row.sandbox),
            refusal=Refusal(row.refuse, row.hint) if row.refuse else None,
        )

    def _argument(self, path: str, text: str) -> Argument:
        least, most = _REPEATS.get(text[-1:], (1, 1))
        kind = self._kind(path, text.rstrip("?*+"))
        return Argument(kind, least, most)

    def _effect(self, path: str, row: rows.EffectRow, known: Mapping[str, Option]) -> EffectRule:
        count = row.count
        if isinstance(count, str) and count != "arguments" and count not in known:
            self._problem(
                f"{path}.effect.count", f"{count} is no option of it", "use a number or `arguments`"
            )
        return EffectRule(row.effect_class, row.target, count)

    def _kind(self, path: str, name: str) -> Kind:
        row = self._kinds.get(name)
        if row is None:
            self._problem(path, f"there is no kind {name!r}", "declare it under `kinds`")
            return _UNKNOWN_KIND
        return Kind(
            name=name,
            pattern=row.pattern,
            says=row.says,
            role=row.role,
            forbidden=row.forbidden,
            forbidden_says=row.forbidden_says,
            secret=row.secret,
            files=FileRules(self._readable, self._secret),
        )


def _needs(row: rows.SandboxRow) -> Needs:
    if not row.model_fields_set:
        return NO_NEEDS
    return Needs(
        network=row.network,
        hosts=row.hosts,
        reads=row.reads,
        writes=row.writes,
        environment=row.environment,
        local_sockets=row.local_sockets,
        datagrams=row.datagrams,
        keeps_user=row.keeps_user,
        capabilities=row.capabilities,
        alone=row.alone,
        cloud=tuple(CloudRule(each.action, each.resource) for each in row.cloud),
    )
