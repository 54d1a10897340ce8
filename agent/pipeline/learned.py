"""What is known of alerts beside the runbooks' words: alert rules that name one, and what helped before."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog

from agent.domain.errors import StoreError
from agent.domain.incident import Incident
from agent.domain.runbook import Runbook
from agent.ports import HistoryStore
from agent.ranking import KnownAlert
from agent.ranking.alert_rules import AlertRule, known_alerts, read

#: Of what was resolved, so many are remembered; and so much of what each said.
_MOST_RESOLVED = 500
_BODY_MAX = 500

log = structlog.get_logger()

_Stamps = Sequence[tuple[str, int, int]]


class Learned:
    """Reads alert rules below the folder of runbooks, again only when a file changed, and the history."""

    def __init__(self, *, history: bool = True) -> None:
        self._history = history
        self._stamps: _Stamps = ()
        self._rules: Sequence[AlertRule] = ()

    def known(self, folder: Path, runbooks: Mapping[str, Runbook], store: HistoryStore) -> list[KnownAlert]:
        """Every alert whose runbook is known; one that no runbook of ours answers is known to have none."""
        stamps = _stamps(folder)
        if stamps != self._stamps:
            self._stamps, self._rules = stamps, read(folder)
        paths = {key: each.path for key, each in runbooks.items()}
        resolved = [each for each in self._resolved(store) if each.runbook_id in runbooks]
        return [*known_alerts(self._rules, paths), *dict.fromkeys(_known(each) for each in resolved)]

    def _resolved(self, store: HistoryStore) -> Sequence[Incident]:
        """What helped before; rules and words decide as well without it."""
        try:
            return store.lately_resolved(_MOST_RESOLVED) if self._history else ()
        except StoreError as error:
            log.warning("history_not_read", error=str(error))
            return ()


def _stamps(folder: Path) -> _Stamps:
    found = []
    for pattern in ("*.yaml", "*.yml"):
        for path in sorted(folder.rglob(pattern)):
            try:
                status = os.stat(path)  # noqa: PTH116  (a link that leads nowhere is passed over)
            except OSError:
                continue
            found.append((str(path), status.st_mtime_ns, status.st_size))
    return tuple(found)


def _known(incident: Incident) -> KnownAlert:
    alert = incident.alert
    text = f"{alert.title} {alert.body[:_BODY_MAX]}"
    return KnownAlert(alert.labels.get("alertname", ""), text, incident.runbook_id)
