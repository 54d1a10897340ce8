"""The sources that are listened to, by the name that their webhook has."""

from __future__ import annotations

from collections.abc import Mapping

from agent.adapters.pagerduty_source import PagerDutySource
from agent.config import Config
from agent.config.sources import SourcesSection
from agent.ports.sources import AlertSource


def sources_of(config: Config) -> Mapping[str, AlertSource]:
    """Each that is configured; its webhook is `POST /webhook/<name>`."""
    found: list[AlertSource] = []
    if config.pagerduty is not None:
        found.append(PagerDutySource(config.pagerduty))
    return {source.name: source for source in found}


def known_names() -> frozenset[str]:
    """Every source that may be configured."""
    return frozenset({PagerDutySource.name, *SourcesSection.model_fields})
