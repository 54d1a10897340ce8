"""Opens, for one command and as long as it runs, the one way out that it was priced for."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import assert_never

from agent.adapters.kubernetes.credentials import ClusterCredentials, credentials
from agent.adapters.proxies.egress_proxy import EgressProxy
from agent.adapters.proxies.metering_proxy import MeteringProxy
from agent.adapters.proxies.metering_upstream import ApiServer
from agent.adapters.sandbox.gateways import Opening
from agent.config.sections import Kubernetes
from agent.domain.access import Network
from agent.domain.command import PricedCommand
from agent.domain.errors import ConfigError

_NO_CLUSTER = (
    "no Kubernetes cluster is configured: set kubernetes.kubeconfig, or the agent's own KUBECONFIG,"
    " or run the agent in a pod with a ServiceAccount"
)
#: Where kubectl looks without being told (`~/.kube/config`), below the command's HOME.
KUBECONFIG = ".kube/config"


class LiveGateways:
    """Implements sandbox_gateways.Gateways: the metering proxy for kubectl, the egress proxy for the rest."""

    def __init__(
        self,
        kubernetes: Kubernetes,
        *,
        find: Callable[[Kubernetes], ClusterCredentials | None] = credentials,
    ) -> None:
        self._kubernetes = kubernetes
        self._find = find
        self._lock = threading.Lock()
        self._server: ApiServer | None = None

    @contextmanager
    def open(self, command: PricedCommand, *, marker: str) -> Iterator[Opening]:
        """Open what the command's `access.network` needs; nothing for one that needs none."""
        match command.access.network:
            case Network.CLUSTER:
                with self._cluster(command, marker) as opening:
                    yield opening
            case Network.EGRESS:
                with EgressProxy(command.access, marker=marker) as proxy:
                    yield Opening(port=proxy.port, environment=_proxy_variables(proxy.url), told=proxy.told)
            case Network.NONE | Network.DIRECT:
                yield Opening()
            case _ as never:
                assert_never(never)

    @contextmanager
    def _cluster(self, command: PricedCommand, marker: str) -> Iterator[Opening]:
        try:
            server = self._api_server()
        except (ConfigError, OSError, ValueError) as error:
            yield Opening(problem=f"the Kubernetes cluster cannot be used: {error}")
            return
        if server is None:
            yield Opening(problem=_NO_CLUSTER)
            return
        with MeteringProxy(server, command.access, marker=marker) as proxy:
            yield Opening(port=proxy.port, files={KUBECONFIG: kubeconfig(proxy.url)}, told=proxy.told)

    def _api_server(self) -> ApiServer | None:
        """Read once it can be read; a token's file is read anew at each use."""
        with self._lock:
            if self._server is None and (found := self._find(self._kubernetes)) is not None:
                self._server = ApiServer.of(found)
            return self._server


def kubeconfig(url: str) -> bytes:
    """A kubeconfig that knows the metering proxy, no credentials and no namespace; JSON is YAML."""
    name = "cluster"
    context = {"cluster": name, "user": name}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": {"server": url}}],
            "users": [{"name": name, "user": {}}],
            "contexts": [{"name": name, "context": context}],
            "current-context": name,
        }
    ).encode()


def _proxy_variables(url: str) -> dict[str, str]:
    """curl reads http_proxy in lower case alone; botocore and others look for either."""
    names = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    return {**dict.fromkeys(names, url), "no_proxy": "", "NO_PROXY": ""}
