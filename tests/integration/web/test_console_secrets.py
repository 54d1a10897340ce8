"""What the console shows of commands and files is redacted, as it is in Slack and by API."""

from __future__ import annotations

import pytest

from tests.integration.web.conftest import Site
from tests.integration.web.console_site import Visitor, waiting, with_people
from tests.unit.pipeline.conftest import step

SECRET = "hunter2-canary-000"


@pytest.fixture
def site(site: Site) -> Site:
    return with_people(site)


def test_a_secret_in_a_command_is_shown_to_nobody(site: Site) -> None:
    incident_id = waiting(site, steps=step(1, f"redis-cli GET password={SECRET}"))
    visitor = Visitor(site, "vera")
    (runbook,) = site.world.context.library.runbooks
    page = visitor.get(f"/incidents/{incident_id}")
    assert "redis-cli GET" in page.text
    assert "Exactly the plan below" in page.text
    assert SECRET not in site.world.told(incident_id)
    for path in (f"/incidents/{incident_id}", f"/runbooks/{runbook}", "/", "/incidents", "/audit"):
        assert SECRET not in visitor.get(path).text, path
