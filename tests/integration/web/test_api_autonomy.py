"""How far runbooks go alone, by API: read, promoted, demoted; only with a token and a reason."""

from __future__ import annotations

import jsonschema
import pytest

from agent.web.openapi import OPENAPI
from tests.integration.web.conftest import API_TOKEN, Site
from tests.integration.web.test_api_changes import TOKEN, post
from tests.unit.pipeline.conftest import runbook, step

NAME = "redis-connection-timeout"
SAYS = {"by": "alice", "reason": "it works"}


@pytest.fixture
def site(site: Site) -> Site:
    site.settings["server"] = {"api_token": site.secret("token", API_TOKEN)}
    site.world.runbook(runbook(steps=step(1, "redis-cli PING")))
    return site


def test_it_is_read_as_described(site: Site) -> None:
    answer = site.get("/api/v1/autonomy", **TOKEN)
    described = OPENAPI["paths"]["/api/v1/autonomy"]["get"]["responses"]["200"]
    jsonschema.validate(answer.get_json(), described["content"]["application/json"]["schema"])
    (row,) = answer.get_json()["autonomy"]
    assert (row["runbook"], row["level"], row["proposed"]) == (NAME, "approve", None)


def test_it_is_promoted_and_demoted(site: Site) -> None:
    up = post(site, f"/autonomy/{NAME}/promote", SAYS)
    assert up.get_json() == {"runbook": NAME, "level": "auto", "by": "alice (by API)"}
    again = post(site, f"/autonomy/{NAME}/promote", SAYS)
    assert again.status_code == 409
    assert "is at auto already" in again.get_json()["error"]
    down = post(site, f"/autonomy/{NAME}/demote", SAYS | {"to": "shadow"})
    assert down.get_json()["level"] == "shadow"
    assert site.notified == 2


def test_without_token_reason_or_runbook_nothing_moves(site: Site) -> None:
    assert post(site, f"/autonomy/{NAME}/promote", SAYS, Authorization="").status_code == 401
    assert post(site, f"/autonomy/{NAME}/promote", {"by": "alice"}).status_code == 400
    assert post(site, f"/autonomy/{NAME}/promote", SAYS | {"to": "god"}).status_code == 400
    assert post(site, "/autonomy/nothing/promote", SAYS).status_code == 404
    assert list(site.store.all_autonomy()) == []
