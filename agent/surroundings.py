"""Builds what reaches beyond this process: sandbox and gateways, cluster and cloud clients."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from agent.adapters.anthropic_advisor import API_URL, AnthropicAdvisor, Asking
from agent.adapters.aws import secrets as aws_secrets
from agent.adapters.aws.actions import AwsActions
from agent.adapters.aws.client import AwsApi
from agent.adapters.aws.counting import AwsCounting
from agent.adapters.clock import SystemClock
from agent.adapters.kubernetes import credentials as kubernetes_credentials
from agent.adapters.kubernetes.actions import KubernetesActions
from agent.adapters.kubernetes.client import KubernetesApi
from agent.adapters.kubernetes.counting import KubernetesCounting
from agent.adapters.kubernetes.preflight import KubernetesPreflight
from agent.adapters.live_actions import LiveActions
from agent.adapters.live_counter import LiveCounter
from agent.adapters.proxies.gateways import LiveGateways
from agent.adapters.sandbox.runner import LauncherSandbox
from agent.config import Config, SecretReference, open_vault
from agent.domain.errors import ServiceError
from agent.library.bindings import why_not_allowed
from agent.ports import Actions, Advisor, Cluster, Counter
from agent.safety.effects import EffectTables
from agent.safety.pricing import Cloud


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
    return EffectTables.load([Path(path) for path in config.execution.effect_tables], cloud=cloud)


def counter_of(config: Config) -> Counter:
    """Counts in the cluster and in AWS; what is not configured tells None, and is refused."""
    api = _kubernetes(config)
    return LiveCounter(KubernetesCounting(api) if api else None, AwsCounting(_aws(config)))


def actions_of(config: Config) -> Actions:
    """Typed actions; those of a cluster only where there is one."""
    api = _kubernetes(config)
    handlers = dict(AwsActions(_aws(config)).handlers())
    if api is not None:
        handlers |= KubernetesActions(api).handlers()
    return LiveActions(handlers, clock=SystemClock())


def cluster_of(config: Config) -> Cluster | None:
    """What may be asked of the cluster, if there is one."""
    api = _kubernetes(config)
    return KubernetesPreflight(api) if api else None


def advisor_of(config: Config) -> Advisor | None:
    """The advisor that the configuration names; None leaves matching to rules and scores."""
    section = config.llm
    key = config.secret(section.api_key)
    if section.provider == "none" or section.model is None or key is None:
        return None
    prices = (section.input_usd_per_million, section.output_usd_per_million)
    price = (prices[0], prices[1]) if prices[0] is not None and prices[1] is not None else None
    asking = Asking(section.model, section.deadline_s, section.max_output_tokens, price)
    return AnthropicAdvisor(
        key.reveal(), asking, why_not_allowed=why_not_allowed, base_url=section.base_url or API_URL
    )


def open_cloud_vault(config: Config) -> None:
    """From now on references to AWS can be resolved, with the agent's own AWS credentials."""
    open_vault(partial(_fetch_cloud_secret, config))


def _fetch_cloud_secret(config: Config, reference: SecretReference) -> str:
    section = config.aws
    try:
        return aws_secrets.fetch(
            reference, region=section.region, endpoint_url=section.endpoint_url, timeout_s=section.timeout_s
        )
    except ServiceError as error:
        raise ValueError(str(error)) from error


def _kubernetes(config: Config) -> KubernetesApi | None:
    found = kubernetes_credentials.credentials(config.kubernetes)
    return KubernetesApi(found) if found is not None else None


def _aws(config: Config) -> AwsApi:
    section = config.aws
    return AwsApi(region=section.region, endpoint_url=section.endpoint_url, timeout_s=section.timeout_s)
