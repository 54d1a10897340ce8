"""An alert: one signal as received from a source, never mutated."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Severity(StrEnum):
    """How bad the alert says it is; PagerDuty's four words."""

    CRITICAL = "critical"
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Urgency(StrEnum):
    """How PagerDuty notifies for it; not the same as severity."""

    HIGH = "high"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class Alert:
    """What a source told us, in our own words; texts are untrusted data."""

    source: str
    source_id: str
    title: str
    body: str = ""
    service: str = ""
    severity: Severity | None = None
    urgency: Urgency | None = None
    priority: str = ""
    team: str = ""
    environment: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    url: str = ""
    dedup_key: str = ""
    fired_at: datetime | None = None
    links: tuple[str, ...] = ()

    @property
    def identity(self) -> str:
        """What makes two alerts the same one: the source's own key, else the service and what the title says.

        A key that only names the source's incident is new each time and tells nothing.
        """
        if self.dedup_key and self.dedup_key != self.source_id:
            return f"{self.source} key {self.dedup_key}"
        return f"{self.source} title {self.service.casefold()} {steady(self.title)}"

    @property
    def fold_key(self) -> str:
        """What another alert must have in common with this one to be closed with it; "" if nobody can tell.

        Stricter than `identity`: `host 12` is not `host 13`. Only a percentage may differ from time to time.
        """
        key = self.dedup_key if self.dedup_key != self.source_id else ""
        words = self.title[:_TITLE_MAX].casefold().split()
        if not self.service or not (key or words):
            return ""
        said = " ".join("#%" if _PERCENTAGE.fullmatch(word) else word for word in words)
        same = "\n".join((self.source, self.service, f"key {key}" if key else f"title {said}"))
        return hashlib.sha256(same.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def steady(title: str) -> str:
    """A text without what differs from time to time: case, spaces, and numbers that stand alone."""
    words = title[:_TITLE_MAX].casefold().split()
    return " ".join("#" if _NUMBER.fullmatch(word) else word for word in words)


_TITLE_MAX = 1_024
_PERCENTAGE = re.compile(r"[(\[]?[0-9]+(?:[.,][0-9]+)?%[)\],;:]?", re.ASCII)
_NUMBER = re.compile(r"[(\[]?[0-9][0-9.,:]*[a-z%]{0,2}[)\],;:]?", re.ASCII)


#: Runbook words and what satisfies them (either the severity or, where named, the urgency).
SEVERITY_WORDS: Mapping[str, tuple[Severity, Urgency | None]] = {
    "critical": (Severity.CRITICAL, None),
    "high": (Severity.ERROR, Urgency.HIGH),
    "medium": (Severity.WARNING, None),
    "low": (Severity.INFO, Urgency.LOW),
}


def satisfies_severity(alert: Alert, word: str) -> bool:
    """Whether the alert is as a runbook's `Severity:` word demands; `high` is not `critical`."""
    severity, urgency = SEVERITY_WORDS[word]
    if alert.severity is not None and alert.severity == severity:
        return True
    return urgency is not None and alert.urgency == urgency
