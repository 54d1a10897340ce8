from collections.abc import Iterator

import pytest

from agent.adapters.pagerduty_events import PagerDutyEvents
from agent.adapters.pagerduty_rest import PagerDutyDesk
from agent.simulators.pagerduty import PagerDutySimulator


@pytest.fixture
def pagerduty() -> Iterator[PagerDutySimulator]:
    with PagerDutySimulator() as sim:
        yield sim


@pytest.fixture
def desk(pagerduty) -> Iterator[PagerDutyDesk]:
    adapter = PagerDutyDesk(pagerduty.url, pagerduty.api_token, pagerduty.from_email)
    yield adapter
    adapter.close()


@pytest.fixture
def pager(pagerduty) -> Iterator[PagerDutyEvents]:
    adapter = PagerDutyEvents(pagerduty.url, pagerduty.routing_key)
    yield adapter
    adapter.close()
