"""Every way that the crash matrix goes, in the order in which they are gone."""

from __future__ import annotations

from tests.acceptance.crash_escalations import FURTHER
from tests.acceptance.crash_scenarios import INCIDENTS

SCENARIOS = (*INCIDENTS, *FURTHER)

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
