"""A folder of Markdown documentation, and alerts asked of it: the ranking without a daemon."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from agent.domain.errors import AgentError
from agent.ranking.alert_rules import known_alerts, read
from agent.ranking.documents import document
from agent.ranking.questions import Question, about
from agent.ranking.ranker import Ranked, Ranker

#: Below this the best candidate is not even worth a human's choice.
WORTH_ASKING = 0.2


class Verdict(StrEnum):
    """What would be done: take it alone, let a human choose, or say that there is none."""

    MATCH = "match"
    AMBIGUOUS = "ambiguous"
    NONE = "none"


class CorpusError(AgentError):
    """The folder or the file of pairs cannot be used."""


@dataclass(frozen=True, slots=True)
class Pair:
    """An alert to ask; `part` is the folder below the corpus that is asked ("" for all of it)."""

    id: str
    question: Question
    part: str = ""


def verdict(ranked: Sequence[Ranked], *, min_confidence: float) -> Verdict:
    """By the best candidate's probability."""
    best = ranked[0].probability if ranked else 0.0
    if best >= min_confidence:
        return Verdict.MATCH
    return Verdict.AMBIGUOUS if best >= WORTH_ASKING else Verdict.NONE


def ranker_of(root: Path, part: str = "") -> Ranker:
    """Every Markdown file below the folder, by its path relative to the root; alert rules there are read.

    CorpusError if there is no Markdown file.
    """
    folder = root / part
    paths = sorted(path for path in folder.rglob("*.md") if path.is_file())
    if not paths:
        raise CorpusError(f"{folder} holds no Markdown files; name a folder of runbooks or documentation")
    keys = [path.relative_to(root).as_posix() for path in paths]
    texts = (path.read_text(encoding="utf-8", errors="replace") for path in paths)
    documents = (document(key, key, text) for key, text in zip(keys, texts, strict=True))
    return Ranker(documents, known_alerts(read(folder), dict(zip(keys, keys, strict=True))))


def read_pairs(path: Path, root: Path) -> Iterator[Pair]:
    """One JSON object a line: `id`, `alert_name`, `summary`, `description`, `labels`, `corpus` (a folder).

    CorpusError with the line that cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"{path} cannot be read: {error}") from error
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield _pair(line, root, where=f"{path}:{number}")


def _pair(line: str, root: Path, *, where: str) -> Pair:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise CorpusError(f"{where}: not JSON: {error}") from error
    if not isinstance(row, dict):
        raise CorpusError(f"{where}: must be one JSON object a line")
    part = str(row.get("corpus") or "")
    is_folder = part and "/" not in part and part != ".." and (root / part).is_dir()
    return Pair(str(row.get("id", where)), question_of(row), part if is_folder else "")


def question_of(row: Mapping[str, Any]) -> Question:
    """The alert of a pair."""
    labels = row.get("labels")
    labels = {str(key): str(value) for key, value in labels.items()} if isinstance(labels, dict) else {}
    name, summary, description = (str(row.get(key) or "") for key in ("alert_name", "summary", "description"))
    return Question(name, summary, description, about(labels))
