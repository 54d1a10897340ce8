"""Webhooks as Alertmanager writes them: version 4, with every field that a real one has."""

from __future__ import annotations

from typing import Any

STARTED = "2026-11-20T23:34:25.807379Z"
YEAR_1 = "0001-01-01T00:00:00Z"


def alert(
    name: str = "RedisDown",
    *,
    status: str = "firing",
    fingerprint: str = "0d97dcaf238fc112",
    started: str = STARTED,
    ended: str = "2026-11-20T23:49:35.815114Z",
    annotations: dict[str, str] | None = None,
    **labels: str,
) -> dict[str, Any]:
    return {
        "status": status,
        "labels": {"alertname": name, "severity": "critical", "service": "checkout", **labels},
        "annotations": {"summary": "Redis does not answer", "description": "No PONG"} | (annotations or {}),
        "startsAt": started,
        "endsAt": ended if status == "resolved" else YEAR_1,
        "generatorURL": "http://prometheus.example.com:9090/graph?g0.expr=redis_up",
        "fingerprint": fingerprint,
    }


def group(*alerts: dict[str, Any], truncated: int = 0, **more: Any) -> dict[str, Any]:
    common = dict(set.intersection(*({*each["labels"].items()} for each in alerts)))
    return {
        "receiver": "oncall-agent",
        "status": "firing" if any(each["status"] == "firing" for each in alerts) else "resolved",
        "alerts": list(alerts),
        "groupLabels": {"alertname": "RedisDown"},
        "commonLabels": common,
        "commonAnnotations": {"summary": "Redis does not answer"},
        "externalURL": "http://alertmanager.example.com:9093",
        "version": "4",
        "groupKey": '{}:{alertname="RedisDown"}',
        "truncatedAlerts": truncated,
        **more,
    }
