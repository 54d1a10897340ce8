"""The watchdog survives what breaks around it, is fair after a start, and costs little."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from agent.adapters.store_schema import incidents
from agent.domain.bypasses import Bypass
from agent.domain.errors import StoreError
from agent.domain.incident import Entry, EventKind
from agent.domain.runs import RunState
from tests.integration.daemon.conftest import Control
from tests.integration.daemon.watchdog_words import (
    GRACE_S,
    OWN_S,
    change,
    copies,
    look,
    statements,
    stuck_counts,
)
from tests.unit.pipeline.conftest import ALERT

pytestmark = pytest.mark.usefixtures("on_watch")


def test_an_incident_that_cannot_be_read_hides_none_of_the_others_and_is_told_once_it_lasts(
    control: Control,
) -> None:
    broken = control.running(1)
    change(control.store, incidents.update().where(incidents.c.id == broken).values(alert="{"))
    control.running(2)
    control.clock.sleep(OWN_S + GRACE_S + 1)
    look(control, times=10)
    assert len(control.pages()) == 1
    assert control.world.pager.woken == []
    look(control, times=3)
    (alarm,) = control.world.pager.woken
    assert alarm.dedup_key == "oncall-agent-alarm-watchdog"
    assert alarm.details["incidents"] == [broken]
    change(control.store, incidents.update().where(incidents.c.id == broken).values(status="resolved"))
    look(control)
    assert control.world.pager.open_pages == []


def test_a_look_that_fails_hides_none_of_the_others_and_is_seen(control: Control) -> None:
    control.running(state=RunState.DEAD)

    def broken(*_: object) -> Sequence[object]:
        raise StoreError("the database is on fire")

    control.store.late_attempts = broken  # type: ignore[method-assign,assignment]
    for _ in range(2):
        with pytest.raises(Exception, match="the watchdog is blind: attempts: the database is on fire"):
            control.watchdog.tick()
    assert len(control.pages()) == 1


def test_a_mistake_of_ours_in_one_look_hides_none_of_the_others(control: Control) -> None:
    control.running(state=RunState.DEAD)

    def broken(*_: object) -> Sequence[object]:
        raise ZeroDivisionError

    control.store.suspects = broken  # type: ignore[method-assign,assignment]
    for _ in range(2):
        with pytest.raises(Exception, match="the watchdog is blind: incidents: ZeroDivisionError"):
            control.watchdog.tick()
    assert len(control.pages()) == 1


@pytest.mark.parametrize("step_s", [3_600, -3_600])
def test_a_clock_that_is_set_anew_gives_everybody_the_time_to_end_by_himself(
    control: Control, step_s: float
) -> None:
    control.running()
    look(control)
    control.clock.step_back(-step_s)
    look(control, times=24)
    assert control.pages() == []
    look(control)
    assert len(control.pages()) == (1 if step_s > 0 else 0)


def test_after_a_start_everything_gets_the_time_to_go_on_by_itself(control: Control) -> None:
    control.running()
    control.clock.sleep(86_400)
    del control.watchdog
    look(control, times=6)
    assert control.pages() == []
    look(control)
    assert len(control.pages()) == 1


def test_a_schedule_that_has_fallen_silent_is_told_once_and_taken_back(control: Control) -> None:
    control.pulse.expect("send-ticket", is_vital=False, late_after_s=900)
    control.pulse.expect("dispatcher", is_vital=True)
    control.pulse.failed("send-ticket", "TypeError: 'NoneType' object is not subscriptable")
    control.clock.sleep(890)
    look(control)
    assert control.world.pager.woken == []
    look(control, times=5)
    (alarm,) = control.world.pager.woken
    assert alarm.dedup_key == "oncall-agent-alarm-schedules-main"
    assert "send-ticket has not done its work for" in alarm.summary
    assert "TypeError" in alarm.summary
    assert "dispatcher" not in alarm.summary  # vital: the heartbeat stops, and the process ends
    control.pulse.ticked("send-ticket")
    look(control)
    assert control.world.pager.open_pages == []


def test_a_bypass_that_nobody_ends_is_paged_for(control: Control) -> None:
    now = control.clock.now()
    ends_at = now + timedelta(minutes=15)
    bypass = Bypass(
        "gw-prod", control.world.receive(ALERT), "before", "during", now, ends_at, next_at=ends_at
    )
    entry = Entry("begun", EventKind.NOTE, "begun")
    assert control.store.open_bypass(bypass, entry)
    control.clock.sleep(900 + 100)
    look(control, times=3)
    assert control.world.pager.woken == []
    control.clock.sleep(60)
    look(control, times=3)
    (alarm,) = control.world.pager.woken
    assert alarm.dedup_key == "oncall-agent-alarm-bypasses"
    assert "gw-prod" in alarm.summary
    assert control.store.bypass_ended(bypass, Entry("ended", EventKind.NOTE, "ended"))
    look(control)
    assert control.world.pager.open_pages == []


def test_a_look_asks_no_more_of_the_store_however_much_is_open(control: Control) -> None:
    control.watchdog.tick()
    few = statements(control)
    copies(control.store, control.running(1), 2_000)
    assert statements(control) == few
    assert few <= 12
    assert control.pages() == []


def test_more_that_is_stuck_than_fits_into_one_look_is_taken_up_at_once(control: Control) -> None:
    copies(control.store, control.running(1), 201)
    control.clock.sleep(OWN_S + GRACE_S + 1)
    assert control.watchdog.tick() < 1
    assert control.watchdog.tick() == 5
    assert sum(stuck_counts(control).values()) == 202
