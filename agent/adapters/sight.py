"""What `## Watch` sections may ask, as `config.yaml` says; commands need nothing more than the sandbox."""

from __future__ import annotations

from agent.adapters.keeptrusts_api import KeeptrustsApi
from agent.adapters.prometheus import Prometheus
from agent.config import Config, SecretReference
from agent.domain.errors import ConfigError, ConfigProblem
from agent.pipeline.probe_sight import Sight


def sight_of(config: Config) -> Sight:
    """Prometheus and Keeptrusts, each if it is configured."""
    return Sight(_prometheus(config), _keeptrusts(config))


def _prometheus(config: Config) -> Prometheus | None:
    section = config.prometheus
    if section is None:
        return None
    return Prometheus(
        section.url,
        token=_revealed("prometheus.token", section.token),
        username=section.username,
        password=_revealed("prometheus.password", section.password),
        timeout_s=section.timeout_s,
    )


def _keeptrusts(config: Config) -> KeeptrustsApi | None:
    section = config.keeptrusts
    if section is None or section.api_token is None:
        return None
    token = _revealed("keeptrusts.api_token", section.api_token)
    return KeeptrustsApi(section.api_url, token, timeout_s=section.timeout_s)


def _revealed(key_path: str, reference: SecretReference | None) -> str:
    try:
        return "" if reference is None else reference.resolve().reveal()
    except ValueError as error:
        raise ConfigError("config.yaml", [ConfigProblem(key_path, str(error))]) from error
