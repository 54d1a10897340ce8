"""How incidents went, as Prometheus and the console are told: counted from the timeline, each entry once."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from agent.adapters.meter import Meter
from agent.adapters.store import Store
from agent.domain.errors import StoreAwayError
from agent.domain.outbox import ChatLine
from agent.domain.people import Actor, Person, Role, Via
from agent.domain.queue import Action
from agent.escalations.claims import NotPossible
from agent.pipeline import queueing
from agent.pipeline.queueing import QueueDesk, Settling
from tests.integration.web.conftest import Site
from tests.integration.web.console_site import Visitor, with_people, words_of
from tests.integration.web.test_web_edges import metrics
from tests.unit.pipeline.conftest import ALERT, runbook, step


def counted(site: Site) -> dict[str, float]:
    """The metrics, once the meter has caught up."""
    Meter(site.store).tick()
    return metrics(site)


def test_incidents_are_counted_by_how_they_ended_and_why(site: Site) -> None:
    site.resolved()
    site.escalated()
    seen = counted(site)
    assert seen['oncall_incidents_ended_total{outcome="resolved"}'] == 1
    assert seen['oncall_incidents_ended_total{outcome="escalated"}'] == 1
    assert seen['oncall_incidents_escalated_total{trigger="no_match"}'] == 1
    assert seen["oncall_match_confidence_ratio_count"] == 1


def test_what_was_counted_is_not_counted_again_by_whoever_counts_next(site: Site, store: Store) -> None:
    site.resolved()
    before = store.metered()
    once = counted(site)
    assert counted(site) == once
    assert store.meter(before, before + 5, {"m/ended/resolved": 1}) is False
    assert metrics(site)['oncall_incidents_ended_total{outcome="resolved"}'] == 1


def test_steps_are_timed_by_how_they_ended(site: Site) -> None:
    site.resolved()  # its first look fails, its second succeeds
    seen = counted(site)
    assert seen['oncall_step_duration_seconds_count{outcome="failed"}'] == 1
    assert seen['oncall_step_duration_seconds_count{outcome="succeeded"}'] == 1
    assert seen['oncall_step_duration_seconds_bucket{le="+Inf",outcome="succeeded"}'] == 1


def test_refusals_are_counted_by_their_kind(site: Site) -> None:
    steps = step(1, "redis-cli FLUSHDB") + step(2, "redis-cli FLUSHDB")
    site.world.runbook(runbook(steps=steps))
    site.world.page()
    seen = counted(site)
    assert seen['oncall_refusals_total{reason="limit"}'] == 1
    assert seen['oncall_refusals_total{reason="not_understood"}'] == 0


def test_the_three_times_are_told_and_shown_in_the_console(site: Site) -> None:
    with_people(site)
    fired_at = site.world.clock.now() - timedelta(seconds=40)
    site.world.runbook(runbook(steps=step(1, "redis-cli PING", keys="Retry delay: 30s")))
    site.world.answers("redis-cli PING", "PONG")
    site.world.page(fired_at=fired_at)
    seen = counted(site)
    assert seen['oncall_time_to_detect_seconds_sum{by="source"}'] == 40
    assert seen['oncall_time_to_acknowledge_seconds_count{by="agent"}'] == 1
    assert seen['oncall_time_to_resolve_seconds_count{by="agent"}'] == 1
    now = site.world.clock.now()
    means = site.store.statistics(now - timedelta(days=7), now + timedelta(seconds=1)).means
    assert (means.detect_s, means.resolve_s is not None) == (40, True)
    assert "to resolve (MTTR)" in words_of(Visitor(site, "rita").get("/analytics"))


def test_what_a_human_settles_is_resolved_by_a_human(site: Site) -> None:
    incident = site.escalated()
    desk = QueueDesk(site.store, site.world.context.redactor, site.store.queueing)
    site.world.clock.sleep(600)
    actor = Actor(Person("ops-lead", Role.APPROVER), Via.API, is_shown=True)
    claimed = queueing.claim(desk, incident.id, actor, now=site.world.clock.now())
    settled = queueing.resolve(
        desk, incident.id, actor, Settling(Action.FALSE_ALARM, "noise of a test"), now=site.world.clock.now()
    )
    assert not isinstance(claimed, NotPossible), claimed
    assert not isinstance(settled, NotPossible), settled
    seen = counted(site)
    assert seen['oncall_time_to_resolve_seconds_count{by="human"}'] == 1
    assert seen['oncall_time_to_resolve_seconds_sum{by="human"}'] >= 600


def test_what_stands_now_is_told_queue_approvals_and_budgets(site: Site) -> None:
    site.settings["limits"] = {"per_hour": {"cache_operations": 3}}
    site.world.runbook(runbook(steps=step(1, "redis-cli FLUSHDB")))
    site.world.answers("redis-cli FLUSHDB", "OK")
    site.world.page()
    site.world.page(title="Nobody knows this", source_id="P2")
    seen = metrics(site)
    assert seen['oncall_budget_left{limit="per_hour.cache_operations"}'] == 2
    assert sum(value for name, value in seen.items() if name.startswith("oncall_queue_open")) == 1
    assert (seen["oncall_approvals_waiting"], seen["oncall_bypasses_open"]) == (0, 0)
    site.world.clock.sleep(3_601)
    assert metrics(site)['oncall_budget_left{limit="per_hour.cache_operations"}'] == 3


def test_a_breached_sla_is_counted(site: Site) -> None:
    from agent.pipeline.sla_clock import SlaClock

    site.escalated()
    desk = QueueDesk(site.store, site.world.context.redactor, site.store.queueing)
    site.world.clock.sleep(48 * 3_600)
    SlaClock(desk, site.world.clock).tick()
    assert counted(site)["oncall_sla_breaches_total"] == 1


def test_without_the_database_a_scrape_says_so_and_tells_the_rest(
    site: Site, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert metrics(site)["oncall_database_up"] == 1
    site.pulse.ticked("watchdog")

    def away() -> None:
        raise StoreAwayError("the database does not answer")

    for name in ("counts", "counts_by_status", "queue_depth"):
        monkeypatch.setattr(store, name, lambda *_: away())
    seen = metrics(site)
    assert seen["oncall_database_up"] == 0
    assert "oncall_watchdog_last_tick_timestamp_seconds" in seen
    assert not any(name.startswith("oncall_incidents") for name in seen)


def test_promtool_has_nothing_to_say_against_our_metrics(site: Site) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed; `make packages` installs it")
    site.resolved()
    Meter(site.store).tick()
    text = site.get("/metrics").get_data()
    ran = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, timeout=30)
    assert (ran.returncode, ran.stderr + ran.stdout) == (0, b"")


def test_an_alert_without_a_time_of_its_own_says_nothing_of_detection(site: Site) -> None:
    site.world.handle(site.world.receive(replace(ALERT, fired_at=None)))
    assert counted(site)['oncall_time_to_detect_seconds_count{by="source"}'] == 0


def test_every_metric_is_documented_and_every_documented_one_is_there(site: Site) -> None:
    site.settings["limits"] = {"per_hour": {"cache_operations": 3}}
    site.pulse.ticked("watchdog")
    site.store.record(site.world.receive(), (), messages=[ChatLine("waits")])
    site.webhook({"event": {"event_type": "pagey.ping", "id": "1", "data": {}}})
    told = {_plain(name) for name in counted(site) if "_created{" not in name}
    page = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text()
    documented = set(re.findall(r"`(oncall_[a-z_]+)`", page))
    assert (told - documented, documented - told) == (set(), set())


def _plain(name: str) -> str:
    """Without labels, and without what histograms and counters add."""
    return re.sub(r"_(bucket|sum|count)$", "", name.partition("{")[0])
