"""Prometheus alert rules kept beside runbooks: which alert names which runbook in its annotations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import yaml

from agent.ranking.known import KnownAlert
from agent.ranking.words import squeezed

_LINKS = ("runbook_url", "runbook", "runbook_link")
_TEXTS = ("summary", "title", "description", "message")
MAX_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class AlertRule:
    """One alerting rule: its name, what it says, and the link to its runbook ("" if it has none)."""

    name: str
    text: str
    link: str


def read(folder: Path) -> list[AlertRule]:
    """Every alerting rule in the YAML files below a folder; files that are something else are passed over."""
    paths = sorted(path for pattern in ("*.yaml", "*.yml") for path in folder.rglob(pattern))
    return [rule for path in paths for rule in _rules_of(path)]


def _rules_of(path: Path) -> Iterator[AlertRule]:
    try:
        if path.stat().st_size > MAX_BYTES:
            return
        documents = list(yaml.load_all(path.read_text(encoding="utf-8"), Loader=_loader()))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError):
        return
    for document in documents:
        yield from _found_in(document)


def _loader() -> type[yaml.SafeLoader]:
    """The fast one in C where it is built; both make plain values only."""
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _found_in(value: object) -> Iterator[AlertRule]:
    if isinstance(value, Mapping):
        if isinstance(value.get("alert"), str):
            yield _rule(value)
        for inner in value.values():
            yield from _found_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _found_in(inner)


def _rule(value: Mapping[object, object]) -> AlertRule:
    notes = value.get("annotations")
    notes = notes if isinstance(notes, Mapping) else {}
    text = " ".join(str(notes[key]) for key in _TEXTS if notes.get(key))
    link = next((str(notes[key]) for key in _LINKS if notes.get(key)), "")
    return AlertRule(str(value["alert"]), text, link)


def known_alerts(rules: Sequence[AlertRule], paths: Mapping[str, str]) -> list[KnownAlert]:
    """Rules with the document that their link names; `paths` gives each document's path by its key.

    A link that leads to none of them, or could mean several, makes an alert that is known to have none.
    """
    places = _Places(paths)
    return [KnownAlert(rule.name, rule.text, places.of(rule.link)) for rule in rules]


class _Places:
    """Finds a document by what a link ends with."""

    def __init__(self, paths: Mapping[str, str]) -> None:
        self._by_name: dict[str, list[str]] = defaultdict(list)
        self._by_tail: dict[str, list[str]] = defaultdict(list)
        for key, path in paths.items():
            self._by_name[squeezed(PurePosixPath(path).stem)].append(key)
            for tail in _tails(path):
                self._by_tail[tail].append(key)

    def of(self, link: str) -> str:
        """The key, or "" if it is not certain."""
        place = link.split("#")[0].split("?")[0].strip("/ ")
        name = squeezed(place.rpartition("/")[2].removesuffix(".md")) if place else ""
        return _only(self._by_tail.get(place, ())) or (_only(self._by_name.get(name, ())) if name else "")


def _tails(path: str) -> Iterable[str]:
    parts = path.split("/")
    return ("/".join(parts[at:]) for at in range(len(parts)))


def _only(keys: Sequence[str]) -> str:
    return keys[0] if len(keys) == 1 else ""
