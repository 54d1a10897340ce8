"""`POST /api/v1/runs`: one run for one id, by whoever may, of a runbook that is in force."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from agent.domain.incident import Status
from agent.domain.stops import StopAsked, StopScope
from agent.pipeline import stops
from agent.pipeline.telling import Teller
from tests.integration.web.conftest import API_TOKEN, Site
from tests.integration.web.test_api_changes import post
from tests.unit.pipeline.conftest import runbook, step

ASKED = {
    "by": "alice",
    "id": "0f8c2d7e-run-1",
    "runbook": "redis",
    "title": "Redis is slow",
    "service": "cache",
    "severity": "warning",
    "labels": {"db": "sessions"},
}


@pytest.fixture
def site(site: Site) -> Site:
    site.settings["server"] = {"api_token": site.secret("token", API_TOKEN)}
    site.world.runbook(runbook(steps=step(1, "redis-cli PING")), "redis")
    return site


def test_a_run_is_started_once_for_an_id(site: Site) -> None:
    first, again = post(site, "/runs", ASKED), post(site, "/runs", ASKED)
    assert (first.status_code, again.status_code) == (201, 200)
    (incident,) = site.store.incidents()
    assert first.get_json() == {
        "incident": incident.id,
        "by": "alice (by API)",
        "runbook": "redis",
        "again": False,
    }
    assert again.get_json()["again"] is True
    alert = incident.alert
    assert (alert.source, alert.title, alert.service) == ("asked", "Redis is slow", "cache")
    assert alert.labels["db"] == "sessions"
    assert site.notified == 2


def test_it_waits_for_a_yes_although_it_may_run_alone(site: Site) -> None:
    incident_id = post(site, "/runs", ASKED).get_json()["incident"]
    site.store.begin_run(incident_id, "main")
    asked: list[Status] = []
    site.world.on_wait = lambda _: bool(asked.append(site.store.incident(incident_id).status))
    site.world.handle(incident_id)
    assert asked == [Status.AWAITING_APPROVAL]
    assert site.world.sandbox.commands() == []


@pytest.mark.parametrize(
    ("changed", "status", "words"),
    [
        ({"runbook": "nothing"}, 409, "there is no runbook nothing"),
        ({"labels": {"oncall.runbook": "x"}}, 409, "the agent's own"),
        ({"id": "short"}, 400, "id: "),
        ({"severity": "awful"}, 400, "severity: "),
        ({"steps": []}, 400, "steps: "),
        ({"by": None}, 400, "by"),
    ],
)
def test_what_cannot_be_started_is_told(
    site: Site, changed: dict[str, object], status: int, words: str
) -> None:
    answer = post(site, "/runs", ASKED | changed)
    assert (answer.status_code, words in answer.get_json()["error"]) == (status, True), answer.get_json()
    assert site.store.incidents() == []


def test_one_id_is_not_for_two_runbooks(site: Site) -> None:
    site.world.runbook(runbook(steps=step(1, "redis-cli PING")), "other")
    post(site, "/runs", ASKED)
    answer = post(site, "/runs", ASKED | {"runbook": "other"})
    assert answer.status_code == 409
    assert "a run of redis was asked for" in answer.get_json()["error"]


def test_what_is_stopped_is_not_started(site: Site) -> None:
    teller = Teller(site.store, site.world.context.redactor, site.world.context.channels)
    stops.put(teller, StopAsked(StopScope.ALL, "", "broken", "bob"), now=site.world.clock.now())
    assert post(site, "/runs", ASKED).status_code == 409
    assert site.store.incidents() == []


def test_without_the_token_nothing_is_started(site: Site) -> None:
    assert post(site, "/runs", ASKED, Authorization="Bearer wrong").status_code == 401
    assert site.store.incidents() == []


def test_the_same_sent_at_one_moment_is_one_run(site: Site) -> None:
    assert site.client
    together = Barrier(4)

    def ask(_: int) -> int:
        together.wait()
        return post(site, "/runs", ASKED).status_code

    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(pool.map(ask, range(4)))
    assert statuses == [200, 200, 200, 201]
    assert len(site.store.incidents()) == 1
