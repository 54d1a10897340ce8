"""An alert without secrets: it is redacted before it is stored, so that no later stage can tell one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from agent.domain.alert import Alert
from agent.safety.redaction import Redactor


def redacted_webhook(redactor: Redactor, alert: Alert | None, raw: str) -> tuple[Alert | None, str]:
    """The alert and the body that it came in, as they may be kept; nearly always as they are."""
    told = [] if alert is None else list(_texts(alert))
    if not (alert and alert.labels) and redactor.is_clean([*told, raw]):
        return alert, raw
    return alert and redacted_alert(redactor, alert), redactor.text(raw)


def redacted_alert(redactor: Redactor, alert: Alert) -> Alert:
    """The alert as it may be kept and told: everything but the identifiers that it is found again by.

    A parameter that would have been bound to a secret is bound to the mask, which no declared pattern of a
    name lets through.
    """
    labels = redactor.value(dict(alert.labels))
    return replace(
        alert,
        title=redactor.text(alert.title),
        body=redactor.text(alert.body),
        service=redactor.text(alert.service),
        priority=redactor.text(alert.priority),
        team=redactor.text(alert.team),
        environment=redactor.text(alert.environment),
        url=redactor.text(alert.url),
        links=tuple(redactor.text(link) for link in alert.links),
        labels={str(name): str(value) for name, value in labels.items()} if isinstance(labels, dict) else {},
    )


def _texts(alert: Alert) -> Iterator[str]:
    """Everything of it that is redacted, beside its labels: their names say what is secret."""
    yield from (alert.title, alert.body, alert.service, alert.priority, alert.team, alert.environment)
    yield from (alert.url, *alert.links)
