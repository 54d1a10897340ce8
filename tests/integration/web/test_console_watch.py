"""A runbook's page shows what it watches by itself."""

from __future__ import annotations

from datetime import timedelta

import pytest

from agent.domain.alert import Severity
from agent.domain.probing import ProbeState, Raised, Reading
from tests.integration.web.conftest import Site
from tests.integration.web.console_site import Visitor, with_people
from tests.unit.pipeline.conftest import runbook, step

_PAGE = "/runbooks/redis-connection-timeout"

WATCH = "## Watch\n- waiting: promql `sum(<b>pending)`; every 60s; warning > 20; clears < 15\n"


@pytest.fixture
def site(site: Site) -> Site:
    return with_people(site)


def test_the_page_shows_rules_values_and_what_is_raised(site: Site) -> None:
    site.world.runbook(runbook(steps=step(1, "redis-cli PING"), more=WATCH))
    page = Visitor(site, "vera").get(_PAGE).text
    assert "every 1m; warning &gt; 20; clears &lt; 15" in page
    assert "promql sum(&lt;b&gt;pending)" in page
    assert "not looked at yet" in page

    now = site.world.clock.now()
    readings = tuple(Reading(now - timedelta(minutes=2 - each), 28 + each) for each in range(3))
    raised = Raised(Severity.WARNING, now, ("x",), "inc-1")
    site.store.keep_probe(
        ProbeState("redis-connection-timeout", "waiting", looked_at=now, readings=readings, raised=raised)
    )
    page = Visitor(site, "vera").get(_PAGE).text
    assert "last values 28, 29, 30; raised as warning since 2026-01-05 04:17 UTC" in page
    assert 'href="/console/incidents/inc-1"' in page


def test_a_runbook_that_watches_nothing_says_nothing_of_it(site: Site) -> None:
    site.world.runbook(runbook(steps=step(1, "redis-cli PING")))

    assert "It watches by itself" not in Visitor(site, "vera").get(_PAGE).text
