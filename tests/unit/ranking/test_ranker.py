"""Which document answers an alert, how sure that is, and what it says for itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.domain.alert import Alert
from agent.ranking import Document, KnownAlert, Question, Ranker, document
from agent.ranking.questions import question_of

TEXTS = {
    "redis/RedisConnectionTimeout.md": (
        "# Redis connection timeout\n\nClients cannot connect to Redis in time.\n\n## Mitigation\n\n"
        "Flush the connection pool and look at maxclients.\n"
    ),
    "kube/KubePodCrashLooping.md": (
        "# KubePodCrashLooping\n\n## Meaning\n\nA pod is crash looping.\n\n```bash\nkubectl logs POD\n```\n"
    ),
    "disk/NodeFilesystemAlmostOutOfSpace.md": (
        "# NodeFilesystemAlmostOutOfSpace\n\nThe file system of a node fills up.\n"
    ),
    "README.md": "# Runbooks\n\nAll of them: redis, pods, disks.\n",
}


def documents() -> list[Document]:
    return [document(path, path, text) for path, text in TEXTS.items()]


@pytest.mark.parametrize(
    ("question", "wanted"),
    [
        (Question("KubePodCrashLooping", "Pod is crash looping."), "kube/KubePodCrashLooping.md"),
        (Question("", "Redis connection timeout on api-gateway"), "redis/RedisConnectionTimeout.md"),
        (
            Question("NodeFilesystemAlmostOutOfSpace", "Filesystem has less than 5% space left."),
            "disk/NodeFilesystemAlmostOutOfSpace.md",
        ),
    ],
)
def test_the_document_that_answers_comes_first(question: Question, wanted: str) -> None:
    ranked = Ranker(documents()).rank(question)
    assert ranked[0].key == wanted
    assert ranked[0].reasons


def test_an_alert_that_nothing_answers_is_not_trusted() -> None:
    ranked = Ranker(documents()).rank(Question("TapeRobotArmStuck", "The arm of the tape robot is stuck."))
    assert ranked[0].probability < 0.5


def test_the_probabilities_of_all_candidates_are_at_most_one_together() -> None:
    for question in (Question("KubePodCrashLooping"), Question("", "redis pods disks")):
        ranked = Ranker(documents()).rank(question)
        assert sum(each.probability for each in ranked) <= 1 + 1e-9
        assert [each.probability for each in ranked] == sorted(
            (each.probability for each in ranked), reverse=True
        )


def test_a_known_alert_leads_where_its_likes_were_answered() -> None:
    question = Question("CacheFrontendSlow", "The cache frontend is slow.")
    without = Ranker(documents()).rank(question)
    known = [
        KnownAlert("CacheFrontendDown", "The cache frontend is down.", "redis/RedisConnectionTimeout.md")
    ]
    ranked = Ranker(documents(), known).rank(question)
    assert ranked[0].key == "redis/RedisConnectionTimeout.md"
    assert ranked[0].probability > without[0].probability


def test_only_offered_candidates_are_ranked() -> None:
    ranked = Ranker(documents()).rank(Question("KubePodCrashLooping"), among={"README.md"})
    assert [each.key for each in ranked] == ["README.md"]


def test_nothing_to_rank_ranks_nothing() -> None:
    assert Ranker().rank(Question("Anything")) == ()


def test_a_removed_document_is_forgotten_and_a_changed_one_is_read_anew() -> None:
    ranker = Ranker(documents())
    ranker.index.remove("kube/KubePodCrashLooping.md")
    assert "kube/KubePodCrashLooping.md" not in [
        each.key for each in ranker.rank(Question("KubePodCrashLooping"))
    ]
    path = "disk/NodeFilesystemAlmostOutOfSpace.md"
    ranker.index.put(document(path, path, "# Disk\n\nThe tape robot's arm is stuck.\n"))
    assert ranker.rank(Question("", "tape robot arm stuck"))[0].key == path


@given(st.permutations(sorted(TEXTS)), st.sets(st.sampled_from(sorted(TEXTS))))
def test_the_order_of_changes_does_not_change_the_ranking(order: list[str], again: set[str]) -> None:
    question = Question("KubePodCrashLooping", "A pod is crash looping", about=("redis",))
    ranker = Ranker()
    for path in order:
        ranker.index.put(document(path, path, TEXTS[path]))
    for path in again:
        ranker.index.remove(path)
        ranker.index.put(document(path, path, TEXTS[path]))
    straight = Ranker(documents()).rank(question)
    changed = ranker.rank(question)
    assert [each.key for each in changed] == [each.key for each in straight]
    assert [each.probability for each in changed] == pytest.approx([each.probability for each in straight])


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_alert_gets_probabilities_between_zero_and_one(name: str, text: str) -> None:
    ranked = Ranker(documents()).rank(Question(name, text))
    assert all(0 <= each.probability <= 1 for each in ranked)


def test_an_alert_is_called_by_its_label_or_by_a_title_of_one_word() -> None:
    labelled = Alert("pagerduty", "P1", "Pod is down", labels={"alertname": "KubePodDown", "pod": "api-1"})
    assert question_of(labelled).name == "KubePodDown"
    assert question_of(labelled).about == ("api-1",)
    assert question_of(Alert("pagerduty", "P1", "KubePodDown")).name == "KubePodDown"
    assert question_of(Alert("pagerduty", "P1", "Pod is down")).name == ""


WORDS = ["redis", "pod", "disk", "timeout", "crash", "queue", "lag"]
TEXT = st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join)


@given(st.lists(st.tuples(st.sampled_from("abc"), TEXT), max_size=8), TEXT)
def test_a_document_that_changed_is_ranked_as_if_it_had_always_been_so(
    changes: list[tuple[str, str]], asked: str
) -> None:
    ranker, now = Ranker(), {}
    for key, text in changes:
        ranker.index.put(document(key, f"{key}.md", text))
        ranker.rank(Question("", asked))
        now[key] = text
    straight = Ranker(document(key, f"{key}.md", text) for key, text in now.items())
    changed = {each.key: each.probability for each in ranker.rank(Question("", asked))}
    assert changed == pytest.approx(
        {each.key: each.probability for each in straight.rank(Question("", asked))}
    )
