"""What was taken in change by change stands as if it had been read at once."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.domain.alert import Alert
from agent.domain.decisions import Candidate
from agent.domain.runbook import Runbook
from agent.library import Parsed, parse
from agent.pipeline.links import weighed
from agent.pipeline.scores import Scores
from tests.unit.pipeline.conftest import runbook, step

TITLES = ["Redis Connection Timeout", "Redis Memory", "Disk Full", "Certificate Expires"]
WORDS = ["redis", "disk", "certificate"]
NAMES = ["one", "two", "three", "four"]
ALERTS = [Alert("s", "1", title) for title in ("redis timeout", "disk is full on redis", "nothing known")]


def _parsed(name: str, title: str, word: str) -> Runbook:
    text = runbook(title=title, triggers=f'- Alert contains: "{word}"', steps=step(1, "redis-cli PING"))
    parsed = parse(text, path=f"runbooks/{name}.md")
    assert isinstance(parsed, Parsed)
    return parsed.runbook


LIBRARIES = st.lists(
    st.dictionaries(
        st.sampled_from(NAMES), st.tuples(st.sampled_from(TITLES), st.sampled_from(WORDS)), max_size=4
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=60, deadline=None)
@given(LIBRARIES)
def test_a_library_that_changed_stands_as_one_that_was_read_anew(
    states: list[dict[str, tuple[str, str]]],
) -> None:
    kept = Scores()
    for state in states:
        runbooks: Mapping[str, Runbook] = {name: _parsed(name, *words) for name, words in state.items()}
        fresh = Scores()
        fresh.prepare(runbooks)
        for alert in ALERTS:
            now, anew = kept.look(runbooks, alert), fresh.look(runbooks, alert)
            assert now.eligible == anew.eligible
            assert {each.key: round(each.probability, 6) for each in now.ranked} == {
                each.key: round(each.probability, 6) for each in anew.ranked
            }
        assert kept.named(runbooks, NAMES) == fresh.named(runbooks, NAMES) == runbooks.keys()


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=6), st.integers(0, 6))
def test_a_link_raises_the_one_that_it_names_and_no_other(parts: list[float], at: int) -> None:
    whole = max(sum(parts), 1.0)
    before = [Candidate(f"r{place}", part / whole) for place, part in enumerate(parts)]
    linked = f"r{at}"
    after = {each.runbook_id: each.confidence for each in weighed(before, linked)}
    assert sum(after.values()) <= 1 + 1e-9
    for each in before:
        if each.runbook_id == linked:
            assert after[linked] >= each.confidence - 1e-12
        else:
            assert after[each.runbook_id] <= each.confidence
