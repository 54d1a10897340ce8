"""A folder of documentation is asked many alerts, each of the part that it names."""

import json
from pathlib import Path

import pytest

from agent.ranking.corpus import CorpusError, Verdict, ranker_of, read_pairs, verdict
from agent.ranking.ranker import Ranked


def test_a_part_is_ranked_by_paths_relative_to_the_root(tmp_path: Path) -> None:
    (tmp_path / "team" / "docs").mkdir(parents=True)
    (tmp_path / "team" / "docs" / "redis.md").write_text("# Redis\n\nconnection timeout\n")
    (tmp_path / "pairs.jsonl").write_text(
        json.dumps({"id": "1", "alert_name": "RedisDown", "corpus": "team", "labels": {"service": "redis"}})
        + "\n\n"
        + json.dumps({"id": "2", "summary": "Redis", "corpus": "../etc"})
    )
    first, second = read_pairs(tmp_path / "pairs.jsonl", tmp_path)
    assert (first.part, second.part) == ("team", "")
    ranked = ranker_of(tmp_path, first.part).rank(first.question)
    assert [each.key for each in ranked] == ["team/docs/redis.md"]


@pytest.mark.parametrize(
    ("text", "words"), [("{", "pairs.jsonl:1: not JSON"), ("[1]", "pairs.jsonl:1: must be one JSON object")]
)
def test_a_line_that_cannot_be_read_is_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "pairs.jsonl").write_text(text)
    with pytest.raises(CorpusError, match=words):
        list(read_pairs(tmp_path / "pairs.jsonl", tmp_path))


def test_a_folder_without_documents_and_a_missing_file_are_told(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="holds no Markdown"):
        ranker_of(tmp_path)
    with pytest.raises(CorpusError, match="cannot be read"):
        list(read_pairs(tmp_path / "none", tmp_path))


@pytest.mark.parametrize(
    ("probability", "wanted"),
    [(0.9, Verdict.MATCH), (0.8, Verdict.MATCH), (0.5, Verdict.AMBIGUOUS), (0.1, Verdict.NONE)],
)
def test_the_best_ones_probability_decides(probability: float, wanted: Verdict) -> None:
    assert verdict([Ranked("a", probability)], min_confidence=0.8) is wanted
    assert verdict([], min_confidence=0.8) is Verdict.NONE
