"""The library as rules and scores look it up: in step with its files, safe for many incidents at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from agent.domain.alert import Alert
from agent.domain.runbook import Runbook
from agent.library import Verdict
from agent.library.trigger_index import TriggerIndex
from agent.pipeline.links import without_links
from agent.ranking import Document, KnownAlert, Ranked, Ranker, document
from agent.ranking.questions import question_of
from agent.ranking.words import squeezed

#: What was learned from elsewhere is looked at again after this time.
_LEARNED_FOR_S = 60.0
#: More changes than these are faster made anew than one by one.
_FEW = 200


@dataclass(frozen=True, slots=True)
class Standing:
    """The runbooks whose conditions hold, in order of their ids, and what scores say of them.

    `ranked` has the nearest of all runbooks where none holds, and nothing where one holds alone.
    """

    eligible: tuple[tuple[str, Verdict], ...]
    ranked: tuple[Ranked, ...]


class Scores:
    """Takes in what changed since it was asked last; one question at a time, each takes milliseconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runbooks: Mapping[str, Runbook] = {}
        self._known: Sequence[KnownAlert] = ()
        self._learn_at = float("-inf")
        self._ranker = Ranker()
        self._rules = TriggerIndex()
        self._names: dict[str, set[str]] = {}

    def prepare(self, runbooks: Mapping[str, Runbook]) -> None:
        """Have everything looked up before the first page comes in."""
        with self._lock:
            self._take_in(runbooks)

    def learn(self, now_s: float, read: Callable[[], Sequence[KnownAlert]]) -> None:
        """Take in alerts whose runbook is known; what was read stands for a minute."""
        with self._lock:
            if now_s < self._learn_at:
                return
            self._learn_at = now_s + _LEARNED_FOR_S
            known = read()
            if list(known) != list(self._known):
                self._known = known
                self._ranker.know(known)

    def look(self, runbooks: Mapping[str, Runbook], alert: Alert) -> Standing:
        """Who is eligible, and how these compare; if nobody is, who comes nearest."""
        with self._lock:
            self._take_in(runbooks)
            eligible = self._rules.eligible(alert)
            if len(eligible) == 1:
                return Standing(eligible, ())
            return Standing(eligible, self._rank(alert, [key for key, _ in eligible]))

    def named(self, runbooks: Mapping[str, Runbook], names: Iterable[str]) -> frozenset[str]:
        """The ids of the runbooks that are called so, by id or file name."""
        with self._lock:
            self._take_in(runbooks)
            none: set[str] = set()
            return frozenset(key for name in names for key in self._names.get(squeezed(name), none))

    def _rank(self, alert: Alert, among: Collection[str]) -> tuple[Ranked, ...]:
        return self._ranker.rank(question_of(without_links(alert)), among=among) if self._runbooks else ()

    def _take_in(self, runbooks: Mapping[str, Runbook]) -> None:
        if runbooks is self._runbooks:
            return
        before = self._runbooks
        others = [each for key, each in runbooks.items() if before.get(key) is not each]
        changed = [each for each in others if not _is_same(each, before.get(each.id))]
        removed = [before[key] for key in before.keys() - runbooks.keys()]
        if len(changed) + len(removed) > _FEW:
            self._make_anew(runbooks)
        else:
            for each in removed:
                self._forget(each)
            for each in changed:
                self._put(each)
        self._runbooks = runbooks

    def _make_anew(self, runbooks: Mapping[str, Runbook]) -> None:
        self._ranker = Ranker((_document(each) for each in runbooks.values()), self._known)
        self._rules = TriggerIndex({key: each.trigger for key, each in runbooks.items()})
        self._names = {}
        for each in runbooks.values():
            self._call(each)

    def _put(self, runbook: Runbook) -> None:
        if runbook.id in self._runbooks:
            self._forget(self._runbooks[runbook.id])
        self._ranker.index.put(_document(runbook))
        self._rules.put(runbook.id, runbook.trigger)
        self._call(runbook)

    def _forget(self, runbook: Runbook) -> None:
        self._ranker.index.remove(runbook.id)
        self._rules.remove(runbook.id)
        for name in _names_of(runbook):
            self._names[name].discard(runbook.id)

    def _call(self, runbook: Runbook) -> None:
        for name in _names_of(runbook):
            self._names.setdefault(name, set()).add(runbook.id)


def _is_same(one: Runbook, other: Runbook | None) -> bool:
    return one is other or (other is not None and (one.revision, one.path) == (other.revision, other.path))


def _document(runbook: Runbook) -> Document:
    return document(runbook.id, runbook.path, runbook.text)


def _names_of(runbook: Runbook) -> set[str]:
    return {squeezed(runbook.id), squeezed(PurePosixPath(runbook.path).stem)} - {""}
