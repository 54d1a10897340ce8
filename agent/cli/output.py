"""How the CLI speaks: words for people, JSON for programs, exit codes 0 ok, 1 finding, 2 usage or config."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from agent.config import Config, load, parse, read
from agent.domain.errors import AgentError

#: What is piped into another program is not cut to the width of a terminal that is not there.
_PIPED_WIDTH = 200

console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else _PIPED_WIDTH)
errors = Console(stderr=True, highlight=False, soft_wrap=True)

FINDING = 1
USAGE = 2

ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="The configuration file.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]

DEFAULT_CONFIG = Path("config.yaml")


def load_config(path: Path, *, with_secrets: bool = False) -> Config:
    """The configuration; without a file at the default place, the defaults.

    Only what speaks to vendors needs the secrets: the rest works from any shell.
    """
    if path == DEFAULT_CONFIG and not path.exists():
        return parse({}, path=str(path))
    if not with_secrets:
        return read(path)
    from agent.surroundings import open_cloud_vault  # what only vendors need is not loaded by every command

    open_cloud_vault(read(path))
    return load(path)


def print_json(value: object) -> None:
    """One JSON document on standard output."""
    json.dump(value, sys.stdout, ensure_ascii=False, indent=2, default=str)
    sys.stdout.write("\n")


def print_json_line(value: object) -> None:
    """One JSON document on one line of standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")


def fail(message: str, *, code: int = USAGE) -> NoReturn:
    """Say what is wrong on standard error and end."""
    errors.print(f"[red]error:[/red] {_plain(message)}")
    raise typer.Exit(code)


def guarded(app: Callable[[], object]) -> None:
    """Run the command that was typed; an error that the operator can act upon is told without a stack."""
    try:
        app()
    except AgentError as error:
        errors.print(f"[red]error:[/red] {_plain(str(error))}")
        sys.exit(USAGE)
    except BrokenPipeError:
        sys.exit(0)


def _plain(text: str) -> str:
    """Text that rich must not read as markup."""
    return text.replace("[", "\\[")


plain = _plain
