"""Public pairs of alerts and runbooks as contests: candidates with features, and which of them are right."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from agent.ranking import KnownAlert, Question, Ranker, document
from agent.ranking.alert_rules import known_alerts, read
from agent.ranking.corpus import question_of
from agent.ranking.model import Kind, kind_of

FOLDS = 5
Row = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One alert asked of one corpus; `right` are places among the candidates, empty for none."""

    id: str
    name: str
    corpus: str
    named: bool
    specific: bool
    negative: bool
    keys: tuple[str, ...]
    rows: np.ndarray
    right: tuple[int, ...]

    @property
    def kind(self) -> Kind:
        """Which of the models it is asked of."""
        return kind_of(self.rows, named=self.named)

    @property
    def fold(self) -> int:
        """Cases with one alert name are never on both sides."""
        return int(hashlib.sha256(self.name.encode()).hexdigest(), 16) % FOLDS


def corpora(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir() if path.is_dir())


def ranker_of(root: Path, corpus: str, *, rules: bool = True) -> Ranker:
    """One corpus; `rules`: with the alert rules beside its runbooks."""
    paths = sorted((root / corpus).rglob("*.md"))
    texts = {path.relative_to(root).as_posix(): path.read_text(errors="replace") for path in paths}
    known: Sequence[KnownAlert] = (
        known_alerts(read(root / corpus), {key: key for key in texts}) if rules else ()
    )
    return Ranker((document(key, key, text) for key, text in texts.items()), known)


def question(row: Row, *, named: bool) -> Question:
    asked = question_of(row)
    return asked if named else replace(asked, name="")


def lines(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def asked(root: Path) -> Iterator[tuple[Row, str]]:
    """Every alert with the corpus that is asked; one that no corpus answers is asked of all."""
    for row in lines(root / "pairs.jsonl"):
        yield row, row["corpus"]
    for row in lines(root / "negatives.jsonl"):
        for corpus in corpora(root) if row["corpus"] == "any" else [row["corpus"]]:
            yield row, corpus


def cases(root: Path, *, rules: bool = True) -> list[Case]:
    rankers = {corpus: ranker_of(root, corpus, rules=rules) for corpus in corpora(root)}
    return [
        case_of(rankers[corpus], row, corpus, named=named)
        for row, corpus in asked(root)
        for named in (True, False)
    ]


def case_of(ranker: Ranker, row: Row, corpus: str, *, named: bool) -> Case:
    """An alert never finds itself among the known alerts: those of its name are left out."""
    contest = ranker.contest(question(row, named=named), ignoring={row["alert_name"]})
    return Case(
        id=row["id"],
        name=row["alert_name"],
        corpus=corpus,
        named=named,
        specific=row.get("target_kind") == "specific",
        negative=row["runbook_path"] is None,
        keys=contest.keys,
        rows=contest.rows,
        right=_right(row, contest.keys),
    )


def _right(row: Row, keys: Sequence[str]) -> tuple[int, ...]:
    path = row["runbook_path"]
    if path is None:
        return ()
    if row["target_kind"] == "service_readme":
        folder = PurePosixPath(path).parent
        return tuple(at for at, key in enumerate(keys) if PurePosixPath(key).parent == folder)
    return tuple(at for at, key in enumerate(keys) if key == path)
