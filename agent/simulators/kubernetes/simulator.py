"""A Kubernetes cluster on loopback, good enough for kubectl and the Python client: demo, tests, users.

Deployments have real pods that are really replaced, RBAC can deny, `exec` runs a real local process, and
every request is on record. `instant` (the default) settles the cluster after every write; with
`instant=False` pods start and end only when `tick()` is called, so that what happens in between can be seen.
"""

from __future__ import annotations

import secrets
import shutil
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml
from flask import Flask
from werkzeug.serving import BaseWSGIServer, make_server

from agent.simulators.kubernetes.api import KubernetesApi
from agent.simulators.kubernetes.controllers import Controllers
from agent.simulators.kubernetes.exec import ContainerPrograms, Execution
from agent.simulators.kubernetes.kubelet import Health
from agent.simulators.kubernetes.objects import (
    DAEMON_SETS,
    DEPLOYMENTS,
    NAMESPACES,
    NODES,
    PODS,
    SERVICE_ACCOUNTS,
    STATEFUL_SETS,
    STORED,
    Kind,
    Object,
)
from agent.simulators.kubernetes.pods import Chosen, PodStreams
from agent.simulators.kubernetes.rbac import ADMIN, AUTHENTICATED, User, install_defaults, service_account
from agent.simulators.kubernetes.requests import Accounts, Call, Disturbance
from agent.simulators.kubernetes.samples import node, workload
from agent.simulators.kubernetes.selectors import label_selector
from agent.simulators.kubernetes.state import KubernetesState
from agent.simulators.kubernetes.tls import Certificate, Kubeconfig, make_certificate
from agent.simulators.kubernetes.verbs import Place, Verbs
from agent.simulators.server import Simulator

__all__ = ["Call", "ContainerPrograms", "Disturbance", "Execution", "KubernetesSimulator", "User"]

_SYSTEM_NAMESPACES = ("default", "kube-system", "kube-public")


class KubernetesSimulator(Simulator):
    """`with KubernetesSimulator() as sim: sim.add_deployment("production", "api", replicas=3)`.

    `nodes`: the names of the nodes. `tls`: also serve HTTPS at `tls_url`; kubectl sends its token only there.
    `http_user`: who a request without a token is on plain HTTP (an administrator unless told otherwise).
    `exec_needs`: the RBAC verbs on pods/exec that a WebSocket exec needs beside its own `get`.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        nodes: Iterable[str] = ("node-a", "node-b"),
        instant: bool = True,
        tls: bool = False,
        http_user: User = ADMIN,
        exec_needs: tuple[str, ...] = ("create",),
    ) -> None:
        self.state = KubernetesState()
        self._controllers = Controllers(self.state, instant=instant)
        self._verbs = Verbs(self.state, self._controllers)
        self._streams = PodStreams(self.state)
        self._accounts = Accounts(without_token=http_user)
        self.api = KubernetesApi(
            self.state,
            self._verbs,
            accounts=self._accounts,
            streams=self._streams,
            exec_needs=exec_needs,
        )
        app = Flask("kubernetes-simulator", static_folder=None)
        self.api.install(app)
        super().__init__(app, host=host, port=port)
        self._certificate = make_certificate() if tls else None
        self._tls_server = self._make_tls_server(app, host, self._certificate)
        self.tls_url = f"https://{host}:{self._tls_server.server_port}" if self._tls_server else ""
        self._fill(nodes)

    def start(self) -> None:
        """Begin to answer."""
        super().start()
        if self._tls_server is not None:
            threading.Thread(target=self._tls_server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """End every watch, and stop answering."""
        self.state.close()
        super().stop()
        if self._tls_server is not None:
            self._tls_server.shutdown()
            self._tls_server.server_close()
        if self._certificate is not None:
            shutil.rmtree(self._certificate.certificate.parent)

    # Users

    def add_user(self, name: str, *, groups: Iterable[str] = (), token: str = "") -> str:
        """Somebody with a bearer token, which is given back."""
        return self._know(User(name, (*groups, AUTHENTICATED)), token)

    def add_service_account(self, namespace: str, name: str, *, token: str = "") -> str:
        """A ServiceAccount with a bearer token, which is given back."""
        self.add_namespace(namespace)
        if self.state.find(SERVICE_ACCOUNTS, namespace, name) is None:
            self._create(SERVICE_ACCOUNTS, namespace, {"metadata": {"name": name}})
        return self._know(service_account(namespace, name), token)

    def kubeconfig(
        self, path: Path, *, token: str = "", namespace: str = "default", server: str = ""
    ) -> Path:
        """Write a kubeconfig: over TLS if there is any, else over plain HTTP, or to another server."""
        url = server or self.tls_url or self.url
        ca = self._certificate.certificate if self._certificate and url == self.tls_url else None
        if self.tls_url and not token and url == self.tls_url:
            token = self.add_user(ADMIN.name, groups=ADMIN.groups)
        return Kubeconfig(url, token, namespace, ca).write(path)

    @property
    def ca_path(self) -> Path | None:
        """The certificate that clients of `tls_url` trust."""
        return self._certificate.certificate if self._certificate else None

    # Objects

    def add_namespace(self, name: str) -> None:
        """A namespace, if it is not there yet."""
        if self.state.find(NAMESPACES, "", name) is None:
            self._create(NAMESPACES, "", {"metadata": {"name": name}})

    def add_deployment(
        self,
        namespace: str,
        name: str,
        *,
        replicas: int = 1,
        labels: Mapping[str, str] | None = None,
        containers: Iterable[str] = (),
        programs: ContainerPrograms | None = None,
    ) -> Object:
        """A Deployment whose pods are labelled `app=NAME` and may run the given programs."""
        return self._add_workload(
            DEPLOYMENTS, namespace, workload(name, replicas, labels, containers), programs
        )

    def add_stateful_set(
        self,
        namespace: str,
        name: str,
        *,
        replicas: int = 1,
        labels: Mapping[str, str] | None = None,
        programs: ContainerPrograms | None = None,
    ) -> Object:
        """A StatefulSet; its pods are `NAME-0`, `NAME-1`, …"""
        return self._add_workload(STATEFUL_SETS, namespace, workload(name, replicas, labels), programs)

    def add_daemon_set(
        self,
        namespace: str,
        name: str,
        *,
        labels: Mapping[str, str] | None = None,
        programs: ContainerPrograms | None = None,
    ) -> Object:
        """A DaemonSet: one pod on every node."""
        return self._add_workload(DAEMON_SETS, namespace, workload(name, None, labels), programs)

    def add_pod(
        self,
        namespace: str,
        name: str,
        *,
        labels: Mapping[str, str] | None = None,
        programs: ContainerPrograms | None = None,
    ) -> Object:
        """A pod that belongs to nobody: deleted, it stays away."""
        template = workload(name, None, labels)["spec"]["template"]
        self.add_namespace(namespace)
        if programs is not None:
            self._streams.declare(Chosen(namespace, pod=name), programs)
        metadata = {**template["metadata"], "name": name}
        return self._create(PODS, namespace, {"metadata": metadata, "spec": template["spec"]})

    def add_node(self, name: str) -> Object:
        """One more node."""
        return self._create(NODES, "", node(name))

    def apply(self, documents: str | Object) -> None:
        """Create objects from YAML text or one object, as `kubectl create -f` does."""
        every = yaml.safe_load_all(documents) if isinstance(documents, str) else [documents]
        for each in every:
            kind = _kind_of(each)
            namespace = (each["metadata"].get("namespace") or "default") if kind.namespaced else ""
            if namespace:
                self.add_namespace(namespace)
            self._create(kind, namespace, each)

    def pods(self, namespace: str, selector: str = "") -> list[Object]:
        """The pods now, by name."""
        return self.state.objects(PODS, namespace, label_selector(selector))

    def pod_names(self, namespace: str, selector: str = "") -> list[str]:
        """The names of the pods now."""
        return [each["metadata"]["name"] for each in self.pods(namespace, selector)]

    def scale(self, namespace: str, name: str, replicas: int) -> None:
        """Somebody else scales a Deployment."""
        patch = {"spec": {"replicas": replicas}}
        place = Place(DEPLOYMENTS, namespace, name)
        self._verbs.patch(place, patch, "application/merge-patch+json", dry=False)

    def set_programs(
        self, namespace: str, programs: ContainerPrograms, *, selector: str = "", container: str = ""
    ) -> None:
        """From now on these containers have these programs."""
        self._streams.declare(Chosen(namespace, selector, container=container), programs)

    def set_log(
        self,
        namespace: str,
        text: str,
        *,
        pod: str = "",
        selector: str = "",
        container: str = "",
        previous: bool = False,
    ) -> None:
        """What `kubectl logs` shows for a pod or for all that a selector picks."""
        self._streams.set_log(Chosen(namespace, selector, pod, container), text, previous=previous)

    def set_ready(self, namespace: str, selector: str, *, ready: bool) -> None:
        """Pods become ready, or stop being so; it holds for those that are made later, too."""
        self._controllers.set_health(Health(namespace, selector, ready))

    # Time and trouble

    def tick(self) -> bool:
        """One step in every pod's life (for `instant=False`); says whether anything happened."""
        return self._controllers.tick()

    def settle(self) -> None:
        """Tick until nothing happens any more."""
        while self.tick():
            pass

    def calls(self, *, verb: str = "", resource: str = "", user: str = "") -> list[Call]:
        """What was asked of the API so far, oldest first, in RBAC's words (`pods/exec` for a subresource)."""
        return [
            each
            for each in self.api.calls()
            if verb in {"", each.verb} and resource in {"", each.resource} and user in {"", each.user}
        ]

    def changes(self) -> list[Call]:
        """The requests that changed the cluster, oldest first: no reads, reviews, dry runs or refusals.

        An exec over WebSocket is a GET and not among them; `executions()` has those.
        """
        return [each for each in self.api.calls() if each.changed]

    def forget_calls(self) -> None:
        """Begin the record anew."""
        self.api.forget_calls()

    def disturb(self, *disturbances: Disturbance) -> None:
        """Answer the next requests of a kind with an error, or slowly; without any: behave again."""
        self.api.disturb(*disturbances)

    def executions(self) -> list[Execution]:
        """What ran in pods and has ended."""
        return self._streams.executions()

    def _make_tls_server(
        self, app: Flask, host: str, certificate: Certificate | None
    ) -> BaseWSGIServer | None:
        if certificate is None:
            return None
        handler = self._server.RequestHandlerClass
        server = make_server(
            host,
            0,
            app,
            threaded=True,
            request_handler=handler,  # type: ignore[arg-type]
            ssl_context=certificate.context(),
        )
        server.daemon_threads = True  # type: ignore[attr-defined]
        # A client that connects and says nothing must not hold up the others.
        server.socket.do_handshake_on_connect = False  # type: ignore[attr-defined]
        return server

    def _fill(self, nodes: Iterable[str]) -> None:
        install_defaults(self.state)
        for name in _SYSTEM_NAMESPACES:
            self.add_namespace(name)
        for name in nodes:
            self.add_node(name)

    def _know(self, user: User, token: str) -> str:
        token = token or secrets.token_urlsafe(18)
        self._accounts.tokens[token] = user
        return token

    def _create(self, kind: Kind, namespace: str, document: Object) -> Object:
        return self._verbs.create(Place(kind, namespace), document, dry=False)

    def _add_workload(
        self, kind: Kind, namespace: str, document: Object, programs: ContainerPrograms | None
    ) -> Object:
        self.add_namespace(namespace)
        if programs is not None:
            labels = document["spec"]["selector"]["matchLabels"]
            selector = ",".join(f"{key}={value}" for key, value in labels.items())
            self._streams.declare(Chosen(namespace, selector), programs)
        return self._create(kind, namespace, document)


def _kind_of(document: Object) -> Kind:
    wanted = document["apiVersion"], document["kind"]
    found = next((each for each in STORED if (each.api_version, each.kind) == wanted), None)
    if found is None:
        raise ValueError(f"the simulator has no kind {wanted[1]} in {wanted[0]}")
    return found
