"""An alert from a file: a raw webhook body of any source, or our own normal form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.adapters import alertmanager_webhook, grafana_webhook, opsgenie_webhook, pagerduty_webhook
from agent.config.sources import Alertmanager
from agent.domain.alert import Alert, Severity, Urgency
from agent.domain.errors import AgentError
from agent.domain.source_event import EventType
from agent.ports.sources import AlertSource, Malformed, Read

_KNOWN = frozenset(
    {"source", "source_id", "title", "body", "severity", "urgency", "service", "labels", "priority", "team",
     "environment", "url", "dedup_key"}
)  # fmt: skip


class AlertFileError(AgentError):
    """The file holds no alert that the agent understands."""


def read_alert(path: Path) -> Alert:
    """The alert in the file; AlertFileError says what is wrong and what may be written instead."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise AlertFileError(f"{path} cannot be read: {error.strerror}") from error
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise AlertFileError(f"{path} is not JSON: {error}") from error
    return parse_alert(data, raw, where=str(path))


def read_alert_of(path: Path, source: AlertSource) -> Alert:
    """The alert in a file that holds what this source posts, as the daemon reads it."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise AlertFileError(f"{path} cannot be read: {error.strerror}") from error
    return _posted(source.read(raw, {}), source.name, str(path))


def parse_alert(data: object, raw: bytes, *, where: str) -> Alert:
    """The alert in parsed JSON."""
    if not isinstance(data, dict):
        raise AlertFileError(f"{where} must hold a JSON object")
    if "event" in data or isinstance(data.get("incident"), dict):
        return _pagerduty(raw, where)
    if isinstance(data.get("action"), str) and isinstance(data.get("alert"), dict):
        return _posted(opsgenie_webhook.read(raw), "opsgenie", where)
    if "TopicArn" in data and "Type" in data:
        return _posted(_sns(raw), "sns", where)
    if isinstance(data.get("alerts"), list) and (data.get("version") == "1" or "orgId" in data):
        return _posted(grafana_webhook.read(raw), "grafana", where)
    if isinstance(data.get("alerts"), list) and data["alerts"]:
        read = alertmanager_webhook.read(raw, Alertmanager())
        whole = _posted(read, "alertmanager", where) if isinstance(read, Read) else None
        return whole or _alertmanager(data["alerts"][0], where)
    return _normal(data, where)


def _pagerduty(raw: bytes, where: str) -> Alert:
    event = pagerduty_webhook.read(raw)
    alert = None if isinstance(event, Malformed) else pagerduty_webhook.to_alert(event)
    if alert is None:
        why = event.reason if isinstance(event, Malformed) else "it carries no incident"
        raise AlertFileError(f"{where} looks like a PagerDuty webhook, but {why}")
    return alert


def _sns(raw: bytes) -> Read | Malformed:
    """Its libraries for certificates take a while to load, and only it needs them."""
    from agent.adapters.cloudwatch_alarm import event_in
    from agent.adapters.sns_message import NOTIFICATION, message_in

    message = message_in(raw)
    if isinstance(message, Malformed):
        return message
    return event_in(message) if message.type == NOTIFICATION else Read((), why_none="a subscription")


def _posted(read: Read | Malformed, source: str, where: str) -> Alert:
    """The first alert that fires, else the first at all."""
    if isinstance(read, Malformed):
        raise AlertFileError(f"{where} is read as a webhook of {source}, but {read.reason}")
    by_firing = sorted(read.events, key=lambda event: event.type is not EventType.TRIGGERED)
    alert = next((event.alert for event in by_firing if event.alert is not None), None)
    if alert is None:
        raise AlertFileError(f"{where} is a webhook of {source} without an alert: {read.why_none}")
    return alert


def _alertmanager(alert: object, where: str) -> Alert:
    """One that somebody wrote or cut: it need not say all that Alertmanager says."""
    if not isinstance(alert, dict):
        raise AlertFileError(f"{where}: alerts[0] must be an object")
    labels, annotations = _texts(alert.get("labels")), _texts(alert.get("annotations"))
    name = labels.get("alertname", "")
    return Alert(
        source="alertmanager",
        source_id=str(alert.get("fingerprint") or name),
        title=": ".join(part for part in (name, annotations.get("summary", "")) if part),
        body="\n".join(annotations.values()),
        service=labels.get("service", ""),
        severity=_word(Severity, labels.get("severity")),
        team=labels.get("team", ""),
        environment=labels.get("environment", labels.get("env", "")),
        labels=labels,
        dedup_key=str(alert.get("fingerprint") or name),
    )


def _normal(data: Mapping[str, Any], where: str) -> Alert:
    unknown = sorted(set(data) - _KNOWN)
    if unknown or not isinstance(data.get("title"), str):
        what = f"unknown key {unknown[0]}" if unknown else "no title"
        raise AlertFileError(
            f"{where}: {what}; write a raw webhook body, or "
            '{"source", "title", "body", "severity", "urgency", "service", "labels"}'
        )
    for name, words in (("severity", Severity), ("urgency", Urgency)):
        if data.get(name) and _word(words, data[name]) is None:
            raise AlertFileError(f"{where}: {name} must be one of {', '.join(each.value for each in words)}")
    return Alert(
        source=str(data.get("source") or "manual"),
        source_id=str(data.get("source_id") or data.get("dedup_key") or data["title"]),
        title=data["title"],
        body=str(data.get("body") or ""),
        service=str(data.get("service") or ""),
        severity=_word(Severity, data.get("severity")),
        urgency=_word(Urgency, data.get("urgency")),
        priority=str(data.get("priority") or ""),
        team=str(data.get("team") or ""),
        environment=str(data.get("environment") or ""),
        labels=_texts(data.get("labels")),
        url=str(data.get("url") or ""),
        dedup_key=str(data.get("dedup_key") or ""),
    )


def _texts(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {str(name): str(text) for name, text in value.items()}


def _word(words: Any, text: object) -> Any:
    return next((each for each in words if each.value == text), None)
