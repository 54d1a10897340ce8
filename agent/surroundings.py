"""Builds what reaches beyond this process: sandbox and gateways, cluster and cloud clients.

A vendor's library takes up to a second to load, so each is imported where it is first needed: most commands
and most daemons need none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from agent.adapters.clock import SystemClock
from agent.adapters.kubernetes import credentials as kubernetes_credentials
from agent.adapters.live_actions import LiveActions
from agent.adapters.live_counter import LiveCounter
from agent.adapters.live_job import Handler, Job
from agent.adapters.proxies.gateways import LiveGateways
from agent.adapters.sandbox.runner import LauncherSandbox
from agent.config import Config, SecretReference, open_vault
from agent.domain.errors import ServiceError
from agent.domain.outbox import Channel
from agent.library.bindings import why_not_allowed
from agent.pipeline.bypass_clock import BypassClock
from agent.ports import Actions, Advisor, Cluster, CommandResult, Counter, Writer
from agent.ports.bypasses import BypassBook
from agent.safety import actions
from agent.safety.effects import EffectTables
from agent.safety.places import NOWHERE, KeeptrustsPlaces
from agent.safety.pricing import Cloud

if TYPE_CHECKING:
    from agent.adapters.anthropic_advisor import Asking
    from agent.adapters.aws.client import AwsApi
    from agent.adapters.aws.counting import AwsCounting
    from agent.adapters.keeptrusts_gateways import KeeptrustsGateways
    from agent.adapters.kubernetes.client import KubernetesApi
    from agent.adapters.kubernetes.counting import KubernetesCounting


def sandbox_of(config: Config) -> LauncherSandbox:
    """The launcher with the walls that the configuration asks for."""
    section = config.execution
    return LauncherSandbox(
        SystemClock(),
        mode=section.sandbox,
        accept_gaps=section.accept_gaps,
        gateways=LiveGateways(config.kubernetes),
        pass_through=section.pass_environment,
    )


def tables_of(config: Config) -> EffectTables:
    """The shipped effect tables and the team's own, for the region and endpoint of the configuration."""
    section = config.aws
    endpoint = urlsplit(section.endpoint_url or "")
    port = endpoint.port or (80 if endpoint.scheme == "http" else 443)
    cloud = Cloud(section.region or "", f"{endpoint.hostname}:{port}" if endpoint.hostname else "")
    extra = [Path(path) for path in config.execution.effect_tables]
    return EffectTables.load(extra, cloud=cloud, keeptrusts=_keeptrusts_places(config))


def _keeptrusts_places(config: Config) -> KeeptrustsPlaces:
    """What typed actions may ask of Keeptrusts: nothing of its API without a token."""
    section = config.keeptrusts
    if section is None:
        return NOWHERE
    return KeeptrustsPlaces(
        api=_host_and_port(section.api_url) if section.api_token is not None else "",
        gateways={name: _host_and_port(url) for name, url in section.gateways.items()},
        status_pages={name: _host_and_port(url) for name, url in section.status_pages.items()},
    )


def _host_and_port(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or (80 if parts.scheme == 'http' else 443)}"


def counter_of(config: Config) -> Counter:
    """Counts in the cluster and in AWS; what is not configured tells None, and is refused."""
    return LiveCounter(partial(_kubernetes_counting, config), partial(_aws_counting, config))


def _kubernetes_counting(config: Config) -> KubernetesCounting | None:
    from agent.adapters.kubernetes.counting import KubernetesCounting

    api = _kubernetes(config)
    return KubernetesCounting(api) if api is not None else None


def _aws_counting(config: Config) -> AwsCounting:
    from agent.adapters.aws.counting import AwsCounting

    return AwsCounting(_aws(config))


def actions_of(config: Config, book: BypassBook, *, channels: frozenset[Channel]) -> Actions:
    """Typed actions; those of a cluster, and of Keeptrusts, only where there is one."""
    handlers = _deferred("aws.", partial(_aws_handlers, config))
    if config.keeptrusts is not None:
        handlers |= _deferred("keeptrusts.", partial(_keeptrusts_handlers, config, book, channels))
    if kubernetes_credentials.credentials(config.kubernetes) is not None:
        handlers |= _deferred("kubernetes.", partial(_kubernetes_handlers, config))
    return LiveActions(handlers, clock=SystemClock())


def _deferred(prefix: str, connect: Callable[[], Mapping[str, Handler]]) -> dict[str, Handler]:
    """Handlers that connect when the first of them is used."""
    connected = cache(connect)

    def handler(name: str) -> Handler:
        def carry_out(job: Job) -> CommandResult:
            return connected()[name](job)

        return carry_out

    return {name: handler(name) for name in actions.NAMES if name.startswith(prefix)}


def _aws_handlers(config: Config) -> Mapping[str, Handler]:
    from agent.adapters.aws.actions import AwsActions

    return AwsActions(_aws(config)).handlers()


def _kubernetes_handlers(config: Config) -> Mapping[str, Handler]:
    from agent.adapters.kubernetes.actions import KubernetesActions

    api = _kubernetes(config)
    return KubernetesActions(api).handlers() if api is not None else {}


def _keeptrusts_handlers(
    config: Config, book: BypassBook, channels: frozenset[Channel]
) -> Mapping[str, Handler]:
    from agent.adapters.keeptrusts_actions import KeeptrustsActions

    gateways = _keeptrusts(config)
    if gateways is None:
        return {}
    ending = BypassClock(book, gateways, channels, SystemClock())
    return KeeptrustsActions(gateways, book, ending).handlers()


def bypass_clock_of(config: Config, book: BypassBook, *, channels: frozenset[Channel]) -> BypassClock | None:
    """What ends emergency bypasses, if there is a Keeptrusts whose configurations may be changed."""
    section = config.keeptrusts
    if section is None or section.api_token is None:
        return None
    gateways = _keeptrusts(config)
    return BypassClock(book, gateways, channels, SystemClock()) if gateways is not None else None


def _keeptrusts(config: Config) -> KeeptrustsGateways | None:
    from agent.adapters.keeptrusts_gateways import KeeptrustsGateways

    section = config.keeptrusts
    if section is None:
        return None
    token = config.secret(section.api_token)
    return KeeptrustsGateways(
        section.api_url,
        token.reveal() if token is not None else "",
        gateways=section.gateways,
        status_pages=section.status_pages,
        timeout_s=section.timeout_s,
    )


def cluster_of(config: Config) -> Cluster | None:
    """What may be asked of the cluster, if there is one."""
    from agent.adapters.kubernetes.preflight import KubernetesPreflight

    api = _kubernetes(config)
    return KubernetesPreflight(api) if api is not None else None


def advisor_of(config: Config) -> Advisor | None:
    """The advisor that the configuration names; None leaves matching to rules and scores."""
    found = _model_of(config)
    if found is None:
        return None
    from agent.adapters.anthropic_advisor import AnthropicAdvisor

    key, asking, base_url = found
    return AnthropicAdvisor(key, asking, why_not_allowed=why_not_allowed, base_url=base_url)


def writer_of(config: Config) -> Writer | None:
    """The same model as a writer of summaries; None if there is none."""
    found = _model_of(config)
    if found is None:
        return None
    from agent.adapters.anthropic_writer import AnthropicWriter

    key, asking, base_url = found
    return AnthropicWriter(key, asking, base_url=base_url)


def _model_of(config: Config) -> tuple[str, Asking, str] | None:
    """The key, how to ask, and where."""
    section = config.llm
    if section.provider == "none" or section.model is None:
        return None
    key = config.secret(section.api_key)
    if key is None:
        return None
    from agent.adapters.anthropic_advisor import API_URL, Asking

    prices = (section.input_usd_per_million, section.output_usd_per_million)
    price = (prices[0], prices[1]) if prices[0] is not None and prices[1] is not None else None
    asking = Asking(section.model, section.deadline_s, section.max_output_tokens, price)
    return key.reveal(), asking, section.base_url or API_URL


def open_cloud_vault(config: Config) -> None:
    """From now on references to AWS can be resolved, with the agent's own AWS credentials."""
    open_vault(partial(_fetch_cloud_secret, config))


def _fetch_cloud_secret(config: Config, reference: SecretReference) -> str:
    from agent.adapters.aws.secrets import fetch

    section = config.aws
    try:
        return fetch(
            reference, region=section.region, endpoint_url=section.endpoint_url, timeout_s=section.timeout_s
        )
    except ServiceError as error:
        raise ValueError(str(error)) from error


def _kubernetes(config: Config) -> KubernetesApi | None:
    from agent.adapters.kubernetes.client import KubernetesApi

    found = kubernetes_credentials.credentials(config.kubernetes)
    return KubernetesApi(found) if found is not None else None


def _aws(config: Config) -> AwsApi:
    from agent.adapters.aws.client import AwsApi

    section = config.aws
    return AwsApi(region=section.region, endpoint_url=section.endpoint_url, timeout_s=section.timeout_s)
