"""What `postmortem` and `export` take in first: decision events of Keeptrusts, by its API or from a file."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from pathlib import Path

from agent.adapters.keeptrusts_events import KeeptrustsEvents, read_export
from agent.adapters.store import Store
from agent.cli.incidents import on_command_line
from agent.cli.output import errors, fail, plain
from agent.config import Config
from agent.domain.incident import Incident
from agent.safety.redaction import Redactor
from agent.web.decision_events import TakenIn, take_in
from agent.web.postmortems import evidence_of


def events_taken_in(
    config: Config, store: Store, redactor: Redactor, incident: Incident, *, fetch: bool, file: Path | None
) -> None:
    """Of an incident: for the window of its post-mortem."""
    asked = evidence_of(store, incident)
    if fetch:
        fetched_in(config, store, redactor, asked.since, asked.until, incident_id=incident.id)
    if file is not None:
        read_in(store, redactor, file, incident_id=incident.id)


def fetched_in(
    config: Config,
    store: Store,
    redactor: Redactor,
    since: datetime,
    until: datetime,
    *,
    incident_id: str = "",
) -> None:
    """By the API of Keeptrusts, for a window."""
    section = config.keeptrusts
    if section is None or section.api_token is None:
        fail("--events asks Keeptrusts: set keeptrusts.api_token, or take an export with --events-file")
    try:
        token = section.api_token.resolve().reveal()
    except ValueError as error:
        fail(f"keeptrusts.api_token: {error}")
    with closing(KeeptrustsEvents(section.api_url, token, timeout_s=section.timeout_s)) as api:
        found = api.events(since, until)
    if found.missing:
        errors.print(
            f"Keeptrusts has {found.missing} events more than it sent: "
            "export them there as JSONL, and take them in with --events-file"
        )
    by, where = on_command_line(), "Keeptrusts"
    taken = take_in(store, redactor, found.events, where=where, by=by, incident_id=incident_id)
    _tell(taken, where, found.unread)


def read_in(store: Store, redactor: Redactor, file: Path, *, incident_id: str = "") -> None:
    """From an export: one event a line."""
    by, where = on_command_line(), file.name
    try:
        taken = take_in(store, redactor, read_export(file), where=where, by=by, incident_id=incident_id)
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}")
    _tell(taken, where, taken.unread)


def _tell(taken: TakenIn, where: str, unread: int) -> None:
    left = f"; {unread} lines are no events" if unread else ""
    errors.print(f"{plain(where)}: {taken.read} events, {taken.new} of them new{left}")
