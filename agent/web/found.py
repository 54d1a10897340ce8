"""What an address names, or 404."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from flask import abort

from agent.domain.errors import UnknownIncidentError
from agent.domain.incident import Incident
from agent.domain.stops import Stop

if TYPE_CHECKING:
    from agent.web.app import WebParts

#: Every id that we give; anything else is not looked for.
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)


def incident_or_404(parts: WebParts, incident_id: str) -> Incident:
    """The incident with this id."""
    if not _ID.fullmatch(incident_id):
        abort(404, "there is no such incident; `GET /api/v1/incidents` lists them")
    try:
        return parts.store.incident(incident_id)
    except UnknownIncidentError as error:
        abort(404, str(error))


def stop_or_404(parts: WebParts, stop_id: str) -> Stop:
    """The stop with this id, in force or lifted."""
    stop = parts.store.stop_of(stop_id) if _ID.fullmatch(stop_id) else None
    if stop is None:
        abort(404, "there is no such stop; `GET /api/v1/stops?all=true` lists them")
    return stop
