"""Typed actions on Keeptrusts, against the simulator: what is sent, what is refused, and what stays open."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from agent.adapters.fake_clock import FakeClock
from agent.adapters.keeptrusts_actions import KeeptrustsActions
from agent.adapters.keeptrusts_gateways import KeeptrustsGateways
from agent.adapters.live_actions import LiveActions
from agent.adapters.store import Store
from agent.domain.alert import Alert
from agent.domain.command import PricedCommand, Refusal
from agent.domain.outbox import Channel
from agent.domain.runbook import Action
from agent.domain.source_event import EventType, SourceEvent
from agent.pipeline.bypass_clock import BypassClock
from agent.ports import CommandResult
from agent.safety import actions, actions_keeptrusts
from agent.safety.effects import EffectTables
from agent.safety.places import KeeptrustsPlaces
from agent.simulators.keeptrusts import API_TOKEN, KeeptrustsSimulator
from agent.simulators.keeptrusts_configs import GatewayWorld, world_of
from agent.simulators.server import Fault

CONFIG = "cfg_main"
GOOD = """# reviewed
gateway:
  port: 41002
  secret_key_ref:
    env: OPENAI_API_KEY
policies:
  - name: phi-detection
    input:
      - {type: content_safety, action: redact}
    output:
      - {type: content_safety, action: escalate}
"""
BROAD = """gateway: {port: 41002}
policies:
  - name: phi-detection
    input: [{type: content_safety, action: redact}]
  - name: content-filter
    input: [{type: content_safety, action: block}]
"""
UNREADABLE = "gateway: {port: 41002}\npolicies: []\n"
TABLES = EffectTables.load(
    keeptrusts=KeeptrustsPlaces("api:443", {"kt-gateway": "gw:41002"}, {"openai": "status:443"})
)


@dataclass
class Place:
    """Keeptrusts in a simulator, and everything of ours in front of it."""

    sim: KeeptrustsSimulator
    store: Store
    clock: FakeClock
    timeout_s: float = 5.0
    incident_id: str = field(init=False)

    def __post_init__(self) -> None:
        alert = Alert("pagerduty", "P1", "x")
        event = SourceEvent("pagerduty", "d-1", EventType.TRIGGERED, "incident.triggered", "P1", alert=alert)
        self.incident_id = self.store.accept(event, "{}").incident_id
        self.world.configure(CONFIG, GOOD, UNREADABLE, BROAD)
        self.world.gateways["kt-gateway"] = True
        self.world.providers["openai"] = "major"

    @property
    def world(self) -> GatewayWorld:
        return world_of(self.sim.state)

    @property
    def gateways(self) -> KeeptrustsGateways:
        url = self.sim.url
        return KeeptrustsGateways(
            url, API_TOKEN, gateways={"kt-gateway": f"{url}/gateways/kt-gateway"},
            status_pages={"openai": f"{url}/providers/openai"}, timeout_s=self.timeout_s,
        )  # fmt: skip

    @property
    def ending(self) -> BypassClock:
        """As a process that has just been started has it."""
        channels = frozenset({Channel.PAGER, Channel.CHAT})
        return BypassClock(self.store, self.gateways, channels, self.clock)

    def run(self, name: str, attempt: int = 1, **arguments: object) -> CommandResult:
        action = Action(f"keeptrusts.{name}", arguments)
        found = actions.analyse(action, TABLES)
        assert not isinstance(found, Refusal), found
        carried = LiveActions(
            KeeptrustsActions(self.gateways, self.store, self.ending).handlers(), clock=self.clock
        )
        command = PricedCommand(found[0], found[1].effects, access=found[1].access)
        marker = f"{self.incident_id}/steps/1/{attempt}"
        return carried.run(action, command=command, marker=marker, timeout_s=20, should_stop=lambda: False)

    def told(self) -> list[str]:
        return [event.text for event in self.store.timeline(self.incident_id)]

    def letters(self, channel: Channel) -> list[Any]:
        return [letter.message for letter in self.store.next_letters(channel, 20)]

    def all_pages(self) -> list[Any]:
        """Every page so far: what was sent makes way for the next."""
        found = []
        while letters := self.store.next_letters(Channel.PAGER, 20):
            found += [letter.message for letter in letters]
            for letter in letters:
                self.store.delivered([letter.id])
        return found

    def puts(self) -> list[str]:
        return [json.loads(each.body)["content"] for each in self.sim.requests() if each.method == "PUT"]

    def later(self, minutes: float) -> None:
        self.clock.sleep(minutes * 60)


@pytest.fixture
def place(store: Store, clock: FakeClock) -> Iterator[Place]:
    with KeeptrustsSimulator() as sim:
        yield Place(sim, store, clock)


def facts(result: CommandResult) -> dict[str, Any]:
    assert result.exit_code == 0, result
    told: dict[str, Any] = json.loads(result.stdout)
    return told


def test_a_rollback_puts_the_version_and_reads_it_back(place: Place) -> None:
    told = facts(place.run("rollback_configuration", configuration=CONFIG, version="1"))
    assert place.puts() == [GOOD]
    assert place.world.current[CONFIG] == GOOD
    assert (told["read_back"], told["changed"][0]["version"]) == (True, "1")
    assert told["changed"][0]["was_sha256"] != told["changed"][0]["sha256"]


def test_a_rollback_to_what_is_in_force_sends_nothing(place: Place) -> None:
    assert facts(place.run("rollback_configuration", configuration=CONFIG, version="3"))["already"] is True
    assert place.puts() == []


def test_a_version_that_would_govern_nothing_is_refused_before_anything_is_sent(place: Place) -> None:
    result = place.run("rollback_configuration", configuration=CONFIG, version="2")
    assert "refused before anything was changed" in result.problem
    assert "nothing would be governed" in result.problem
    assert place.puts() == []
    assert "must not be applied" in place.run("lint_configuration", configuration=CONFIG, version="2").problem
    assert facts(place.run("lint_configuration", configuration=CONFIG, version="1"))["valid"] is True


def test_a_version_that_is_not_there_is_told_in_the_apis_words(place: Place) -> None:
    result = place.run("rollback_configuration", configuration=CONFIG, version="77")
    assert "has no version 77" in result.problem
    assert result.exit_code == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 429])
def test_a_put_that_was_not_taken_is_a_failure_that_may_be_tried_again(place: Place, status: int) -> None:
    place.sim.misbehave(Fault(status, path="/v1/configurations", method="PUT"))
    result = place.run("rollback_configuration", configuration=CONFIG, version="1")
    assert (result.exit_code, result.timed_out) == (1, False)
    assert str(status) in result.problem
    assert API_TOKEN not in str(result)


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
def test_a_put_that_may_have_been_taken_is_an_unknown_outcome(place: Place, status: int) -> None:
    place.sim.misbehave(Fault(status, path="/v1/configurations", method="PUT"))
    result = place.run("rollback_configuration", configuration=CONFIG, version="1")
    assert (result.exit_code, result.timed_out) == (None, True)
    assert "look before doing it again" in result.problem


def test_what_is_read_back_as_something_else_is_an_unknown_outcome(place: Place) -> None:
    place.world.on_put = lambda configuration, _: place.world.current.update(
        {configuration: BROAD + "# x: 1\nx: 1"}
    )
    result = place.run("rollback_configuration", configuration=CONFIG, version="1")
    assert "what is read back is something else" in result.problem
    assert result.exit_code is None


def test_a_bypass_only_flags_what_would_be_blocked_and_still_redacts(place: Place) -> None:
    told = facts(place.run("apply_bypass", configuration=CONFIG, minutes=30))
    (sent,) = place.puts()
    assert sent.startswith("# EMERGENCY BYPASS until ")
    assert "action: block" not in sent
    assert "action: redact" in sent
    assert "action: flag" in sent
    assert told["ends_at"] == place.store.bypasses()[0].ends_at.isoformat()
    assert any("it ends by itself" in text for text in place.told())


def test_a_bypass_may_be_of_one_policy_alone(place: Place) -> None:
    result = place.run("apply_bypass", configuration=CONFIG, minutes=30, policy="phi-detection")
    assert "would change nothing" in result.problem
    assert (
        "there is no policy other"
        in place.run("apply_bypass", configuration=CONFIG, minutes=30, policy="other").problem
    )
    assert place.puts() == []
    facts(place.run("apply_bypass", configuration=CONFIG, minutes=30, policy="content-filter"))


def test_a_bypass_ends_by_itself_after_a_restart_and_is_told(place: Place) -> None:
    facts(place.run("apply_bypass", configuration=CONFIG, minutes=30))
    place.later(29)
    place.ending.tick()
    assert place.world.current[CONFIG] != BROAD
    place.later(2)
    place.ending.tick()
    assert place.world.current[CONFIG] == BROAD
    assert place.store.bypasses() == []
    assert any("is put back and was read back" in text for text in place.told())
    assert place.letters(Channel.PAGER) == []


def test_a_bypass_whose_process_died_with_the_answer_ends_all_the_same(place: Place) -> None:
    """The change was taken, the answer lost: nobody knows, and the end is in the book."""
    place.world.on_put = lambda *_: (_ for _ in ()).throw(ConnectionError("gone"))
    result = place.run("apply_bypass", configuration=CONFIG, minutes=30)
    assert result.exit_code is None
    assert "EMERGENCY" in place.world.current[CONFIG]
    place.world.on_put = None
    place.later(31)
    place.ending.tick()
    assert place.world.current[CONFIG] == BROAD


def test_a_bypass_that_was_not_taken_leaves_nothing_open(place: Place) -> None:
    place.sim.misbehave(Fault(422, path="/v1/configurations", method="PUT"))
    assert place.run("apply_bypass", configuration=CONFIG, minutes=30).exit_code == 1
    assert place.store.bypasses() == []
    assert any("was not taken" in text for text in place.told())
    facts(place.run("apply_bypass", attempt=2, configuration=CONFIG, minutes=30))


def test_an_end_that_fails_pages_once_is_tried_again_and_clears_the_page(place: Place) -> None:
    facts(place.run("apply_bypass", configuration=CONFIG, minutes=30))
    place.later(31)
    place.sim.misbehave(Fault(503, path="/v1/configurations", times=-1))
    ending = place.ending
    ending.tick()
    ending.tick()
    place.later(1)
    ending.tick()
    (page,) = place.letters(Channel.PAGER)
    assert "could not be ended" in page.summary
    assert page.severity.value == "critical"
    place.sim.behave()
    place.later(1)
    ending.tick()
    assert place.world.current[CONFIG] == BROAD
    assert [type(each).__name__ for each in place.all_pages()] == ["PageHuman", "ClearPage"]


def test_what_somebody_changed_meanwhile_is_left_alone_and_told(place: Place) -> None:
    facts(place.run("apply_bypass", configuration=CONFIG, minutes=30))
    place.world.put(CONFIG, GOOD)
    place.later(31)
    place.ending.tick()
    assert place.world.current[CONFIG] == GOOD
    (page,) = place.letters(Channel.PAGER)
    assert "somebody has changed the configuration since" in page.summary
    assert place.store.bypasses() == []


@pytest.mark.parametrize(
    "junk", ["x: !!bool maybe", "x: !!timestamp soon", "x: !!int ''", "? [a, b]\n: c", "x: *nothing"]
)
def test_a_text_that_no_reader_takes_holds_up_the_end_of_no_other_bypass(place: Place, junk: str) -> None:
    place.world.configure("cfg_other", GOOD, BROAD)
    facts(place.run("apply_bypass", configuration=CONFIG, minutes=30))
    facts(place.run("apply_bypass", 2, configuration="cfg_other", minutes=31))
    place.world.current[CONFIG] = f"{GOOD}{junk}\n"
    place.later(32)
    place.ending.tick()
    assert place.world.current["cfg_other"] == BROAD
    assert place.store.bypasses() == []
    (page,) = place.all_pages()
    assert "somebody has changed the configuration since" in page.summary


def test_one_configuration_has_one_bypass_and_no_rollback_meanwhile(place: Place) -> None:
    facts(place.run("apply_bypass", configuration=CONFIG, minutes=30))
    assert (
        "has an emergency bypass already"
        in place.run(
            "apply_bypass", attempt=2, configuration=CONFIG, minutes=30, policy="content-filter"
        ).problem
        or "would change nothing" in place.run("apply_bypass", configuration=CONFIG, minutes=5).problem
    )
    assert "end it first" in place.run("rollback_configuration", configuration=CONFIG, version="1").problem
    facts(place.run("end_bypass", configuration=CONFIG))
    assert place.world.current[CONFIG] == BROAD
    assert facts(place.run("end_bypass", configuration=CONFIG))["already"] is True
    facts(place.run("rollback_configuration", configuration=CONFIG, version="1"))


@pytest.mark.parametrize(
    ("waiting", "level"), [(20, "ok"), (21, "warning"), (50, "warning"), (51, "critical")]
)
def test_pending_escalations_are_graded_as_published(place: Place, waiting: int, level: str) -> None:
    for at in range(waiting):
        place.sim.escalate(policy_name="phi-detection" if at else "cost-limit")
    told = facts(place.run("count_pending_escalations"))
    assert (told["pending"], told["level"]) == (waiting, level)
    assert told["by_policy"]["phi-detection"] >= 1


def test_blocked_events_are_counted_by_policy(place: Place) -> None:
    at = place.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    place.sim.add_events(
        *(
            {"decision": "blocked", "policy_name": name, "user_id": "u1", "timestamp": at}
            for name in ("a", "a", "b")
        ),
        {"decision": "allowed", "policy_name": "a", "user_id": "u2", "timestamp": at},
    )
    told = facts(place.run("count_blocked_events", minutes=15))
    assert (told["blocked"], told["by_policy"], told["users"]) == (3, {"a": 2, "b": 1}, 1)


def test_gateways_and_providers_are_asked_without_the_token(place: Place) -> None:
    assert facts(place.run("gateway_health", gateway="kt-gateway"))["status"] == "healthy"
    assert facts(place.run("provider_status", provider="openai"))["indicator"] == "major"
    asked = [each for each in place.sim.requests() if not each.path.startswith("/v1/")]
    assert len(asked) == 2
    assert ["Authorization" in each.headers for each in asked] == [False, False]
    place.world.gateways["kt-gateway"] = False
    assert place.run("gateway_health", gateway="kt-gateway").exit_code == 1


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("rollback_configuration", {"configuration": "../x", "version": "1"}, "is not a configuration's id"),
        ("rollback_configuration", {"configuration": "c", "version": "1/../../x"}, "is not a version"),
        ("apply_bypass", {"configuration": "c", "minutes": 241}, "is not a number from 1 to 240"),
        ("apply_bypass", {"configuration": "c"}, "without minutes"),
        ("gateway_health", {"gateway": "other"}, "keeptrusts.gateways has no other"),
    ],
)
def test_what_is_not_understood_is_refused_with_words(
    name: str, arguments: dict[str, object], said: str
) -> None:
    found = actions.analyse(Action(f"keeptrusts.{name}", arguments), TABLES)
    assert isinstance(found, Refusal)
    assert said in str(found)


def test_without_keeptrusts_in_the_configuration_nothing_of_it_is_planned() -> None:
    found = actions.analyse(Action("keeptrusts.count_pending_escalations", {}), EffectTables.load())
    assert "keeptrusts.api_url" in str(found)


def test_a_change_costs_a_change_and_a_bypass_its_end_too() -> None:
    def price(name: str, **arguments: object) -> list[tuple[str, int]]:
        found = actions.analyse(Action(f"keeptrusts.{name}", arguments), TABLES)
        assert not isinstance(found, Refusal)
        return [(effect.effect_class.value, effect.count) for effect in found[1].effects]

    one, both, read = [("config_change", 1)], [("config_change", 2)], [("read", 1)]
    prices = {
        "rollback_configuration": price("rollback_configuration", configuration="c", version="1") == one,
        "end_bypass": price("end_bypass", configuration="c") == one,
        "apply_bypass": price("apply_bypass", configuration="c", minutes=5) == both,
        "count_pending_escalations": price("count_pending_escalations") == read,
        "count_blocked_events": price("count_blocked_events", minutes=5) == read,
        "gateway_health": price("gateway_health", gateway="kt-gateway") == read,
        "provider_status": price("provider_status", provider="openai") == read,
        "lint_configuration": price("lint_configuration", configuration="c", version="1") == read,
    }
    assert all(prices.values()), prices
    assert {f"keeptrusts.{name}" for name in prices} == set(actions_keeptrusts.ACTIONS)
