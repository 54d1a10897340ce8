"""The queue's cards and the figures of *Analytics*: what a reviewer or a leader asks for is there."""

from __future__ import annotations

from agent.domain.people import Actor, Person, Role, Via
from agent.domain.queue import Action, Rank
from agent.escalations.entering import Received
from agent.pipeline import queueing
from agent.pipeline.queueing import QueueDesk, Settling
from tests.integration.web.conftest import Site
from tests.integration.web.console_site import Visitor, with_people, words_of


def _desk(site: Site) -> QueueDesk:
    return queueing.desk_of(site.config, site.store, site.world.context.redactor)


def _received(site: Site, number: int, rank: Rank = Rank.HIGH) -> str:
    sent = Received(
        f"k-{number}", "phi-detection", f"PHI in answer {number}", rank,
        policy_rule="phi-detection", consumer="clinic-7",
    )  # fmt: skip
    item, _ = queueing.received(_desk(site), sent, now=site.world.clock.now())
    return item.id


def test_a_card_shows_every_published_field(site: Site) -> None:
    with_people(site)
    item_id = _received(site, 1, Rank.CRITICAL)
    visitor = Visitor(site, "rita")
    card = words_of(visitor.get("/queue"))
    for words in (
        item_id,
        "phi-detection",
        "critical",
        "open",
        "SLA:",
        "PHI in answer 1",
        "for team:on-call",
    ):
        assert words in card, words
    visitor.post(f"/queue/{item_id}/claim")
    card = words_of(visitor.get("/queue"))
    assert "claimed" in card
    assert "rita" in card
    page = visitor.get("/queue").text
    assert f'datetime="{site.store.queue_item(item_id).created_at.isoformat()}"' in page  # type: ignore[union-attr]
    assert f'datetime="{site.store.queue_item(item_id).deadline.isoformat()}"' in page  # type: ignore[union-attr]


def test_analytics_have_every_published_figure_of_the_queue(site: Site) -> None:
    with_people(site)
    reviewer = Actor(Person("rita", Role.RESPONDER), Via.CONSOLE)
    for number in range(6):
        item_id = _received(site, number)
        site.world.clock.sleep(600 if number else 7_200)
        action = Action.BLOCK if number == 1 else Action.ALLOW
        settling = Settling(action, "looked at it")
        queueing.resolve(_desk(site), item_id, reviewer, settling, now=site.world.clock.now())
    said = words_of(Visitor(site, "vera").get("/analytics?period=7"))
    for words in (
        "83 % settled within SLA",
        "1 SLA breaches",
        "The trend is steady",
        "Time to a human, by severity",
        "Trigger times phi-detection 6",
        "allow 5",
        "block 1",
        "perhaps too eager: phi-detection",
        "rita 6 5",
        "clinic-7 6",
        "When humans are called",
    ):
        assert words in said, words
