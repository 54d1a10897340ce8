"""`rbac` and `iam`: the least that the runbooks need of Kubernetes and of AWS, made from the runbooks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from agent.cli.output import DEFAULT_CONFIG, FINDING, ConfigOption, errors, fail, load_config, plain
from agent.config import Config
from agent.domain.errors import ConfigError, ConfigProblem
from agent.domain.runbook import Runbook
from agent.library import Library, Parsed
from agent.library.load import read_file
from agent.safety import least_policy, least_role
from agent.safety.least_rights import LibraryRights, Missing, missing, rights_of, steps_in_words
from agent.safety.places import SOMEWHERE
from agent.safety.policy import Guard
from agent.surroundings import cluster_of, tables_of

PathsArgument = Annotated[list[Path] | None, typer.Argument(help="Files or folders; default: runbooks.path.")]
NameOption = Annotated[
    str, typer.Option("--service-account", help="Who gets the rights, and the Roles' name.")
]
NamespaceOption = Annotated[str, typer.Option("--namespace", "-n", help="Where the agent itself runs.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(name="rbac")(rbac_command)
    app.command(name="iam")(iam_command)


def rbac_command(
    paths: PathsArgument = None,
    config: ConfigOption = DEFAULT_CONFIG,
    service_account: NameOption = "oncall-agent",
    namespace: NamespaceOption = "oncall-agent",
) -> None:
    """Print the least ServiceAccount, Roles and bindings, with the steps that need each rule."""
    rights = rights_in(load_config(config), paths or ())
    identity = least_role.Identity(service_account, namespace)
    sys.stdout.write(least_role.as_yaml(rights, identity))
    _end(rights)


def iam_command(paths: PathsArgument = None, config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Print the least IAM policy as JSON; which step needs what is told on standard error."""
    rights = rights_in(load_config(config), paths or ())
    sys.stdout.write(f"{least_policy.as_json(rights)}\n")
    for action, resource, steps in least_policy.reasons(rights):
        errors.print(f"{plain(action)} on {plain(resource)}: {steps_in_words(steps)}")
    _end(rights)


def _end(rights: LibraryRights) -> None:
    for refused in rights.not_granted:
        errors.print(f"[yellow]not granted:[/yellow] {refused.step}: {plain(refused.reason)}")
    if rights.not_granted:
        raise typer.Exit(FINDING)


def rights_in(config: Config, paths: Sequence[Path] = ()) -> LibraryRights:
    """What the runbooks of the library, or of these files and folders, need."""
    return rights_of(_runbooks(config, paths), guard_for(config))


def guard_for(config: Config) -> Callable[[Runbook], Guard]:
    """The guard that judges a runbook's steps when a page comes in."""
    execution = config.execution
    tables = tables_of(config)
    if config.keeptrusts is None:
        tables = replace(tables, keeptrusts=SOMEWHERE)  # it needs no right in the cluster or the cloud
    return lambda runbook: Guard(
        tables,
        runbook.blast_radius,
        allowed_hosts=execution.allow.hosts,
        allowed_namespaces=execution.allow.namespaces,
        runbook_id=runbook.id,
        allowances=execution.allowances,
    )


def _runbooks(config: Config, paths: Sequence[Path]) -> list[Runbook]:
    found: list[Runbook] = []
    for path in paths or [Path(config.runbooks.path)]:
        if path.is_dir():
            found += Library(path).runbooks.values()
        elif isinstance(parsed := read_file(path), Parsed):
            found.append(parsed.runbook)
        else:
            fail(f"{path} is no runbook that can be used; `oncall-agent lint {path}` says why")
    return found


def preflight(config: Config, rights: LibraryRights) -> tuple[Missing, ...]:
    """What our credentials lack for these steps; ConfigError or ServiceError if nobody can be asked."""
    if not any(step.cluster for step in rights.steps):
        return ()
    cluster = cluster_of(config)
    if cluster is None:
        fix = "set kubernetes.kubeconfig, or KUBECONFIG, or run in a pod with a ServiceAccount"
        raise ConfigError("the configuration", [ConfigProblem("kubernetes", "it names no cluster", fix)])
    return missing(rights, cluster)
