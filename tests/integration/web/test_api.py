from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from agent.domain.incident import Status
from tests.integration.web.conftest import API_TOKEN, Site
from tests.unit.pipeline.conftest import ALERT, SECRET, runbook, step

PATHS = ("/incidents", "/incidents/inc-0", "/escalations", "/stops", "/runbooks", "/openapi.json")


def schema(site: Site, path: str) -> dict[str, Any]:
    described = site.get("/api/v1/openapi.json").get_json()["paths"][f"/api/v1{path}"]["get"]
    found: dict[str, Any] = described["responses"]["200"]["content"]["application/json"]["schema"]
    jsonschema.Draft202012Validator.check_schema(found)
    return found


def titles(site: Site, query: str) -> list[str]:
    answer = site.get(f"/api/v1/incidents{query}").get_json()
    return [each["title"] for each in answer["incidents"]]


def test_an_incident_is_shown_with_its_whole_story(site: Site) -> None:
    incident = site.resolved()
    answer = site.get(f"/api/v1/incidents/{incident.id}")
    shown = answer.get_json()
    assert answer.status_code == 200
    assert (shown["id"], shown["source"], shown["source_id"]) == (incident.id, "pagerduty", "P1")
    assert (shown["title"], shown["status"]) == ("Redis connection timeout", "resolved")
    assert shown["runbook"] == "redis-connection-timeout"
    assert shown["runbook_revision"] == incident.runbook_revision
    assert shown["match"] == {"confidence": 1.0, "reasons": list(incident.match_reasons)}
    (planned,) = shown["steps"]
    assert (planned["index"], planned["title"], planned["status"]) == (1, "Step 1", "succeeded")
    assert [each["end"] for each in planned["attempts"]] == ["failed", "succeeded"]
    assert shown["charges"] == {}
    assert shown["escalation"] is None
    assert shown["timeline"][0]["kind"] == "received"
    assert {"at", "kind", "text"} <= set(shown["timeline"][0])


def test_an_escalated_incident_says_why(site: Site) -> None:
    incident = site.escalated()
    shown = site.get(f"/api/v1/incidents/{incident.id}").get_json()
    assert (shown["status"], shown["runbook"], shown["match"]) == ("escalated", None, None)
    assert shown["escalation"]["trigger"] == "no_match"
    assert shown["escalation"]["dedup_key"] == f"oncall-agent-{incident.id}"


def test_a_step_is_shown_as_refused_pending_or_running(site: Site) -> None:
    site.world.runbook(runbook(steps=step(1, "redis-cli PING") + step(2, "rm -rf /srv")))
    refused = site.world.page()
    steps = site.get(f"/api/v1/incidents/{refused.id}").get_json()["steps"]
    assert [each["status"] for each in steps] == ["pending", "refused"]

    site.world.runbook(runbook(steps=step(1, "redis-cli PING")))
    site.world.context.library.reload()
    site.world.answers("redis-cli PING", "PONG")
    incident_id = site.world.receive(replace(ALERT, source_id="P2"))
    seen: list[str] = []

    def look() -> None:
        seen.extend(
            each["status"] for each in site.get(f"/api/v1/incidents/{incident_id}").get_json()["steps"]
        )

    site.world.when_run("redis-cli PING", look)
    site.world.handle(incident_id)
    assert seen == ["running"]


def test_the_answers_are_as_the_api_describes_itself(site: Site) -> None:
    incident = site.resolved()
    site.escalated()
    for path, query in (
        ("/incidents", "/incidents"),
        ("/incidents/{id}", f"/incidents/{incident.id}"),
        ("/escalations", "/escalations"),
        ("/runbooks", "/runbooks"),
    ):
        answer = site.get(f"/api/v1{query}").get_json()
        jsonschema.validate(answer, schema(site, path))
        assert next(iter(answer.values())) or path == "/incidents/{id}"


def test_every_path_of_the_api_is_described(site: Site) -> None:
    described = set(site.get("/api/v1/openapi.json").get_json()["paths"])
    rules = [str(rule) for rule in site.client.application.url_map.iter_rules()]
    served = {re.sub("<[a-z_]+>", "{id}", rule) for rule in rules if rule.startswith("/api/")}
    assert served == described | {"/api/v1/openapi.json"}


def test_incidents_come_newest_first_and_no_more_than_asked_for(site: Site) -> None:
    site.resolved()
    site.world.clock.sleep(60)
    site.escalated()
    assert titles(site, "") == ["Nobody knows this", "Redis connection timeout"]
    assert titles(site, "?limit=1") == ["Nobody knows this"]


def test_incidents_are_found_by_the_id_at_their_source_and_by_status(site: Site) -> None:
    site.resolved()
    site.escalated()
    assert titles(site, "?source_id=P1") == ["Redis connection timeout"]
    assert titles(site, "?source_id=P9") == []
    assert titles(site, "?status=escalated") == ["Nobody knows this"]
    assert titles(site, "?status=escalated&source_id=P1") == []


@pytest.mark.parametrize("limit", ["0", "-1", "501", "ten", "", "1e3", "٣", "9" * 5000])
def test_a_limit_that_is_none_is_told_with_words(site: Site, limit: str) -> None:
    answer = site.client.get("/api/v1/incidents", query_string={"limit": limit})
    assert answer.status_code == 400
    assert answer.get_json() == {"error": "limit must be a number from 1 to 500"}


def test_a_status_that_is_none_is_told_with_all_that_are(site: Site) -> None:
    answer = site.get("/api/v1/incidents?status=done")
    assert answer.status_code == 400
    assert all(status.value in answer.get_json()["error"] for status in Status)


def test_an_unknown_incident_is_404_with_words(site: Site) -> None:
    answer = site.get("/api/v1/incidents/inc-0")
    assert answer.status_code == 404
    assert answer.get_json()["error"].startswith("there is no incident inc-0")


def test_runbooks_are_listed_with_their_revision(site: Site) -> None:
    incident = site.resolved()
    (shown,) = site.get("/api/v1/runbooks").get_json()["runbooks"]
    assert (shown["id"], shown["revision"]) == ("redis-connection-timeout", incident.runbook_revision)


@pytest.mark.parametrize("path", PATHS)
def test_beyond_loopback_the_api_is_closed_until_a_token_is_configured(site: Site, path: str) -> None:
    site.settings["server"] = {"host": "0.0.0.0"}
    answer = site.get(f"/api/v1{path}", Authorization=f"Bearer {API_TOKEN}")
    assert answer.status_code == 403
    assert "server.api_token" in answer.get_json()["error"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", f"Bearer {API_TOKEN}x", f"Bearer {API_TOKEN[:-1]}", "Basic YTpi", "Bearer ü"],
)
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_with_a_token_configured_no_other_reads_the_api(
    site: Site, host: str, header: str, path: str
) -> None:
    site.settings["server"] = {"host": host, "api_token": site.secret("token", API_TOKEN)}
    answer = site.get(f"/api/v1{path}", **({"Authorization": header} if header else {}))
    assert answer.status_code == 401
    assert "canary" not in answer.get_data(as_text=True)


def test_the_right_token_reads_the_api_from_anywhere(site: Site) -> None:
    site.settings["server"] = {"host": "0.0.0.0", "api_token": site.secret("token", API_TOKEN)}
    assert site.get("/api/v1/incidents", Authorization=f"Bearer {API_TOKEN}").status_code == 200


def test_the_token_guards_the_api_alone(site: Site) -> None:
    site.settings["server"] = {"host": "0.0.0.0", "api_token": site.secret("token", API_TOKEN)}
    assert [site.get(path).status_code for path in ("/health", "/ready", "/metrics")] == [200, 200, 200]


def test_on_loopback_nobody_needs_a_token(site: Site) -> None:
    assert site.get("/api/v1/incidents").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example.com"},
        {"X-Forwarded-For": "203.0.113.9"},
        {"Forwarded": "for=203.0.113.9"},
        {"Via": "1.1 proxy"},
    ],
)
def test_what_a_proxy_or_another_name_brings_to_loopback_is_not_this_machine(
    site: Site, headers: dict[str, str]
) -> None:
    assert site.get("/api/v1/incidents", **headers).status_code == 403


def test_a_secret_in_an_alerts_title_is_not_shown(site: Site) -> None:
    site.world.page(title=f"Redis says {SECRET}")
    answer = site.get("/api/v1/incidents")
    assert "Redis says" in answer.text
    assert SECRET not in answer.text
