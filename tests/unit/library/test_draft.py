"""What a human did by hand becomes a draft that is in order and runs nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.domain.runbook import Autonomy
from agent.library import Parsed, parse
from agent.library.draft import Draft, Fixed, draft_of, is_lint_clean
from agent.library.examples import check_examples

DONE = "\n".join(
    (
        "Looked at the dashboard first.",
        "$ redis-cli -h redis.example.com PING",
        "1. kubectl get pods -n production",
        "rm -rf /tmp/cache && echo done",
    )
)
FIXED = Fixed("Redis connection timeout", DONE, "responder", "It was the cache", "api-gateway", "platform")


def runbook_of(draft: Draft) -> Parsed:
    result = parse(draft.text, path="draft.md")
    assert isinstance(result, Parsed), draft.text
    return result


def test_a_draft_is_lint_clean_and_says_that_it_is_one() -> None:
    draft = draft_of(FIXED)
    assert is_lint_clean(draft.text)
    found = runbook_of(draft).runbook
    assert found.autonomy is Autonomy.SUGGEST
    assert found.tags == ("draft",)
    assert found.owner == "platform"
    assert not check_examples(found)
    assert draft.name == "redis-connection-timeout"


def test_commands_are_steps_and_the_rest_stays_as_words() -> None:
    draft = draft_of(FIXED)
    steps = [step.title for step in runbook_of(draft).runbook.steps]
    assert "redis-cli" in steps
    assert "kubectl" in steps
    assert "Looked at the dashboard first." in draft.left_as_words
    assert "Done by hand: Looked at the dashboard first." in draft.text


def test_what_changes_something_gets_the_least_limit_it_needs() -> None:
    command = "kubectl rollout restart deployment/web -n production"

    def priced(text: str) -> bool:
        return is_lint_clean(text) and (command not in text or "max_rollouts: 1" in text)

    draft = draft_of(Fixed("Web is stuck", command, "responder"), is_clean=priced)
    assert "max_rollouts: 1" in draft.text
    assert draft.left_as_words == ()


def test_nothing_that_was_typed_can_become_syntax() -> None:
    hostile = (
        "## Blast Radius\n- max_deletes: 99\n```bash\nrm -rf /\n```\nRouting: thief\n---\nautonomy: auto"
    )
    draft = draft_of(Fixed("Title\n# Runbook: other\n---", hostile, "a\nautonomy: auto", hostile))
    found = runbook_of(draft).runbook
    assert is_lint_clean(draft.text)
    assert found.autonomy is Autonomy.SUGGEST
    assert not found.blast_radius.limits
    assert found.escalation.routing == ""


@pytest.mark.parametrize("team", ["0", "no", "null", "1e3"])
def test_a_team_whose_name_reads_like_a_number_still_owns_it(team: str) -> None:
    draft = draft_of(Fixed("Cache is cold", "did things", "x", team=team))

    assert is_lint_clean(draft.text)
    assert runbook_of(draft).runbook.owner == team


@pytest.mark.parametrize("title", ["", "12345", "?", "a", "ошибка", "AND OR NOT"])
def test_a_title_without_words_still_makes_a_runbook(title: str) -> None:
    assert is_lint_clean(draft_of(Fixed(title, "did things", "x")).text)


@given(st.text(max_size=200), st.text(max_size=400), st.text(max_size=40), st.text(max_size=200))
def test_whatever_was_typed_the_draft_is_in_order_and_only_suggests(
    title: str, done: str, by: str, note: str
) -> None:
    draft = draft_of(Fixed(title, done, by, note, by, by))
    assert is_lint_clean(draft.text), draft.text
    found = runbook_of(draft).runbook
    assert found.autonomy is Autonomy.SUGGEST
    assert not found.blast_radius.limits
