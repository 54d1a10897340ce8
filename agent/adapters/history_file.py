"""A team's history from a file: one JSON object a line, PagerDuty's incidents as they are or our normal form.

Of PagerDuty: an incident as `GET /incidents` gives it, alone or as `{"incident": {…}, "alerts": […]}`.
Both forms may have `runbook` beside (what should have answered it), ours also `id` and `fired_at`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agent.adapters.alert_file import AlertFileError, parse_alert
from agent.adapters.json_view import child, text_at
from agent.adapters.pagerduty_facts import facts_of
from agent.domain.alert import Alert
from agent.domain.history import PastAlert

_BESIDE = ("id", "fired_at", "created_at", "runbook")
#: A line beyond this is no alert: PagerDuty takes 512 KB for one.
_LINE_MAX = 4 * 1024 * 1024


def read_history(path: Path) -> Iterator[PastAlert]:
    """Line by line; AlertFileError names the line that cannot be read."""
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield _past(line, where=f"{path}:{number}")
    except OSError as error:
        raise AlertFileError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise AlertFileError(f"{path} is not UTF-8; export it anew as UTF-8") from error


def _past(line: str, *, where: str) -> PastAlert:
    if len(line) > _LINE_MAX:
        raise AlertFileError(f"{where} is longer than {_LINE_MAX} characters; write one incident a line")
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise AlertFileError(f"{where} is not JSON: {error}; write one JSON object a line") from error
    if not isinstance(data, dict):
        raise AlertFileError(f"{where} must be one JSON object a line")
    if isinstance(data.get("incident"), dict):
        return past_of(data["incident"], data.get("alerts"), runbook=_label(data))
    if "title" in data and isinstance(data.get("service"), dict):
        return past_of(data, data.get("alerts"), runbook=_label(data))
    return _normal(data, line, where)


def past_of(incident: object, alerts: object, *, runbook: str | None = None) -> PastAlert:
    """An incident of PagerDuty with its alerts, as a page of the past."""
    facts = facts_of(incident, alerts if isinstance(alerts, list) else ())
    source_id = text_at(incident, "id")
    at = time_of(child(incident, "created_at"))
    alert = Alert(
        source="pagerduty",
        source_id=source_id,
        title=facts.title,
        body=facts.body,
        service=facts.service,
        severity=facts.severity,
        urgency=facts.urgency,
        priority=facts.priority,
        team=facts.team,
        environment=facts.labels.get("environment", facts.labels.get("env", "")),
        labels=facts.labels,
        dedup_key=next(iter(facts.alert_keys), text_at(incident, "incident_key")),
        fired_at=at,
    )
    return PastAlert(source_id, alert, at, runbook)


def time_of(value: object) -> datetime | None:
    """A time as PagerDuty writes it; None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _normal(data: Mapping[str, Any], line: str, where: str) -> PastAlert:
    kept = {key: value for key, value in data.items() if key not in _BESIDE}
    alert = parse_alert(kept, line.encode(), where=where)
    at = time_of(data.get("fired_at") or data.get("created_at"))
    return PastAlert(str(data.get("id") or where.rpartition(":")[2]), alert, at, _label(data))


def _label(data: Mapping[str, Any]) -> str | None:
    if "runbook" not in data:
        return None
    return str(data["runbook"] or "")
