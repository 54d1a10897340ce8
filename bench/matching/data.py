"""Public pairs of alerts and runbooks as contests: candidates with features, and which of them are right."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from agent.ranking import Document, Question, Ranker, document
from agent.ranking.alert_rules import known_alerts, read
from agent.ranking.questions import about

FOLDS = 5


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
    in_reach: bool

    @property
    def fold(self) -> int:
        """Cases with one alert name are never on both sides."""
        return int(hashlib.sha256(self.name.encode()).hexdigest(), 16) % FOLDS


def corpora(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir() if path.is_dir())


def ranker_of(root: Path, corpus: str) -> Ranker:
    documents: list[Document] = []
    paths: dict[str, str] = {}
    for path in sorted((root / corpus).rglob("*.md")):
        key = path.relative_to(root).as_posix()
        documents.append(document(key, key, path.read_text(encoding="utf-8", errors="replace")))
        paths[key] = key
    return Ranker(documents, known_alerts(read(root / corpus), paths))


def question(row: dict, *, named: bool) -> Question:
    name = row["alert_name"] if named else ""
    labels = {key: str(value) for key, value in (row.get("labels") or {}).items()}
    return Question(name, row.get("summary") or "", row.get("description") or "", about(labels))


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def cases(root: Path) -> list[Case]:
    rankers = {corpus: ranker_of(root, corpus) for corpus in corpora(root)}
    found = []
    for row in lines(root / "pairs.jsonl"):
        found += [_case(rankers[row["corpus"]], row, row["corpus"], named=named) for named in (True, False)]
    for row in lines(root / "negatives.jsonl"):
        for corpus in rankers if row["corpus"] == "any" else [row["corpus"]]:
            found += [_case(rankers[corpus], row, corpus, named=named) for named in (True, False)]
    return found


def _case(ranker: Ranker, row: dict, corpus: str, *, named: bool) -> Case:
    contest = ranker.contest(question(row, named=named), ignoring={row["alert_name"]})
    right = _right(row, contest.keys)
    return Case(
        id=row["id"],
        name=row["alert_name"],
        corpus=corpus,
        named=named,
        specific=row.get("target_kind") == "specific",
        negative=row["runbook_path"] is None,
        keys=contest.keys,
        rows=contest.rows,
        right=right,
        in_reach=bool(right),
    )


def _right(row: dict, keys: tuple[str, ...]) -> tuple[int, ...]:
    path = row["runbook_path"]
    if path is None:
        return ()
    if row["target_kind"] == "service_readme":
        folder = PurePosixPath(path).parent
        return tuple(at for at, key in enumerate(keys) if PurePosixPath(key).parent == folder)
    return tuple(at for at, key in enumerate(keys) if key == path)
