"""`postmortem`: what an incident was, as a document to finish, sign and print."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from agent.adapters.archive_lookup import archived
from agent.adapters.store import Store
from agent.adapters.whole_files import write_text
from agent.cli.decision_events import events_taken_in
from agent.cli.incidents import IncidentArgument, find, on_command_line, open_store
from agent.cli.output import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    console,
    errors,
    fail,
    load_config,
    plain,
    print_json,
)
from agent.config import Config, known_secrets
from agent.domain.errors import UnknownIncidentError
from agent.domain.incident import Incident
from agent.domain.postmortem import Postmortem
from agent.pipeline import postmortem_tickets
from agent.pipeline.postmortem_tickets import NotPosted
from agent.reports.postmortem_text import as_markdown, as_page
from agent.safety.redaction import Redactor
from agent.web import postmortems


class Format(StrEnum):
    """What the document is written as."""

    MARKDOWN = "md"
    PAGE = "html"


EventsOption = Annotated[
    bool,
    typer.Option("--events", help="First take in what Keeptrusts decided meanwhile (keeptrusts.api_token)."),
]
EventsFileOption = Annotated[
    Path | None, typer.Option("--events-file", help="First take in the events of this export (JSONL).")
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(postmortem)


def postmortem(
    incident: IncidentArgument,
    config: ConfigOption = DEFAULT_CONFIG,
    as_: Annotated[Format, typer.Option("--format", help="Markdown, or a page to print.")] = Format.MARKDOWN,
    out: Annotated[Path | None, typer.Option(help="The file to write; without it, standard output.")] = None,
    llm: Annotated[bool, typer.Option("--llm", help="Let the model of `llm` write the summary.")] = False,
    events: EventsOption = False,
    events_file: EventsFileOption = None,
    tickets: Annotated[
        bool, typer.Option("--tickets", help="Open a Jira ticket for each action item.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Write an incident's post-mortem: facts from the audit log, with blanks for what people know."""
    loaded = load_config(config)
    redactor = Redactor(known_secrets(loaded))
    with _kept(loaded, incident) as kept:
        if events or events_file is not None:
            _only_here(kept, "--events")
            events_taken_in(loaded, kept.store, redactor, kept.incident, fetch=events, file=events_file)
        made = postmortems.postmortem_of(kept.store, loaded, redactor, kept.incident)
        if llm:
            made = _with_prose(loaded, redactor, made)
        if tickets:
            _only_here(kept, "--tickets")
            _post(kept.store, loaded, made)
    if json:
        print_json(postmortems.as_json(made))
        return
    _write(out, as_markdown(made) if as_ is Format.MARKDOWN else as_page(made))


def _write(out: Path | None, text: str) -> None:
    if out is None:
        sys.stdout.write(text)
        return
    try:
        write_text(out, text)
    except OSError as error:
        fail(f"{out} cannot be written: {error.strerror}; name another file with --out")
    console.print(f"written: {plain(str(out))}")


def _with_prose(config: Config, redactor: Redactor, made: Postmortem) -> Postmortem:
    from agent.surroundings import writer_of  # builds a client of the vendor: only where one is asked

    try:
        writer = writer_of(config)
    except ValueError as error:
        fail(f"llm.api_key: {error}")
    if writer is None:
        fail("there is no model to ask: set llm.provider, llm.model and llm.api_key, or leave --llm out")
    return postmortems.with_prose(made, writer, redactor)


def _post(store: Store, config: Config, made: Postmortem) -> None:
    posted = postmortem_tickets.post(store, config, made, by=on_command_line())
    if isinstance(posted, NotPosted):
        fail(posted.why)
    for key in posted.new:
        errors.print(f"a ticket is asked for: {plain(key)}")
    if posted.before:
        errors.print(f"{len(posted.before)} were asked for before")


@dataclass(frozen=True, slots=True)
class _Kept:
    """An incident where it is kept."""

    store: Store
    incident: Incident
    is_archived: bool = False


def _only_here(kept: _Kept, option: str) -> None:
    if kept.is_archived:
        fail(f"{option} is for incidents that are in the database; this one is in an archive")


@contextmanager
def _kept(config: Config, name: str) -> Iterator[_Kept]:
    """In the database, else in the archives."""
    with closing(open_store(config)) as store:
        try:
            found = find(store, name)
        except UnknownIncidentError:
            with archived(config.archive_path(), name, store.clock) as old:
                if old is None:
                    raise
                yield _Kept(old, find(old, name), is_archived=True)
            return
        yield _Kept(store, found)
