"""What nobody is told: pages that are not taken are told elsewhere, and everything late is an alarm."""

from __future__ import annotations

import pytest

from agent.delivery.alarms import Alarms
from agent.delivery.lateness import Lateness
from agent.domain.alert import Severity
from agent.domain.outbox import ChatLine, ClearPage, DeskNote
from agent.domain.source_event import ActorKind, EventType, SourceEvent
from tests.unit.delivery.conftest import DOWN, Post
from tests.unit.delivery.test_pager_sender import page


class Watch:
    """Somebody who looks at the outbox."""

    def __init__(self, post: Post) -> None:
        self.post = post
        self.world = post.world
        self.alarms = Alarms(self.world.pager, self.world.store, self.world.clock, source="agent-0")
        self.lateness = Lateness(self.world.context, self.world.store, self.alarms)

    def look(self) -> str:
        return self.lateness.look()

    def alarms_open(self) -> list[str]:
        return [
            each.dedup_key.removeprefix("oncall-agent-alarm-")
            for each in self.world.pager.open_pages
            if "alarm" in each.dedup_key
        ]


@pytest.fixture
def watch(post: Post) -> Watch:
    return Watch(post)


def failed_page(watch: Watch, *, seconds: float) -> str:
    """A page that was tried once, so long ago."""
    incident_id = watch.post.incident()
    watch.post.put(incident_id, page())
    watch.world.pager.fail_with(DOWN)
    watch.post.pager.deliver()
    watch.world.clock.sleep(seconds)
    return incident_id


def test_a_page_that_is_on_its_way_is_not_late(watch: Watch) -> None:
    failed_page(watch, seconds=119)
    assert watch.look() == ""
    assert watch.alarms_open() == []


def test_a_page_that_is_not_taken_is_told_in_the_thread_the_channel_and_at_the_source(watch: Watch) -> None:
    incident_id = failed_page(watch, seconds=130)
    words = watch.look()
    assert words == "1 page(s) to humans are not delivered, the oldest for 2m 10s: vendor: connection refused"
    for _ in range(3):
        watch.look()
    watch.post.deliver_all(watch.post.chat)
    watch.post.deliver_all(watch.post.desk)
    late = "📟 ⚠️ A page to a human has not been delivered for 2m 10s (vendor: connection refused)."
    (said,) = [post for post in watch.post.fake.threads[-1].posts if late in "".join(post.lines)]
    assert said.broadcast
    (note,) = watch.world.desk.incident("P1").notes
    assert note.startswith(late)
    assert "wake who is on call" in note
    assert sum(late in text for text in watch.world.told(incident_id)) == 1


def test_a_page_that_the_sender_is_stuck_with_is_paged_for_by_itself(watch: Watch) -> None:
    failed_page(watch, seconds=130)
    watch.look()
    (alarm,) = watch.world.pager.woken
    assert (alarm.dedup_key, alarm.severity) == ("oncall-agent-alarm-pages", Severity.CRITICAL)
    watch.post.deliver_all(watch.post.pager)
    assert watch.look() == ""
    assert watch.alarms_open() == []


def test_a_page_that_waits_in_a_storm_behind_others_is_told_elsewhere_only_later(watch: Watch) -> None:
    incident_id = watch.post.incident()
    watch.post.put(incident_id, page())
    watch.world.clock.sleep(130)
    assert "they were not tried" in watch.look()
    assert not any("not been delivered" in text for text in watch.world.told(incident_id))
    watch.world.clock.sleep(600)
    watch.look()
    assert any("it was not tried yet" in text for text in watch.world.told(incident_id))


def test_a_clearing_that_is_late_wakes_nobody(watch: Watch) -> None:
    watch.post.put(watch.post.incident(), ClearPage("oncall-agent-1", "it is over"))
    watch.world.clock.sleep(86_400)
    assert watch.look() == ""
    assert watch.alarms_open() == []


@pytest.mark.parametrize(
    ("message", "channel", "where"),
    [
        (ChatLine("line"), "chat", "Slack"),
        (DeskNote("P1", "note"), "desk", "PagerDuty's REST API"),
    ],
)
def test_a_story_that_nobody_hears_for_long_is_a_warning(
    watch: Watch, message: ChatLine | DeskNote, channel: str, where: str
) -> None:
    watch.post.put(watch.post.incident(), message)
    with watch.world.store.database.writing() as connection:
        connection.exec_driver_sql("UPDATE outbox SET error = 'connection refused'")
    watch.world.clock.sleep(1_790)
    watch.look()
    assert watch.alarms_open() == []
    watch.world.clock.sleep(11)
    assert watch.look() == ""  # nobody's page is kept from anybody
    (alarm,) = watch.world.pager.woken
    assert alarm.dedup_key == f"oncall-agent-alarm-{channel}-late"
    assert alarm.severity is Severity.WARNING
    assert f"1 message(s) to {where} are not delivered" in alarm.summary
    watch.post.deliver_all(watch.post.chat)
    watch.post.deliver_all(watch.post.desk)
    watch.look()
    assert watch.alarms_open() == []


def test_a_story_that_is_being_told_after_a_long_silence_is_no_alarm(watch: Watch) -> None:
    watch.post.put(watch.post.incident(), ChatLine("line"))
    watch.world.clock.sleep(3_600)
    watch.look()
    assert watch.alarms_open() == []


def test_events_that_nobody_looks_at_are_an_alarm(watch: Watch) -> None:
    watch.post.incident()
    acknowledged = SourceEvent(
        "pagerduty", "d-9", EventType.ACKNOWLEDGED, "incident.acknowledged", "P1", ActorKind.HUMAN, "U1", "R"
    )
    watch.world.store.accept(acknowledged, "{}")
    watch.world.clock.sleep(119)
    watch.look()
    assert watch.alarms_open() == []
    watch.world.clock.sleep(2)
    watch.look()
    (alarm,) = watch.world.pager.woken
    assert "1 event(s) of people at the source are not looked at, the oldest for 2m 1s" in alarm.summary
    assert "the agent may not notice that somebody took over" in str(alarm.details["what_to_do"])
    watch.world.store.event_handled("d-9", "stand-down")
    watch.look()
    assert watch.alarms_open() == []
