"""`## Watch` at work: alerts raised by the agent itself, once each, whatever stops and starts in between."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from agent.adapters.leading import leading
from agent.domain.alert import Severity
from agent.domain.decisions import EscalationTrigger, Stopped
from agent.domain.errors import StoreAwayError, UnknownIncidentError
from agent.domain.folding import Folding
from agent.domain.incident import Incident, Status
from agent.domain.probe_looks import BLIND_AFTER
from agent.domain.source_event import EventType
from agent.domain.stops import StopAsked, StopScope
from agent.pipeline import closing, matching, stops
from agent.pipeline.probing import AT_ONCE, IN_ONE_ROUND
from agent.pipeline.telling import Teller
from agent.ports import CommandResult
from tests.unit.pipeline.conftest import SECRET, World
from tests.unit.pipeline.probing_world import AWAY, BACKLOG, DF, DISK, TAIL, Watch, rewrite, text, watching


def test_crossing_a_threshold_is_an_alert_that_its_own_runbook_answers(world: World) -> None:
    watch = watching(world)
    world.answers("redis-cli PING", "PONG")
    watch.see(10, 30)

    assert watch.woken == 1
    incident = world.store.incident(watch.incident_id())
    alert = incident.alert
    assert (alert.source, alert.severity, alert.service) == ("watch", Severity.WARNING, "keeptrusts")
    assert alert.title == "Escalation backlog: sum(pending) is 30 (warning > 20)"
    assert alert.dedup_key == f"watch/backlog/{alert.labels['watch']}"
    assert (alert.labels["value"], alert.labels["threshold"]) == ("30", "warning > 20")
    assert "Seen: 04:17:23 10, 04:18:23 30" in alert.body
    world.store.begin_run(incident.id, "main")
    assert world.handle(incident.id).runbook_id == "backlog"


def test_it_looks_when_it_is_due_and_makes_up_for_nothing(world: World) -> None:
    watch = watching(world)
    watch.prober.tick()
    world.clock.sleep(59)
    watch.prober.tick()
    assert len(watch.gauge.asked) == 1
    world.clock.sleep(1)
    watch.prober.tick()
    assert len(watch.gauge.asked) == 2
    world.clock.sleep(86_400)
    watch.prober.tick()
    watch.prober.tick()
    assert watch.gauge.asked == [("sum(pending)", 10.0)] * 3


def test_a_restart_neither_raises_twice_nor_forgets(world: World) -> None:
    watch = watching(world)
    watch.see(30)
    watch.restart()
    watch.see(31)
    assert len(watch.alerts()) == 1
    watch.restart()
    watch.see(5)
    (over,) = watch.events()
    assert (over.type, over.name, over.source) == (EventType.RESOLVED, "watch.cleared", "watch")
    assert over.source_id == world.store.incident(over_incident(world)).alert.source_id


def over_incident(world: World) -> str:
    ((incident_id, _),) = world.store.unhandled_events(50)
    return incident_id


@pytest.mark.parametrize("broken", ["accept", "keep_probe"])
def test_a_store_that_is_away_at_any_moment_makes_no_second_alert_and_loses_none(
    world: World, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = watching(world)
    real, calls = getattr(world.store, broken), 0

    def sometimes(*args: object, **more: object) -> object:
        nonlocal calls
        calls += 1
        if calls % 2:
            raise StoreAwayError("busy")
        return real(*args, **more)

    monkeypatch.setattr(world.store, broken, sometimes)
    watch.gauge.now = 30
    for _ in range(8):
        try:
            watch.prober.tick()
        except StoreAwayError:
            watch.restart()
    assert len(watch.alerts()) == 1
    assert watch.incident_id()


def test_who_leads_no_longer_raises_nothing_and_whoever_leads_next_knows_what_is_raised(world: World) -> None:
    watch = watching(world)
    watch.gauge.now = 30

    def lost() -> None:
        raise StoreAwayError("another process may be doing this now")

    with leading(lost), pytest.raises(StoreAwayError):
        watch.prober.tick()
    assert watch.alerts() == []
    assert watch.woken == 0

    watch.see(30)
    other = Watch(world)
    other.see(31, 32)
    assert len(other.alerts()) == 1
    assert other.incident_id() == watch.incident_id()


def test_worse_is_told_in_the_incident_that_is_worked_on(world: World) -> None:
    watch = watching(world)
    watch.see(30, 60)

    incident = world.store.incident(watch.incident_id())
    assert len(watch.alerts()) == 1
    assert "📈 Worse: sum(pending) is 60 (critical > 50)" in world.told(incident.id)
    assert incident.alert.severity is Severity.CRITICAL


def test_worse_after_its_incident_has_ended_is_an_alert_of_its_own_and_both_are_over_together(
    world: World,
) -> None:
    watch = watching(world)
    watch.see(30)
    first = watch.incident_id()
    closing.escalate(world.context, first, Stopped("nobody knows why", EscalationTrigger.NO_MATCH))
    watch.see(60)

    assert watch.incident_id() != first
    assert [severity for _, severity in watch.alerts()] == ["warning", "critical"]
    watch.see(3)
    assert {incident_id for incident_id, _ in world.store.unhandled_events(50)} >= {first}
    assert len(watch.events()) == 2


def test_a_watch_that_cannot_see_raises_a_warning_that_no_runbook_answers(world: World) -> None:
    watch = watching(world)
    watch.see(*[AWAY] * BLIND_AFTER)

    ((title, severity),) = watch.alerts()
    assert title == "Escalation backlog: the watch sum(pending) cannot see"
    assert severity == "warning"
    (state,) = world.store.probe_states()
    assert state.blind is not None
    incident = world.store.incident(state.blind.incident_id)
    assert "3 looks in a row found no number: prometheus: GET /api/v1/query" in incident.alert.body
    assert SECRET not in incident.alert.body
    found = matching.match(world.context, incident.alert)
    assert "a watch that cannot see is for a human" in str(found)
    watch.see(10)
    (over,) = watch.events()
    assert over.source_id == incident.alert.source_id


def test_where_prometheus_is_away_all_that_ask_it_are_one_alert(world: World) -> None:
    world.store.folding = Folding(same_alert=True)
    watch = watching(world, BACKLOG + "\n- other: promql `other`; every 60s; warning > 20; service billing")
    watch.see(*[AWAY] * BLIND_AFTER)

    incidents = world.store.incidents(limit=10)
    (first,) = [incident for incident in incidents if not incident.folded_into]
    (other,) = [incident for incident in incidents if incident.folded_into]
    assert (first.alert.service, first.alert_count) == ("prometheus", 2)
    watch.see(10)
    assert {event.source_id for event in watch.events()} == {first.alert.source_id, other.alert.source_id}


def test_a_look_that_breaks_in_ways_nobody_foresaw_blinds_no_other(world: World) -> None:
    watch = watching(world, f"{DISK}\n{BACKLOG}")
    world.sandbox.prepare(DF, CommandResult(0))
    world.sandbox.hooks[TAIL] = lambda: 1 / 0
    world.sandbox.prepare(TAIL, CommandResult(0, "50"))
    with capture_logs() as logged:
        watch.see(30)

    assert [line["exc_info"] for line in logged if line["event"] == "watch_broke"] == [True]
    disk, backlog = world.store.probe_states()
    assert disk.unseen_why == "the look itself broke (ZeroDivisionError: division by zero)"
    assert backlog.raised is not None


@pytest.mark.parametrize(
    ("items", "why"),
    [
        ("- command; every 60s; warning > 20\n  ```bash\n  rm -rf /tmp/x\n  ```", "refused: "),
        (
            "- command; every 60s; warning > 20\n  ```bash\n  redis-cli FLUSHDB\n  ```",
            "refused: ",
        ),
        ("- command; every 60s; warning > 20\n  ```bash\n  uptime\n  ```", "uptime is not installed"),
    ],
)
def test_what_cannot_be_looked_at_is_told_with_its_reason(world: World, items: str, why: str) -> None:
    watch = watching(world, items)
    watch.see(1)

    (state,) = world.store.probe_states()
    assert state.unseen == 1
    assert state.unseen_why.startswith(why), state.unseen_why


def test_what_config_switches_off_is_not_watched_and_not_blind(world: World) -> None:
    watch = watching(world, "- keeptrusts pending escalations; every 60s; warning > 20")
    watch.see(*[30] * 4)

    assert world.store.probe_states() == []
    assert watch.alerts() == []


def test_while_a_stop_is_in_force_no_command_runs_and_queries_are_still_asked(world: World) -> None:
    watch = watching(world, f"{DISK}\n{BACKLOG}")
    teller = Teller(world.store, world.context.redactor, world.channels)
    asked = StopAsked(StopScope.ALL, "", "bad deploy", "an approver")
    stop, _ = stops.put(teller, asked, now=world.clock.now())
    watch.see(30)

    assert world.sandbox.ran == []
    assert len(watch.alerts()) == 1
    stops.lift(teller, stop, by="an approver", now=world.clock.now())
    world.sandbox.prepare(DF, CommandResult(0))
    world.sandbox.prepare(TAIL, CommandResult(0, "50"))
    watch.see(30)
    assert len(world.sandbox.ran) == 1


def test_commands_that_a_stop_holds_take_no_query_its_turn(world: World) -> None:
    commands = "\n".join(DISK.replace("free space", f"disk {n}") for n in range(IN_ONE_ROUND))
    watch = watching(world, f"{commands}\n{BACKLOG}")
    teller = Teller(world.store, world.context.redactor, world.channels)
    stops.put(teller, StopAsked(StopScope.ALL, "", "bad deploy", "an approver"), now=world.clock.now())
    watch.prober.tick()
    watch.prober.tick()

    assert len(watch.gauge.asked) == 1


def test_an_incident_that_is_archived_meanwhile_holds_nothing_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = watching(world)
    watch.see(30)
    first = watch.incident_id()

    def archived(incident_id: str) -> Incident:
        raise UnknownIncidentError(f"there is no incident {incident_id}")

    with monkeypatch.context() as patched:
        patched.setattr(world.store, "incident", archived)
        watch.see(60)
        assert watch.incident_id() != first
        rewrite(watch, None)
        watch.see(60)
    assert world.store.probe_states() == []


def test_what_a_crash_left_running_is_ended_before_the_first_look(world: World) -> None:
    watch = watching(world, DISK)
    world.sandbox.orphans["watch-backlog-free-space"] = 2
    watch.see(0)

    assert world.sandbox.orphans == {}


def test_many_that_are_due_are_looked_at_a_few_at_a_time_and_none_is_left_out(world: World) -> None:
    items = "\n".join(f"- q{n}: promql `q{n}`; every 60s; warning > 20" for n in range(IN_ONE_ROUND + 3))
    watch = watching(world, items)

    assert watch.prober.tick() < 1
    assert len(watch.gauge.asked) == IN_ONE_ROUND > AT_ONCE
    watch.prober.tick()
    assert {query for query, _ in watch.gauge.asked} == {f"q{n}" for n in range(IN_ONE_ROUND + 3)}


def test_a_runbook_that_is_broken_for_a_while_forgets_nothing_and_is_told(world: World) -> None:
    watch = watching(world)
    watch.see(30)
    raised = watch.incident_id()
    rewrite(watch, text(BACKLOG).replace("every 60s", "every now and then"))
    watch.see(*[30] * BLIND_AFTER)

    titles = [title for title, _ in watch.alerts()]
    assert any(title.startswith("backlog: the watch promql-") for title in titles), titles
    rewrite(watch, text(BACKLOG))
    watch.see(30)
    assert watch.incident_id() == raised, "it is known that it is raised"
    assert len(watch.alerts()) == 2


def test_an_item_that_is_taken_out_is_forgotten_and_nobody_says_that_it_is_over(world: World) -> None:
    watch = watching(world)
    watch.see(30)
    raised = watch.incident_id()
    rewrite(watch, text(""))
    watch.see(30)

    assert world.store.probe_states() == []
    assert "⚠️ What raised this is not watched any more: nobody will say that it is over" in world.told(raised)
    assert watch.events() == []
    assert world.store.incident(raised).status is Status.RECEIVED


def test_a_file_that_is_gone_takes_back_that_its_watch_was_blind(world: World) -> None:
    watch = watching(world)
    watch.see(*[AWAY] * BLIND_AFTER)
    rewrite(watch, None)
    watch.see(0)

    assert [event.type for event in watch.events()] == [EventType.RESOLVED]
    assert world.store.probe_states() == []


def test_where_nothing_is_watched_nothing_is_asked(world: World) -> None:
    watch = watching(world, "")

    assert watch.prober.tick() == 5.0
    assert watch.gauge.asked == []
