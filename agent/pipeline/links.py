"""A link from an alert to its runbook: evidence, from hosts that are trusted, and never an order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from agent.domain.alert import Alert
from agent.domain.decisions import Candidate

#: Labels and annotations that lead to a runbook, by the usual names.
RUNBOOK_KEYS = frozenset({"runbook", "runbook_url", "runbook_link"})

#: How much a trusted link speaks for a runbook whose conditions hold, as a factor of its odds: it decides
#: between equals, and makes a weak candidate one that a human is asked about.
_WEIGHT = 20.0

# a character class after fixed letters: linear, whatever the text is
_URL = re.compile(r"https?://[^\s\"'<>]*", re.IGNORECASE)

_REASON = "a trusted link of the alert names it"


def linked_names(alert: Alert, trusted: Sequence[str]) -> frozenset[str]:
    """What the links to trusted hosts are called, without the folder and `.md`."""
    if not trusted:
        return frozenset()
    return frozenset(name for link in _links(alert) if (name := _name(link, trusted)))


def without_links(alert: Alert) -> Alert:
    """The alert as scores read it: the words of a link from anywhere must not speak for a runbook."""
    labels = {
        name: value
        for name, value in alert.labels.items()
        if not _leads_to_a_runbook(name) and "://" not in value
    }
    return replace(
        alert, title=_URL.sub(" ", alert.title), body=_URL.sub(" ", alert.body), labels=labels, links=()
    )


def _leads_to_a_runbook(label: str) -> bool:
    return label.rpartition(".")[2] in RUNBOOK_KEYS


def _links(alert: Alert) -> Iterator[str]:
    yield from alert.links
    yield from (value for name, value in alert.labels.items() if _leads_to_a_runbook(name))


def _name(link: str, trusted: Sequence[str]) -> str:
    try:
        parts = urlsplit(link.strip())
        host = (parts.hostname or "").lower()
    except ValueError:
        return ""
    if parts.scheme not in ("https", "http") or not any(fnmatchcase(host, glob.lower()) for glob in trusted):
        return ""
    return PurePosixPath(unquote(parts.path)).name.removesuffix(".md")


def weighed(candidates: Sequence[Candidate], linked: str) -> tuple[Candidate, ...]:
    """The candidates with a trusted link taken into account, best first; all of them are eligible already."""
    named = next((each for each in candidates if each.runbook_id == linked), None)
    if named is None:
        return tuple(candidates)
    now = named.confidence * _WEIGHT / (named.confidence * _WEIGHT + 1 - named.confidence)
    others = sum(each.confidence for each in candidates) - named.confidence
    share = min(1.0, (1 - now) / others) if others > 0 else 1.0
    changed = (
        Candidate(each.runbook_id, now, (_REASON, *each.reasons), each.revision)
        if each is named
        else Candidate(each.runbook_id, each.confidence * share, each.reasons, each.revision)
        for each in candidates
    )
    return tuple(sorted(changed, key=lambda each: -each.confidence))
