"""Reads PagerDuty's incident and alerts as facts: severity, labels, readable text.

The webhook carries none of these; they stand in `GET /incidents/{id}/alerts`, under `body.details` or
`body.cef_details.details` depending on the integration. Everything in here is untrusted text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from agent.adapters.json_view import child, clean, flattened, items_at, scalar, text_at
from agent.domain.alert import Severity, Urgency
from agent.ports import SourceFacts

#: Longer texts are prose, not labels; cutting a label would name another thing.
_LABEL_MAX = 1024
_LABELS_MAX = 500
_BODY_MAX = 16_000
_LINKS_MAX = 20
_WORST_FIRST = (Severity.CRITICAL, Severity.ERROR, Severity.WARNING, Severity.INFO)
#: Alertmanager's own blocks among the details; their labels are taken out, the rest is prose.
_BLOCKS = ("firing", "resolved")
_LABEL_LINE = re.compile(r" - ([^\s=]+) = (.*)")
#: Annotations that lead to a runbook, by the usual names.
_RUNBOOK_KEYS = frozenset({"runbook", "runbook_url", "runbook_link"})
_RUNBOOK_LINE = re.compile(r"(?m)^ - (runbook[a-z_]{0,5}) = (\S+)[ \t\r]*$")
#: The Events API's payload fields as PagerDuty keeps them.
_CEF_LABELS = (
    ("source", "source_origin"),
    ("component", "source_component"),
    ("group", "service_group"),
    ("class", "event_class"),
)


def facts_of(incident: object, alerts: Sequence[object]) -> SourceFacts:
    """What the incident and its alerts say; of the alerts the open ones count, if any is open."""
    counted = [each for each in alerts if text_at(each, "status") == "triggered"] or list(alerts)
    title = text_at(incident, "title") or text_at(incident, "summary")
    return SourceFacts(
        title=title,
        status=text_at(incident, "status"),
        service=text_at(incident, "service", "summary"),
        urgency=urgency_of(text_at(incident, "urgency")),
        severity=_worst(counted),
        priority=text_at(incident, "priority", "summary") or text_at(incident, "priority", "name"),
        team=first_text(items_at(incident, "teams"), "summary"),
        body=_body_of(counted, title),
        labels=_agreed(_labels_of(each) for each in counted),
        alert_keys=_unique(_alert_key(each) for each in alerts),
        clients=_unique(text_at(each, "body", "cef_details", "client") for each in alerts),
        links=_unique(link for each in alerts for link in (*_links_of(each), *_runbooks_of(each)))[
            :_LINKS_MAX
        ],
    )


def urgency_of(word: str) -> Urgency | None:
    """PagerDuty's urgency; None for a word that is not one of its two."""
    return Urgency(word) if word in {"high", "low"} else None


def first_text(items: Sequence[object], *path: str) -> str:
    """The first text at the path among the items, or ""."""
    return next((text for each in items if (text := text_at(each, *path))), "")


def _worst(alerts: Sequence[object]) -> Severity | None:
    words = {text_at(each, "severity") or text_at(each, "body", "cef_details", "severity") for each in alerts}
    return next((severity for severity in _WORST_FIRST if severity in words), None)


def _details_of(alert: object) -> object:
    return child(alert, "body", "details") or child(alert, "body", "cef_details", "details")


def _alert_key(alert: object) -> str:
    return text_at(alert, "alert_key") or text_at(alert, "body", "cef_details", "dedup_key")


def _links_of(alert: object) -> Iterator[str]:
    for context in (
        *items_at(alert, "body", "contexts"),
        *items_at(alert, "body", "cef_details", "contexts"),
    ):
        href = text_at(context, "href")
        if text_at(context, "type") == "link" and href.startswith(("https://", "http://")):
            yield href


def _runbooks_of(alert: object) -> Iterator[str]:
    """Links to runbooks among the annotations in Alertmanager's block, text or JSON."""
    firing = child(_details_of(alert), "firing")
    if isinstance(firing, str) and firing.lstrip().startswith("["):
        firing = _json_or_none(firing)
    if isinstance(firing, list):
        notes = (pair for each in firing for pair in flattened(child(each, "annotations")))
    else:
        notes = ((match[1], match[2]) for match in _RUNBOOK_LINE.finditer(scalar(firing)))
    yield from (
        text for name, text in notes if name in _RUNBOOK_KEYS and text.startswith(("https://", "http://"))
    )


def _labels_of(alert: object) -> Mapping[str, str]:
    details = _details_of(alert)
    labels = {
        name: value for name, key in _CEF_LABELS if (value := text_at(alert, "body", "cef_details", key))
    }
    labels |= _common(_firing_labels(child(details, "firing")))
    return labels | dict(flattened(_without_blocks(details)))


def _without_blocks(details: object) -> object:
    if not isinstance(details, Mapping):
        return None
    return {key: value for key, value in details.items() if key not in _BLOCKS or not _is_block(value)}


def _is_block(value: object) -> bool:
    return isinstance(value, list) or (
        isinstance(value, str) and ("Labels:" in value or value.lstrip()[:1] == "[")
    )


def _firing_labels(firing: object) -> list[Mapping[str, str]]:
    """The labels of each alert in Alertmanager's block: text before 0.30, a JSON array since."""
    if isinstance(firing, str) and firing.lstrip().startswith("["):
        firing = _json_or_none(firing)
    if isinstance(firing, list):
        return [dict(flattened(child(each, "labels"))) for each in firing]
    if isinstance(firing, str):
        return [_labels_in(part) for part in re.split(r"(?m)^Labels:[ \t]*\r?$", clean(firing))[1:]]
    return []


def _json_or_none(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _labels_in(block: str) -> Mapping[str, str]:
    labels: dict[str, str] = {}
    for line in block.strip("\n").split("\n"):
        match = _LABEL_LINE.fullmatch(line.rstrip("\r"))
        if match is None:
            break  # "Annotations:" or "Source:", or the rest of a value that spans lines
        labels[match[1]] = match[2].strip()
    return labels


def _common(alerts: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """What all alerts of a group share; text inside an annotation that looks like a block adds nothing."""
    if not alerts:
        return {}
    first, *others = alerts
    return {
        name: value
        for name, value in first.items()
        if value and all(each.get(name) == value for each in others)
    }


def _agreed(alerts: Iterable[Mapping[str, str]]) -> Mapping[str, str]:
    """Labels that no two alerts contradict each other about: one of several pods is not "the" pod."""
    seen: dict[str, str | None] = {}
    for labels in alerts:
        for name, value in labels.items():
            seen[name] = value if seen.get(name, value) == value else None
    agreed = ((name, value) for name, value in seen.items() if value and len(value) <= _LABEL_MAX)
    return dict(list(agreed)[:_LABELS_MAX])


def _body_of(alerts: Sequence[object], title: str) -> str:
    told = {title}
    lines: list[str] = []
    for alert in alerts:
        for line in _lines_of(alert):
            if line not in told:
                told.add(line)
                lines.append(line)
    body = "\n".join(lines)
    return body if len(body) <= _BODY_MAX else body[: _BODY_MAX - 1] + "…"


def _lines_of(alert: object) -> Iterator[str]:
    yield from filter(None, (text_at(alert, "summary"), text_at(alert, "body", "cef_details", "description")))
    details = _details_of(alert)
    if isinstance(details, str):
        yield scalar(details)
        return
    for name, value in flattened(details):
        yield f"{name}: {value}"
    for each in items_at(details, "firing"):
        for part in ("labels", "annotations"):
            yield from (f"{name}: {value}" for name, value in flattened(child(each, part)))


def _unique(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for text in texts if text))
