"""The sources that are listened to, by the name that their webhook has."""

from __future__ import annotations

from collections.abc import Mapping

from agent.adapters.alertmanager_webhook import AlertmanagerSource
from agent.adapters.generic_webhook import GenericSource
from agent.adapters.grafana_webhook import GrafanaSource
from agent.adapters.opsgenie_webhook import OpsgenieSource
from agent.adapters.pagerduty_source import PagerDutySource
from agent.config import Config
from agent.config.sources import Sns, SourcesSection
from agent.ports.sources import AlertSource


def readers_of(config: Config) -> Mapping[str, AlertSource]:
    """The same for reading alone: nothing that a body names is visited."""
    return sources_of(config, is_offline=True)


def sources_of(config: Config, *, is_offline: bool = False) -> Mapping[str, AlertSource]:
    """Each that is configured; its webhook is `POST /webhook/<name>`."""
    found: list[AlertSource] = []
    if config.pagerduty is not None:
        found.append(PagerDutySource(config.pagerduty))
    sources = config.sources
    if sources.alertmanager is not None:
        found.append(AlertmanagerSource(sources.alertmanager))
    if sources.opsgenie is not None:
        found.append(OpsgenieSource(sources.opsgenie))
    if sources.grafana is not None:
        found.append(GrafanaSource(sources.grafana))
    if sources.sns is not None:
        found.append(_sns(sources.sns, is_offline=is_offline))
    found += [GenericSource(name, section) for name, section in sources.generic.items()]
    return {source.name: source for source in found}


def _sns(section: Sns, *, is_offline: bool) -> AlertSource:
    """Its libraries for certificates take a while to load, and only it needs them."""
    from agent.adapters.sns_certificates import Unfetched
    from agent.adapters.sns_webhook import SnsSource

    if is_offline:
        return SnsSource(section, fetch=lambda _: Unfetched("nothing is fetched here"))
    return SnsSource(section)


def known_names() -> frozenset[str]:
    """Every source that may be configured."""
    return frozenset({PagerDutySource.name, *SourcesSection.model_fields})
