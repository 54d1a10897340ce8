"""The shipped runbooks for AI systems, run whole against a simulated Keeptrusts and a simulated cluster."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import pytest

from agent.adapters.fake_clock import FakeClock
from agent.adapters.keeptrusts_actions import KeeptrustsActions
from agent.adapters.keeptrusts_gateways import KeeptrustsGateways
from agent.adapters.kubernetes.actions import KubernetesActions
from agent.adapters.kubernetes.client import KubernetesApi
from agent.adapters.kubernetes.counting import KubernetesCounting
from agent.adapters.kubernetes.credentials import ClusterCredentials
from agent.adapters.live_actions import LiveActions
from agent.adapters.live_counter import LiveCounter
from agent.adapters.store import Store
from agent.config import parse
from agent.domain.alert import Alert, Severity
from agent.domain.approvals import needs_of
from agent.domain.incident import EventKind, Incident, Status
from agent.domain.outbox import Channel
from agent.domain.people import Actor, Person, Role, Via
from agent.pipeline import answers
from agent.pipeline.answers import NotTaken, Taken
from agent.pipeline.bypass_clock import BypassClock
from agent.pipeline.telling import Teller
from agent.ports import CommandResult
from agent.safety.effects import EffectTables
from agent.safety.places import KeeptrustsPlaces
from agent.simulators.keeptrusts import API_TOKEN, KeeptrustsSimulator
from agent.simulators.keeptrusts_configs import GatewayWorld, world_of
from agent.simulators.kubernetes.simulator import KubernetesSimulator
from tests.unit.pipeline.conftest import SETTINGS, HookedSandbox, World

SHIPPED = Path(__file__).parents[3] / "runbooks" / "ai"
GOOD = "gateway: {port: 41002}\npolicies:\n- name: phi\n  input: [{type: content_safety, action: redact}]\n"
BROAD = "gateway: {port: 41002}\npolicies:\n- name: broad\n  input: [{type: content_safety, action: block}]\n"
PEOPLE = [
    {"name": "reviewer", "role": "approver", "teams": ["governance"]},
    {"name": "engineer", "role": "approver", "teams": ["platform"]},
]
QUERY = (
    "curl -sf http://prometheus.monitoring.svc:9090/api/v1/query?query=ALERTS%7Balertname%3D%22{}"
    "%22%2Calertstate%3D%22firing%22%7D"
)
QUIET = '{"status":"success","data":{"resultType":"vector","result":[]}}'
FIRING = '{"status":"success","data":{"result":[{"metric":{"alertname":"x"},"value":[1,"1"]}]}}'


@dataclass
class Place:
    """A platform: Keeptrusts, a cluster with its gateway, and an agent in front of both."""

    world: World
    sim: KeeptrustsSimulator
    cluster: KubernetesSimulator

    @property
    def gateways(self) -> GatewayWorld:
        return world_of(self.sim.state)

    def gateways_anew(self) -> KeeptrustsGateways:
        """As a process that has just been started has them."""
        return KeeptrustsGateways(self.sim.url, API_TOKEN, gateways={}, status_pages={}, timeout_s=5.0)

    def alert(self, name: str, severity: Severity, summary: str, **labels: str) -> Alert:
        title = f"{name}: {summary}"
        return Alert("pagerduty", "P1", title, severity=severity, labels={"alertname": name, **labels})

    def prometheus_says(self, name: str, *answers: str) -> None:
        self.world.sandbox.prepare(
            tuple(QUERY.format(name).split()), *(CommandResult(0, stdout=each) for each in answers)
        )

    def handle(self, alert: Alert) -> Incident:
        return self.world.handle(self.world.receive(alert))

    def when_asked(self, *says: Callable[[str], Taken | NotTaken]) -> list[Taken | NotTaken]:
        """What people answer, one after the other, when the agent waits for a yes."""
        results: list[Taken | NotTaken] = []
        left = list(says)

        def look(_: str) -> bool:
            if not left:
                return False
            (incident,) = self.world.store.unfinished()
            results.append(left.pop(0)(incident.id))
            return True

        self.world.on_wait = look
        return results

    def yes_of(self, name: str) -> Callable[[str], Taken | NotTaken]:
        (teams,) = (each["teams"] for each in PEOPLE if each["name"] == name)
        actor = Actor(Person(name, Role.APPROVER, teams=frozenset(teams)), Via.SLACK, is_shown=True)
        world = self.world

        def say(incident_id: str) -> Taken | NotTaken:
            return answers.decide(
                world.store, world.store.incident(incident_id), approved=True, by=str(actor),
                now=world.clock.now(), actor=actor,
                teller=Teller(world.store, world.context.redactor, world.context.channels),
            )  # fmt: skip

        return say

    def told(self, incident: Incident) -> str:
        return "\n".join(self.world.told(incident.id))


@pytest.fixture
def place(store: Store, clock: FakeClock, tmp_path: Path) -> Iterator[Place]:
    shutil.copytree(SHIPPED, tmp_path / "runbooks")
    world = World(store, clock, tmp_path / "runbooks", HookedSandbox())
    world.config = parse(SETTINGS | {"people": PEOPLE}, path="config.yaml")
    with KeeptrustsSimulator() as sim, KubernetesSimulator() as cluster:
        cluster.add_deployment("platform", "kt-gateway", replicas=2)
        url, host = sim.url, urlsplit(sim.url).netloc
        gateways = KeeptrustsGateways(
            url, API_TOKEN, gateways={"kt-gateway": f"{url}/gateways/kt-gateway"},
            status_pages={"openai": f"{url}/providers/openai"}, timeout_s=5.0,
        )  # fmt: skip
        api = KubernetesApi(ClusterCredentials(server=cluster.url), timeout_s=5.0)
        ending = BypassClock(store, gateways, world.channels, clock)
        handlers = dict(KeeptrustsActions(gateways, store, ending).handlers())
        # the cluster takes the time that it takes, so its actions wait by the real clock of the job
        handlers |= KubernetesActions(api).handlers()
        world.actions = cast(Any, LiveActions(handlers, clock=clock))
        world.counter = cast(Any, LiveCounter(lambda: KubernetesCounting(api)))
        places = KeeptrustsPlaces(host, {"kt-gateway": host}, {"openai": host})
        world.tables = EffectTables.load(keeptrusts=places)
        place = Place(world, sim, cluster)
        place.gateways.configure("cfg_main", GOOD, BROAD)
        place.gateways.gateways["kt-gateway"] = True
        place.gateways.providers["openai"] = "none"
        yield place


DOWN = ("GatewayUnhealthy", Severity.CRITICAL, "Keeptrusts gateway is down")
MOST = ("MostRequestsBlocked", Severity.CRITICAL, "block rate exceeds 80%")


def test_a_gateway_that_is_down_is_rolled_out_anew_and_verified(place: Place) -> None:
    place.gateways.gateways["kt-gateway"] = False
    before = set(place.cluster.pod_names("platform", "app=kt-gateway"))
    looks = place.world.clock.sleep

    def and_then_it_is_up(seconds: float) -> None:
        place.gateways.gateways["kt-gateway"] = before.isdisjoint(
            place.cluster.pod_names("platform", "app=kt-gateway")
        )
        looks(seconds)

    place.world.clock.sleep = and_then_it_is_up  # type: ignore[method-assign]
    incident = place.handle(place.alert(*DOWN))
    assert incident.status is Status.RESOLVED, place.told(incident)
    assert before.isdisjoint(place.cluster.pod_names("platform", "app=kt-gateway"))
    assert place.world.store.charged(incident.id) == {"rollout": 1, "pod_restart": 2}


def test_a_gateway_that_came_back_by_itself_is_not_restarted(place: Place) -> None:
    before = place.cluster.pod_names("platform", "app=kt-gateway")
    incident = place.handle(place.alert(*DOWN))
    assert incident.status is Status.RESOLVED, place.told(incident)
    assert place.cluster.pod_names("platform", "app=kt-gateway") == before
    assert place.world.store.charged(incident.id) == {}


def test_a_gateway_that_stays_down_after_its_rollout_calls_a_human(place: Place) -> None:
    place.gateways.gateways["kt-gateway"] = False
    incident = place.handle(place.alert(*DOWN))
    assert incident.status is Status.ESCALATED
    assert "does not hold" in incident.result
    assert place.world.store.charged(incident.id)["rollout"] == 1


def test_a_rollback_waits_for_a_yes_and_puts_the_good_version_back(place: Place) -> None:
    place.prometheus_says("MostRequestsBlocked", FIRING, QUIET)
    said = place.when_asked(place.yes_of("engineer"))
    place.world.runbooks.joinpath("ai-emergency-bypass.md").unlink()
    incident = place.handle(place.alert(*MOST, config_id="cfg_main", known_good_version="1"))
    assert incident.status is Status.RESOLVED, place.told(incident)
    assert len(said) == 1
    assert place.gateways.current["cfg_main"] == GOOD
    assert place.world.store.charged(incident.id) == {"config_change": 1}


def test_a_version_that_is_not_understood_is_never_put(place: Place) -> None:
    place.gateways.configure("cfg_main", "policies: [1", BROAD)
    place.when_asked(place.yes_of("engineer"))
    place.world.runbooks.joinpath("ai-emergency-bypass.md").unlink()
    incident = place.handle(place.alert(*MOST, config_id="cfg_main", known_good_version="1"))
    assert incident.status is Status.ESCALATED
    assert "must not be applied" in incident.result
    assert place.gateways.current["cfg_main"] == BROAD


def test_a_bypass_takes_the_governance_teams_yes_and_ends_by_itself(place: Place) -> None:
    place.prometheus_says("MostRequestsBlocked", QUIET)
    said = place.when_asked(place.yes_of("engineer"), place.yes_of("reviewer"))
    incident = place.handle(place.alert(*MOST, config_id="cfg_main"))
    assert incident.status is Status.RESOLVED, place.told(incident)
    assert [type(each).__name__ for each in said] == ["NotTaken", "Taken"]
    (asked,) = (
        event
        for event in place.world.store.timeline(incident.id)
        if event.kind is EventKind.APPROVAL_REQUESTED
    )
    assert str(needs_of(asked.data)) != ""
    assert "action: flag" in place.gateways.current["cfg_main"]
    (bypass,) = place.world.store.bypasses()
    assert bypass.ends_at - bypass.begun_at == timedelta(hours=1)
    place.world.clock.sleep(3_601)
    after_a_restart = BypassClock(
        place.world.store, place.gateways_anew(), frozenset({Channel.CHAT}), place.world.clock
    )
    after_a_restart.tick()
    assert place.gateways.current["cfg_main"] == BROAD
    assert "is over" in place.told(incident)


def test_without_anybody_of_governance_a_bypass_is_refused_at_once(place: Place) -> None:
    place.world.config = parse(SETTINGS | {"people": PEOPLE[1:]}, path="config.yaml")
    incident = place.handle(place.alert(*MOST, config_id="cfg_main"))
    assert incident.status is Status.ESCALATED
    assert place.world.store.bypasses() == []


def test_with_a_good_version_at_hand_a_human_may_choose_the_bypass_instead(place: Place) -> None:
    incident_id = place.world.receive(place.alert(*MOST, config_id="cfg_main", known_good_version="1"))
    incident = place.world.handle(incident_id)
    assert "ai-policy-rollback" in place.told(incident)
    assert "ai-emergency-bypass" in place.told(incident)
    assert place.gateways.current["cfg_main"] == BROAD


@pytest.mark.parametrize(("waiting", "status"), [(20, Status.RESOLVED), (23, Status.ESCALATED)])
def test_a_backlog_is_told_by_policy_and_given_to_reviewers(
    place: Place, waiting: int, status: Status
) -> None:
    for _ in range(waiting):
        place.sim.escalate(policy_name="phi-detection")
    incident = place.handle(
        place.alert("EscalationBacklogWarning", Severity.WARNING, f"{waiting} pending escalations")
    )
    assert incident.status is status, place.told(incident)
    assert f'"phi-detection": {waiting}' in place.told(incident)


@pytest.mark.parametrize(("indicator", "status"), [("none", Status.RESOLVED), ("major", Status.ESCALATED)])
def test_a_providers_outage_is_told_apart_from_ours(place: Place, indicator: str, status: Status) -> None:
    place.gateways.providers["openai"] = indicator
    place.prometheus_says("ProviderErrorRate", QUIET)
    incident = place.handle(
        place.alert("ProviderErrorRate", Severity.ERROR, "provider error rate exceeds 10%", provider="openai")
    )
    assert incident.status is status, place.told(incident)
    if status is Status.ESCALATED:
        assert "indicator" in incident.result


LOOKS = [
    ("HighBlockRate", "Block rate exceeds 30% over 5 minutes"),
    ("HighGatewayLatency", "Gateway p99 latency exceeds 5 seconds"),
    ("EventIngestionLag", "event ingestion lag exceeds 5 minutes"),
]


@pytest.mark.parametrize(("name", "summary"), LOOKS)
@pytest.mark.parametrize(("seen", "status"), [(QUIET, Status.RESOLVED), (FIRING, Status.ESCALATED)])
def test_what_only_looks_ends_as_prometheus_says(
    place: Place, name: str, summary: str, seen: str, status: Status
) -> None:
    place.prometheus_says(name, seen)
    incident = place.handle(place.alert(name, Severity.WARNING, summary))
    assert incident.status is status, place.told(incident)
    assert place.world.store.charged(incident.id) == {}


def test_every_shipped_alert_has_its_runbook_and_the_other_way_round() -> None:
    """Names of alerts in the rules are those that the runbooks wait for."""
    import re

    import yaml

    rules = yaml.safe_load((SHIPPED.parents[1] / "deploy/prometheus/keeptrusts-alerts.yml").read_text())
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"] if "alert" in rule}
    waited_for = {
        name
        for path in SHIPPED.glob("*.md")
        for name in re.findall(r"label\.alertname:([A-Za-z]+\*?)", path.read_text())
    }
    unanswered = {
        a for a in alerts if not any(a == w or (w[-1] == "*" and a.startswith(w[:-1])) for w in waited_for)
    }
    unheard = {
        w for w in waited_for if not any(a == w or (w[-1] == "*" and a.startswith(w[:-1])) for a in alerts)
    }
    assert (unanswered, unheard) == (set(), set())
