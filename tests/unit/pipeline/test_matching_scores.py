"""Rules decide, scores rank, and what is not sure is a human's choice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.domain.alert import Alert
from agent.domain.decisions import Ambiguous, Candidate, Matched, NoMatch
from agent.domain.incident import Status
from agent.pipeline import matching
from agent.pipeline.links import linked_names, weighed
from agent.ports import SourceFacts
from tests.unit.pipeline.conftest import ALERT, World, runbook, step

PING = step(1, "redis-cli PING", keys='Expected output: "PONG"')
TRUSTED = {"trusted_runbook_urls": ["*.example.com"]}


def two_that_hold(
    world: World, first: str = "Redis Connection Timeout", second: str = "Redis Memory"
) -> None:
    world.runbook(runbook(title=first, steps=PING), "redis-connection-timeout")
    world.runbook(runbook(title=second, steps=PING), "redis-memory")


def equals(world: World) -> None:
    for name in ("one", "two"):
        world.runbook(runbook(steps=PING), name)


def test_one_runbook_whose_conditions_hold_is_certain(world: World) -> None:
    world.runbook(runbook(steps=PING))
    found = matching.match(world.context, ALERT)
    assert isinstance(found, Matched)
    assert found.confidence == 1.0


def test_scores_choose_the_better_one_of_two_whose_conditions_hold(world: World) -> None:
    two_that_hold(world)
    world.answers("redis-cli PING", "PONG")
    incident = world.page()
    assert (incident.status, incident.runbook_id) == (Status.RESOLVED, "redis-connection-timeout")
    assert 0.8 <= (incident.confidence or 0) <= 1
    matched = next(text for text in world.told(incident.id) if text.startswith("📋"))
    assert "probability" in matched
    assert "among 2" in matched
    assert "the alert's words stand in it" in matched


def test_between_equals_a_human_chooses(world: World) -> None:
    equals(world)
    found = matching.match(world.context, ALERT)
    assert isinstance(found, Ambiguous)
    assert [each.runbook_id for each in found.candidates] == ["one", "two"]
    assert sum(each.confidence for each in found.candidates) <= 1


def test_a_higher_least_confidence_leaves_more_to_a_human(world: World) -> None:
    world.configure(matching={"min_confidence": 1.0})
    two_that_hold(world)
    assert isinstance(matching.match(world.context, ALERT), Ambiguous)


def test_where_no_conditions_hold_the_nearest_are_told_with_their_scores(world: World) -> None:
    world.runbook(runbook(steps=PING, triggers='- Alert contains: "postgres"'), "redis-connection-timeout")
    world.runbook(runbook(title="Disk", steps=PING, triggers='- Alert contains: "disk"'), "disk")
    found = matching.match(world.context, ALERT)
    assert isinstance(found, NoMatch)
    assert found.reasons[0].startswith("redis-connection-timeout (")
    assert "postgres" in found.reasons[0]


def test_scores_decide_without_rules_only_where_the_configuration_says_so(world: World) -> None:
    world.configure(matching={"without_rules": "match"})
    world.runbook(runbook(steps=PING, triggers='- Alert contains: "postgres"'), "redis-connection-timeout")
    found = matching.match(world.context, ALERT)
    assert isinstance(found, Matched)
    assert found.reasons[0] == "no runbook's conditions hold; scores alone speak for it"


def test_what_a_runbook_excludes_is_not_run_by_scores_either(world: World) -> None:
    world.configure(matching={"without_rules": "match"})
    triggers = '- Alert contains: "postgres" AND NOT service:api-*'
    world.runbook(runbook(steps=PING, triggers=triggers), "redis-connection-timeout")
    assert isinstance(matching.match(world.context, ALERT), NoMatch)


def test_without_rules_something_unlike_every_runbook_matches_none(world: World) -> None:
    world.configure(matching={"without_rules": "match"})
    two_that_hold(world)
    other = replace(ALERT, title="Certificate expires soon")
    assert isinstance(matching.match(world.context, other), NoMatch)


def test_a_runbook_that_changes_is_scored_as_it_is_now(world: World) -> None:
    timeout = runbook(title="Redis Connection Timeout", steps=PING)
    memory = runbook(title="Redis Memory", steps=PING)

    def matched(one: str, two: str) -> str:
        world.runbook(one, "one")
        world.runbook(two, "two")
        world.context.library.reload()
        found = matching.match(world.context, ALERT)
        assert isinstance(found, Matched)
        return found.runbook_id

    assert matched(timeout, memory) == "one"
    assert matched(memory, timeout) == "two"
    (world.runbooks / "two.md").unlink()
    world.context.library.reload()
    alone = matching.match(world.context, ALERT)
    assert isinstance(alone, Matched)
    assert (alone.runbook_id, alone.confidence) == ("one", 1.0)


def test_an_empty_library_matches_nothing(world: World) -> None:
    assert matching.match(world.context, ALERT) == NoMatch(())


def test_a_trusted_link_decides_between_equals(world: World) -> None:
    world.configure(matching=TRUSTED)
    equals(world)
    linked = replace(ALERT, links=("https://wiki.example.com/runbooks/two.md",))
    found = matching.match(world.context, linked)
    assert isinstance(found, Matched)
    assert (found.runbook_id, found.reasons[0]) == ("two", "a trusted link of the alert names it")


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.test/runbooks/two",
        "https://wiki.example.com.evil.test/two",
        "two",
        "ftp://wiki.example.com/two",
    ],
)
def test_a_link_from_elsewhere_decides_nothing(world: World, link: str) -> None:
    world.configure(matching=TRUSTED)
    equals(world)
    labels = {"runbook_url": link}
    assert isinstance(matching.match(world.context, replace(ALERT, labels=labels)), Ambiguous)


def test_a_runbook_whose_conditions_do_not_hold_is_not_run_because_of_a_link(world: World) -> None:
    world.configure(matching=TRUSTED)
    world.runbook(runbook(steps=PING, triggers='- Alert contains: "postgres"'), "other")
    linked = replace(ALERT, links=("https://wiki.example.com/other",))
    assert isinstance(matching.match(world.context, linked), NoMatch)
    equals(world)
    world.context.library.reload()
    assert isinstance(matching.match(world.context, linked), Ambiguous)


def test_links_to_two_runbooks_decide_nothing(world: World) -> None:
    world.configure(matching=TRUSTED)
    equals(world)
    linked = replace(ALERT, links=("https://a.example.com/one", "https://a.example.com/two"))
    assert isinstance(matching.match(world.context, linked), Ambiguous)


def test_a_link_that_the_source_knows_reaches_the_match(world: World) -> None:
    world.configure(matching=TRUSTED)
    equals(world)
    world.answers("redis-cli PING", "PONG")
    incident_id = world.receive(ALERT, SourceFacts(links=("https://wiki.example.com/two",)))
    assert world.handle(incident_id).runbook_id == "two"


def test_a_link_never_orders_it_only_weighs() -> None:
    weak = (Candidate("a", 0.9), Candidate("b", 0.02))
    after = weighed(weak, "b")
    assert [each.runbook_id for each in after] == ["a", "b"]
    assert after[1].confidence > 0.02
    assert sum(each.confidence for each in after) <= 1
    assert weighed(weak, "c") == weak


def test_names_of_links_are_their_last_part() -> None:
    links = ("https://a.example.com/x/Redis%20Down.md?x=1#y", "https://[broken", "https://b.test/z")
    alert = replace(ALERT, links=links, labels={"annotations.runbook": "https://a.example.com/pods"})
    assert linked_names(alert, ("*.example.com",)) == {"Redis Down", "pods"}
    assert linked_names(alert, ()) == frozenset()


def test_what_resolved_an_alert_before_speaks_for_a_runbook(world: World) -> None:
    world.configure(matching={"without_rules": "match"}, escalation={"recurrence_window_s": 1})
    world.runbook(runbook(title="Alpha", steps=PING, triggers='- Alert contains: "zebra"'), "alpha")
    world.answers("redis-cli PING", "PONG", "PONG", "PONG")
    alert = replace(ALERT, title="Something odd in the gateway with zebra stripes")
    before = matching.explain(
        world.context, replace(alert, title="Something odd in the gateway with stripes")
    )
    for number in range(2):
        world.handle(world.receive(replace(alert, source_id=f"Q{number}")))
        world.clock.sleep(3_000)
    after = matching.explain(world.context, replace(alert, title="Something odd in the gateway with stripes"))
    assert after[0].probability > before[0].probability
    assert any("known to be answered" in reason for reason in after[0].reasons)


def test_alert_rules_beside_the_runbooks_speak_for_the_one_that_they_name(world: World) -> None:
    world.configure(runbooks={"path": str(world.runbooks)})
    equals(world)
    alert = Alert("pagerduty", "P1", "RedisGone redis", labels={"alertname": "RedisGone"})
    rules = """
groups:
  - rules:
      - alert: RedisGone
        annotations: {summary: RedisGone redis, runbook_url: "https://wiki.example.com/two.md"}
"""
    (world.runbooks / "rules.yaml").write_text(rules)
    best = matching.explain(world.context, alert)[0]
    assert best.runbook.id == "two"
    assert any("known to be answered" in reason for reason in best.reasons)


def test_an_explanation_names_every_runbook_with_its_verdict(world: World) -> None:
    two_that_hold(world)
    world.runbook(runbook(title="Disk", steps=PING, triggers='- Alert contains: "disk"'), "disk")
    explained = matching.explain(world.context, ALERT)
    assert [each.runbook.id for each in explained] == ["redis-connection-timeout", "redis-memory", "disk"]
    assert [each.verdict.holds for each in explained] == [True, True, False]
