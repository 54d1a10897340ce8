"""What would keep a runbook from running right now: a stop, or a freeze window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.cli.output import console, plain
from agent.domain.freeze import Freeze
from agent.domain.runbook import Runbook
from agent.domain.stops import Stop
from agent.pipeline import freezes, stops
from agent.pipeline.context import Context
from agent.pipeline.stops import Subject


@dataclass(frozen=True, slots=True)
class Held:
    """What is in force now for a runbook and a service."""

    stop: Stop | None
    freeze: Freeze | None


def held_now(context: Context, runbook: Runbook, *, service: str) -> Held:
    """As an incident of the service would be held; without a database nobody has stopped anything."""
    subject = Subject(service, runbook.id, runbook.path)
    stop = stops.covering(context.store.stops(), subject) if _has_database(context) else None
    return Held(stop, freezes.open_now(context, subject))


def show(held: Held) -> None:
    """For people, below a plan."""
    if held.stop is not None:
        console.print(f"[red]⛔ {plain(str(held.stop))}[/red]; nothing would run, a human is paged")
    if held.freeze is not None:
        meaning = {
            "notify": "nothing would run, a human is paged",
            "approve": "it would wait for a yes, whatever its autonomy",
        }[held.freeze.mode.value]
        console.print(f"[cyan]🧊 {plain(str(held.freeze))}[/cyan] ({held.freeze.mode}): {meaning}")


def as_json(held: Held) -> Mapping[str, Any]:
    """For programs."""
    freeze = held.freeze
    return {
        "stopped": str(held.stop) if held.stop is not None else None,
        "freeze": None
        if freeze is None
        else {"name": freeze.name, "mode": freeze.mode.value, "until": freeze.until.isoformat()},
    }


def _has_database(context: Context) -> bool:
    """Asking must not make one."""
    url = context.config.database.url
    sqlite = url.removeprefix("sqlite:///")
    return sqlite == url or (Path(sqlite).is_file() and Path(sqlite).stat().st_size > 0)
