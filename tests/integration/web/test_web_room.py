"""What reads much or is read slowly holds few of the web server's threads: webhooks need them too."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import abort
from werkzeug.exceptions import ServiceUnavailable
from werkzeug.test import TestResponse

from agent.web.room import Room
from tests.integration.web.conftest import API_TOKEN, Site, triggered
from tests.integration.web.console_site import Visitor, with_people, words_of


@pytest.fixture
def site(site: Site) -> Site:
    site.settings["server"] = {"api_token": site.secret("api", API_TOKEN)}
    return with_people(site)


@pytest.fixture
def full(site: Site) -> Iterator[Site]:
    """Two people began to take the audit log away, and do not read what they are sent."""
    site.escalated()
    slow = [Visitor(site, name).get("/audit/export") for name in ("vera", "otto")]
    assert [each.status_code for each in slow] == [200, 200]
    yield site
    for each in slow:
        each.close()


@pytest.mark.parametrize(
    "path", ["/audit/export", "/audit?q=x", "/audit?actor=x", "/incidents?q=x", "/analytics"]
)
def test_who_comes_beyond_two_slow_readers_is_told_at_once(full: Site, path: str) -> None:
    page = Visitor(full, "vera").get(path)
    assert page.status_code == 503
    assert "try again in a moment" in words_of(page)


def test_the_chain_is_not_verified_by_everybody_at_once(full: Site) -> None:
    assert Visitor(full, "vera").post("/audit/verify").status_code == 503


def test_the_reports_of_the_api_stand_in_the_same_room(full: Site) -> None:
    assert full.get("/api/v1/escalations/report", Authorization=f"Bearer {API_TOKEN}").status_code == 503


def test_what_matters_goes_on_meanwhile(full: Site) -> None:
    assert full.webhook(triggered("P9")).status_code == 202
    assert full.get("/health").status_code == 200
    visitor = Visitor(full, "rita")
    for path in ("/", "/incidents", "/queue", "/audit"):
        assert visitor.get(path).status_code == 200, path
    assert visitor.post("/stop", scope="all", reason="a flood").status_code == 303


def test_a_place_is_free_again_once_its_reader_is_gone(site: Site) -> None:
    visitor = Visitor(site, "vera")

    def exported() -> TestResponse:
        return visitor.get("/audit/export")

    for _ in range(5):
        answer = exported()
        assert answer.status_code == 200
        answer.close()
    for _ in range(5):
        assert visitor.get("/analytics").status_code == 200
        assert visitor.post("/audit/verify").status_code == 200


def test_what_breaks_gives_its_place_back() -> None:
    room = Room(1)
    for _ in range(3):
        with pytest.raises(ServiceUnavailable, match="breaks"), room.taken():
            abort(503, "breaks")
    with room.taken(), pytest.raises(ServiceUnavailable, match="try again"):
        room.take()
