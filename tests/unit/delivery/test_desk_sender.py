from __future__ import annotations

import pytest

from agent.adapters.fake_desk import FakeDesk
from agent.delivery.desk import DeskSender
from agent.domain.decisions import StandDown
from agent.domain.errors import Reason, ServiceError
from agent.domain.outbox import Channel, ChatLine, DeskAcknowledge, DeskNote, DeskResolve
from tests.unit.delivery.conftest import AUTH, DOWN, REFUSED, Post


class WatchingDesk(FakeDesk):
    """Looks, at every write, at what the outbox says about our own writes."""

    def __init__(self, post: Post) -> None:
        super().__init__()
        self._post = post
        self.seen: list[tuple[str, bool]] = []
        self.add("P1")

    def acknowledge(self, source_id: str) -> str:
        self._look(source_id)
        return super().acknowledge(source_id)

    def resolve(self, source_id: str, resolution: str) -> str:
        self._look(source_id)
        return super().resolve(source_id, resolution)

    def _look(self, source_id: str) -> None:
        writes = self._post.world.store.own_writes(source_id)
        self.seen += [(write.action, write.ended_at is None) for write in writes]


class StubbornDesk(FakeDesk):
    """In trouble over one incident, and fine with all others."""

    def note(self, source_id: str, text: str) -> None:
        if source_id == "P1":
            raise ServiceError("desk", Reason.SERVER_ERROR, "in trouble", retryable=True)
        super().note(source_id, text)


def test_acknowledge_note_and_resolve_arrive_in_their_order(post: Post) -> None:
    incident_id = post.incident()
    post.put(incident_id, DeskAcknowledge("P1"))
    post.put(incident_id, DeskNote("P1", "what was done"), DeskResolve("P1", "resolved by redis"))
    assert post.desk.deliver() == 0
    kept = post.world.desk.incident("P1")
    assert (kept.facts.status, kept.notes, kept.resolution) == (
        "resolved", ["what was done"], "resolved by redis",
    )  # fmt: skip
    assert post.waiting() == 0


def test_a_resolve_never_overtakes_its_note(post: Post) -> None:
    post.put(post.incident(), DeskNote("P1", "what was done"), DeskResolve("P1", "done"))
    post.world.desk.fail_with(DOWN)
    wait_s = post.desk.deliver()
    assert post.desk.deliver() == 0
    assert post.world.desk.incident("P1").facts.status == "triggered"
    post.world.clock.sleep(wait_s)
    post.desk.deliver()
    kept = post.world.desk.incident("P1")
    assert (kept.facts.status, kept.notes) == ("resolved", ["what was done"])


def test_after_a_stand_down_nothing_is_acknowledged_any_more(post: Post) -> None:
    incident_id = post.incident()
    post.put(incident_id, DeskAcknowledge("P1"), DeskNote("P1", "handed over"))
    post.world.store.stand_down(incident_id, StandDown("Responder", "acknowledged the incident"))
    post.desk.deliver()
    kept = post.world.desk.incident("P1")
    assert (kept.acknowledged_by, kept.notes) == ([], ["handed over"])
    assert post.world.store.own_writes("P1") == []
    assert post.waiting() == 0


def test_our_own_writes_are_remembered_before_they_are_sent_and_completed_with_our_user(post: Post) -> None:
    desk = WatchingDesk(post)
    incident_id = post.incident()
    post.put(incident_id, DeskAcknowledge("P1"), DeskResolve("P1", "done"))
    DeskSender(post.world.context, post.world.store, desk).deliver()
    assert desk.seen == [("acknowledge", True), ("acknowledge", False), ("resolve", True)]
    writes = {write.action: write for write in post.world.store.own_writes("P1")}
    assert {write.actor_id for write in writes.values()} == {"PAGENT0"}
    assert all(write.ended_at is not None for write in writes.values())


def test_a_write_whose_answer_did_not_come_stays_under_way(post: Post) -> None:
    post.put(post.incident(), DeskAcknowledge("P1"))
    post.world.desk.fail_with(DOWN)
    post.desk.deliver()
    (write,) = post.world.store.own_writes("P1")
    assert write.ended_at is None


def test_waits_double_while_the_desk_is_down_and_nothing_is_lost(post: Post) -> None:
    post.put(post.incident(), DeskAcknowledge("P1"))
    post.world.desk.fail_with(*[DOWN] * 4)
    waits = []
    for _ in range(5):
        waits.append(post.desk.deliver())
        post.world.clock.sleep(waits[-1])
    assert waits == [1, 2, 4, 8, 0]
    assert post.world.desk.incident("P1").facts.status == "acknowledged"


@pytest.mark.parametrize("reason", [Reason.REJECTED, Reason.NOT_FOUND])
def test_what_the_source_will_never_take_is_told_once_and_the_rest_goes_on(
    post: Post, reason: Reason
) -> None:
    incident_id = post.incident()
    post.put(incident_id, DeskAcknowledge("P1"), DeskNote("P1", "what was done"))
    post.world.desk.fail_with(ServiceError("pagerduty", reason, "no", retryable=False))
    post.deliver_all(post.desk, looks=3)
    told = [text for text in post.world.told(incident_id) if "did not take our acknowledge" in text]
    assert told == ["⚠️ The source did not take our acknowledge: pagerduty: no"]
    assert post.world.desk.incident("P1").notes == ["what was done"]
    assert post.world.store.next_letters(Channel.DESK, 10) == []


def test_a_permanent_refusal_holds_up_only_its_own_incident(post: Post) -> None:
    first, second = post.incident(1), post.incident(2)
    post.put(first, DeskNote("P1", "a"), DeskResolve("P1", "done"))
    post.put(second, DeskNote("P2", "b"), DeskResolve("P2", "done"))
    post.world.desk.fail_with(REFUSED)
    assert post.desk.deliver() == 0
    assert post.world.desk.incident("P1").facts.status == "triggered"
    assert post.world.desk.incident("P2").facts.status == "resolved"
    post.desk.deliver()
    assert post.world.desk.incident("P1").facts.status == "resolved"


def test_an_incident_that_always_fails_does_not_starve_the_others(post: Post) -> None:
    desk = StubbornDesk()
    first, second = post.incident(1), post.incident(2)
    desk.add("P1")
    desk.add("P2")
    post.put(first, DeskNote("P1", "a"))
    post.put(second, DeskNote("P2", "b"))
    post.deliver_all(DeskSender(post.world.context, post.world.store, desk), looks=4)
    assert desk.incident("P2").notes == ["b"]
    assert post.waiting() == 1


def test_a_resolve_with_a_wrong_token_is_tried_once_a_minute_and_a_human_is_told(post: Post) -> None:
    incident_id = post.incident()
    post.put(incident_id, DeskResolve("P1", "fixed"))
    post.world.desk.fail_with(AUTH)
    assert post.desk.deliver() == 60
    post.pager.deliver()
    (page,) = post.world.pager.woken
    assert page.dedup_key == f"oncall-agent-{incident_id}-unresolved"
    assert "could not be resolved" in page.summary


def test_a_resolve_that_is_refused_for_ever_tells_a_human_once(post: Post) -> None:
    incident_id = post.incident()
    post.put(incident_id, DeskResolve("P1", "fixed"))
    post.world.desk.fail_with(REFUSED)
    post.deliver_all(post.desk, looks=3)
    post.pager.deliver()
    assert [page.dedup_key for page in post.world.pager.woken] == [f"oncall-agent-{incident_id}-unresolved"]
    assert post.world.store.next_letters(Channel.DESK, 10) == []


class NoNotes(FakeDesk):
    """Takes no notes for a long time."""

    takes_notes = False

    def note(self, source_id: str, text: str) -> None:
        if not self.takes_notes:
            raise DOWN
        super().note(source_id, text)


def test_a_note_that_does_not_arrive_lets_the_resolve_pass_and_follows_it(post: Post) -> None:
    desk = NoNotes()
    post.world.desk, post.desk = desk, DeskSender(post.world.context, post.world.store, desk)
    post.put(post.incident(), DeskNote("P1", "note"), DeskResolve("P1", "fixed"))
    post.deliver_all(post.desk, looks=9)
    assert desk.incident("P1").facts.status == "triggered"
    post.deliver_all(post.desk, looks=3)
    assert (desk.incident("P1").facts.status, desk.incident("P1").notes) == ("resolved", [])
    desk.takes_notes = True
    post.deliver_all(post.desk, looks=3)
    assert desk.incident("P1").notes == ["note"]
    assert post.waiting() == 0


def test_a_note_that_is_not_allowed_holds_up_no_resolve(post: Post) -> None:
    post.put(post.incident(), DeskNote("P1", "note"))
    post.put(post.incident(), DeskResolve("P1", "fixed"))
    post.world.desk.fail_with(AUTH)
    post.desk.deliver()
    post.desk.deliver()
    assert post.world.desk.incident("P1").facts.status == "resolved"


def test_who_we_are_is_learned_and_asked_again_every_hour(post: Post) -> None:
    assert post.desk.introduce() == 3600
    assert post.world.store.own_user_id() == "PAGENT0"


def test_while_nobody_says_who_we_are_it_is_asked_every_minute(post: Post) -> None:
    post.world.desk.fail_with(DOWN)
    assert post.desk.introduce() == 60
    assert post.world.store.own_user_id() == ""


def test_a_source_that_knows_no_user_of_ours_teaches_nothing(post: Post) -> None:
    post.world.store.learn_own_user_id("PBEFORE")
    DeskSender(post.world.context, post.world.store, FakeDesk("")).introduce()
    assert post.world.store.own_user_id() == "PBEFORE"


def test_a_message_of_another_channel_is_a_broken_outbox(post: Post) -> None:
    post.put(post.incident(), ChatLine("for the chat"))
    with post.world.store.database.writing() as connection:
        connection.exec_driver_sql("UPDATE outbox SET channel = 'desk'")
    with pytest.raises(TypeError, match="ChatLine is no message for the desk"):
        post.desk.deliver()
