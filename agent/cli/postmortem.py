"""`postmortem`: what an incident was, as a document to finish, sign and print."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from agent.adapters.archive_lookup import archived
from agent.adapters.store import Store
from agent.adapters.whole_files import write_text
from agent.cli.incidents import IncidentArgument, find, open_store
from agent.cli.output import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    console,
    fail,
    load_config,
    plain,
    print_json,
)
from agent.config import Config, known_secrets
from agent.domain.errors import UnknownIncidentError
from agent.domain.incident import Incident
from agent.reports.postmortem_text import as_markdown, as_page
from agent.safety.redaction import Redactor
from agent.web import postmortems


class Format(StrEnum):
    """What the document is written as."""

    MARKDOWN = "md"
    PAGE = "html"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(postmortem)


def postmortem(
    incident: IncidentArgument,
    config: ConfigOption = DEFAULT_CONFIG,
    as_: Annotated[Format, typer.Option("--format", help="Markdown, or a page to print.")] = Format.MARKDOWN,
    out: Annotated[Path | None, typer.Option(help="The file to write; without it, standard output.")] = None,
    json: JsonOption = False,
) -> None:
    """Write an incident's post-mortem: facts from the audit log, with blanks for what people know."""
    loaded = load_config(config)
    with _kept(loaded, incident) as (store, found):
        made = postmortems.postmortem_of(store, loaded, Redactor(known_secrets(loaded)), found)
    if json:
        print_json(postmortems.as_json(made))
        return
    text = as_markdown(made) if as_ is Format.MARKDOWN else as_page(made)
    if out is None:
        sys.stdout.write(text)
        return
    try:
        write_text(out, text)
    except OSError as error:
        fail(f"{out} cannot be written: {error.strerror}; name another file with --out")
    console.print(f"written: {plain(str(out))}")


@contextmanager
def _kept(config: Config, name: str) -> Iterator[tuple[Store, Incident]]:
    """The incident where it is: in the database, else in the archives."""
    with closing(open_store(config)) as store:
        try:
            found = find(store, name)
        except UnknownIncidentError:
            with archived(config.archive_path(), name, store.clock) as old:
                if old is None:
                    raise
                yield old, find(old, name)
            return
        yield store, found
