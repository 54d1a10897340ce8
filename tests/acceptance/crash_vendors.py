"""The further vendors of one scenario of the crash matrix: what it needs, configured, and nothing else."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes
from pathlib import Path
from typing import Any

import httpx
from aiosmtpd.controller import Controller
from flask import Flask, Response, jsonify, request

from agent.adapters.http import json_bytes
from agent.domain.handoffs import SENDER
from agent.domain.signing import SIGNATURE, sign
from agent.simulators.anthropic import AnthropicSimulator
from agent.simulators.anthropic_minds import undecided
from agent.simulators.hooks import HooksSimulator
from agent.simulators.jira import EMAIL, TOKEN, WEBHOOK_SECRET, JiraSimulator
from agent.simulators.keeptrusts import API_TOKEN, KeeptrustsSimulator
from agent.simulators.keeptrusts_configs import GatewayWorld, world_of
from agent.simulators.keeptrusts_delivery import Teller
from agent.simulators.kubernetes.simulator import KubernetesSimulator
from agent.simulators.prometheus import PrometheusSimulator
from agent.simulators.server import Simulator
from tests.acceptance.conftest import free_port

OWN_TOKEN = "own-token-canary"
HANDOFF_KEY = "handoff-key-canary"

#: What is in force at Keeptrusts' gateways before anything is bypassed.
GOVERNED = (
    "gateway: {port: 41002}\npolicies:\n- name: broad\n  input: [{type: content_safety, action: block}]\n"
)

ALICE, CAROL = "U0ALICE", "U0CAROL"
PEOPLE = [
    {"name": "alice", "role": "approver", "slack": ALICE},
    {"name": "carol", "role": "approver", "slack": CAROL},
]


class Platform(Simulator):
    """Another agent, which takes what it is handed, and answers or hands over when it is told to."""

    def __init__(self) -> None:
        #: (path, body) of everything that was posted and taken.
        self.posted: list[tuple[str, dict[str, Any]]] = []
        app = Flask("platform")
        app.add_url_rule("/<path:path>", "take", self._take, methods=["POST"])
        super().__init__(app)

    def packages(self) -> list[dict[str, Any]]:
        return [body for path, body in self.posted if path == "handoffs"]

    def answers(self) -> list[dict[str, Any]]:
        return [body for path, body in self.posted if path.endswith("/answer")]

    def post(self, url: str, body: Mapping[str, Any]) -> bool:
        """Signed, once; whether it was taken."""
        raw = json_bytes(body)
        signature = sign(HANDOFF_KEY, raw, at=int(datetime.now(UTC).timestamp()))
        try:
            return httpx.post(url, content=raw, headers={SENDER: "platform", SIGNATURE: signature}).is_success
        except httpx.HTTPError:
            return False

    def _take(self, path: str) -> tuple[Response, int]:
        self.posted.append((path, json.loads(request.get_data())))
        return jsonify({"received": True}), 202


class Mailbox:
    """(Message-ID, whom) of each mail that came in."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str]] = []
        self._lock = threading.Lock()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        message = message_from_bytes(envelope.content)
        with self._lock:
            self.got.extend((str(message["Message-ID"]), to) for to in envelope.rcpt_tos)
        return "250 taken"


@dataclass
class Vendors:
    """Those that a scenario needs; `config` and `variables` are what the agent is told of them."""

    config: dict[str, Any] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    cluster: KubernetesSimulator | None = None
    keeptrusts: KeeptrustsSimulator | None = None
    gateways: GatewayWorld | None = None
    jira: JiraSimulator | None = None
    hooks: HooksSimulator | None = None
    mailbox: Mailbox | None = None
    platform: Platform | None = None
    prometheus: PrometheusSimulator | None = None

    def lead_to(self, url: str) -> None:
        """Webhooks go to the agent."""
        if self.keeptrusts is not None:
            self.keeptrusts.subscribe(f"{url}/webhook/keeptrusts")
        if self.jira is not None:
            self.jira.hooks.url = f"{url}/webhook/jira"
            self.jira.hooks.tries, self.jira.hooks.pause_s = 400, 0.1

    def is_quiet(self) -> bool:
        """Whether all webhooks have arrived."""
        if self.keeptrusts is not None and not self.keeptrusts.wait_until_delivered(0.01):
            return False
        hooks = None if self.jira is None else self.jira.hooks
        return hooks is None or sum(200 <= each < 300 for each in hooks.statuses) >= len(hooks.told)


def started(needs: frozenset[str], directory: Path, stack: ExitStack) -> Vendors:
    """All that is needed; it ends with the stack."""
    made = Vendors()
    for name, start in _STARTS.items():
        if name in needs:
            start(made, directory, stack)
    return made


def _advisor(made: Vendors, _: Path, stack: ExitStack) -> None:
    model = stack.enter_context(AnthropicSimulator(mind=undecided))
    made.variables["ANTHROPIC_API_KEY"] = model.api_key
    key = {"env": "ANTHROPIC_API_KEY"}
    llm = {"provider": "anthropic", "model": "claude-haiku-4-5", "base_url": model.url, "api_key": key}
    made.config["llm"] = llm


def _cluster(made: Vendors, directory: Path, stack: ExitStack) -> None:
    made.cluster = stack.enter_context(KubernetesSimulator())
    made.cluster.add_deployment("production", "api", replicas=2)
    kubeconfig = made.cluster.kubeconfig(directory / "kubeconfig", namespace="production")
    made.config["kubernetes"] = {"kubeconfig": str(kubeconfig)}


def _keeptrusts(made: Vendors, _: Path, stack: ExitStack) -> None:
    made.keeptrusts = stack.enter_context(KeeptrustsSimulator(teller=Teller(tries=400)))
    made.gateways = world_of(made.keeptrusts.state)
    made.gateways.configure("cfg_main", GOVERNED)
    made.variables["KEEPTRUSTS_API_TOKEN"] = API_TOKEN
    made.config["keeptrusts"] = {
        "api_url": made.keeptrusts.url,
        "api_token": {"env": "KEEPTRUSTS_API_TOKEN"},
        "allow_unsigned_webhooks": True,
    }


def _jira(made: Vendors, _: Path, stack: ExitStack) -> None:
    made.jira = stack.enter_context(JiraSimulator())
    made.variables |= {"JIRA_API_TOKEN": TOKEN, "JIRA_WEBHOOK_SECRET": WEBHOOK_SECRET}
    made.config["jira"] = {
        "url": made.jira.url,
        "email": EMAIL,
        "api_token": {"env": "JIRA_API_TOKEN"},
        "webhook_secrets": [{"env": "JIRA_WEBHOOK_SECRET"}],
        "search_lag_s": 0.3,
    }


def _hooks(made: Vendors, _: Path, stack: ExitStack) -> None:
    made.hooks = stack.enter_context(HooksSimulator())
    made.variables["HOOK_SECRET"] = made.hooks.secret
    made.variables["TEAMS_URL"] = made.hooks.teams_url
    made.config["hooks"] = {
        "chatops": {"kind": "webhook", "url": made.hooks.webhook_url, "secret": {"env": "HOOK_SECRET"}}
    }


def _mail(made: Vendors, _: Path, stack: ExitStack) -> None:
    made.mailbox = Mailbox()
    controller = Controller(made.mailbox, hostname="127.0.0.1", port=free_port())
    controller.start()
    stack.callback(controller.stop)
    made.config["mail"] = {"host": "127.0.0.1", "port": controller.port, "security": "none"}


def _platform(made: Vendors, _: Path, stack: ExitStack) -> None:
    made.platform = stack.enter_context(Platform())
    made.variables["HANDOFF_KEY"] = HANDOFF_KEY
    secret = {"env": "HANDOFF_KEY"}
    made.config["handoff"] = {
        "name": "tier-1",
        "targets": {
            "platform": {"url": f"{made.platform.url}/handoffs", "secret": secret, "deadline": "10m"}
        },
        "accept_from": {"platform": {"url": made.platform.url, "secret": secret}},
    }


def _prometheus(made: Vendors, _: Path, stack: ExitStack) -> None:
    made.prometheus = stack.enter_context(PrometheusSimulator())
    made.config["prometheus"] = {"url": made.prometheus.url}


_STARTS = {
    "advisor": _advisor,
    "cluster": _cluster,
    "keeptrusts": _keeptrusts,
    "jira": _jira,
    "hooks": _hooks,
    "mail": _mail,
    "platform": _platform,
    "prometheus": _prometheus,
}
