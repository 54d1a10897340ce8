"""`export`: evidence of a window or an incident as one file, and whether such a file is as it was made."""

from __future__ import annotations

import os
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from agent.adapters.evidence_check import check
from agent.adapters.evidence_file import evidence
from agent.adapters.store import Store
from agent.cli.decision_events import fetched_in, read_in
from agent.cli.incidents import find, open_store
from agent.cli.output import (
    DEFAULT_CONFIG,
    FINDING,
    ConfigOption,
    JsonOption,
    console,
    fail,
    load_config,
    plain,
    print_json,
)
from agent.cli.postmortem import EventsFileOption, EventsOption
from agent.config import known_secrets
from agent.domain.evidence import Altered, EvidenceAsked, Whole
from agent.safety.redaction import Redactor
from agent.web.postmortems import evidence_of


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(export)


def export(
    config: ConfigOption = DEFAULT_CONFIG,
    since: Annotated[str, typer.Option(help="From this time on: 2026-04-23, or 2026-04-23T14:00Z.")] = "",
    until: Annotated[str, typer.Option(help="Before this time; without it, now.")] = "",
    incident: Annotated[str, typer.Option(help="All of this incident instead of a window.")] = "",
    out: Annotated[Path | None, typer.Option(help="The ZIP file to write.")] = None,
    events: EventsOption = False,
    events_file: EventsFileOption = None,
    verify: Annotated[Path | None, typer.Option(help="Check a file that was made so.")] = None,
    json: JsonOption = False,
) -> None:
    """Take evidence away: incidents, timeline, attempts, escalations, decision events, with their hashes."""
    if verify is not None:
        if since or until or incident or out is not None:
            fail("--verify checks a file, and takes nothing else")
        _verify(verify, as_json=json)
        return
    if out is None:
        fail("say where to: --out evidence.zip")
    if bool(since) == bool(incident):
        fail("say what of: --since TIME [--until TIME], or --incident ID")
    loaded = load_config(config)
    with closing(open_store(loaded)) as store:
        redactor = Redactor(known_secrets(loaded))
        asked = _asked(store, since, until, incident)
        if events:
            fetched_in(loaded, store, redactor, asked.since, asked.until, incident_id=asked.incident)
        if events_file is not None:
            read_in(store, redactor, events_file, incident_id=asked.incident)
        _write(out, store, redactor, asked)
    made = check(out)
    if isinstance(made, Altered):
        fail(f"{out} is not as it should be: {made.what}: {made.reason}; try again", code=FINDING)
    _tell(out, made, as_json=json)


def _asked(store: Store, since: str, until: str, incident: str) -> EvidenceAsked:
    if incident:
        return evidence_of(store, find(store, incident))
    end = _moment("--until", until) if until else store.clock.now()
    begin = _moment("--since", since)
    if begin >= end:
        fail(f"--since {since} is not before --until {until or 'now'}")
    return EvidenceAsked(begin, end)


def _moment(option: str, text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        fail(f"{option} {text} is no time; write 2026-04-23, or 2026-04-23T14:00:00Z")
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _write(out: Path, store: Store, redactor: Redactor, asked: EvidenceAsked) -> None:
    """There whole or not at all; readable by its owner alone."""
    draft = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            for piece in evidence(store, asked, redactor.value):
                file.write(piece)
        draft.replace(out)
    except OSError as error:
        fail(f"{out} cannot be written: {error.strerror}; name another file with --out")
    finally:
        draft.unlink(missing_ok=True)


def _verify(path: Path, *, as_json: bool) -> None:
    try:
        found = check(path)
    except OSError as error:
        fail(f"{path} cannot be read: {error.strerror}")
    if isinstance(found, Whole):
        _tell(path, found, as_json=as_json)
        return
    if as_json:
        print_json({"intact": False, "what": found.what, "reason": found.reason})
    else:
        console.print(f"[red]altered[/red]: {plain(found.what)}: {plain(found.reason)}")
    raise typer.Exit(FINDING)


def _tell(path: Path, made: Whole, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "intact": True,
                "file": str(path),
                "manifest_sha256": made.manifest_sha256,
                "audit": {"last_entry": made.last_entry, "head": made.head},
                "entries": made.entries,
                "redacted_again": made.cleared,
                "files": {
                    name: {"rows": each.rows, "sha256": each.sha256} for name, each in made.files.items()
                },
            }
        )
        return
    counted = ", ".join(
        f"{each.rows} {name.removesuffix('.jsonl').replace('_', ' ')}"
        for name, each in made.files.items()
        if name.endswith(".jsonl")
    )
    console.print(f"[green]intact[/green]: {plain(str(path))}: {counted}")
    if made.cleared:
        console.print(f"{made.cleared} entries were redacted once more; their own hash cannot be checked")
    console.print(f"audit log up to entry {made.last_entry}, head {made.head}")
    console.print(f"manifest {made.manifest_sha256}  (note it elsewhere: it stands for the whole file)")
