"""`simulate`: vendors on loopback, to try `serve` before anything is connected."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from agent.cli.output import console, fail, plain

if TYPE_CHECKING:
    from agent.simulators.anthropic import AnthropicSimulator
    from agent.simulators.jira import JiraSimulator
    from agent.simulators.keeptrusts import KeeptrustsSimulator
    from agent.simulators.kubernetes.simulator import KubernetesSimulator
    from agent.simulators.pagerduty import PagerDutySimulator
    from agent.simulators.slack import SlackSimulator

_DELIVER_TO = "http://127.0.0.1:8080/webhook/pagerduty"
_LOOK_EVERY_S = 0.2
_DENIED = (401, 403, 429)

PortOption = Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free port.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(simulate)


def simulate(
    pagerduty_port: PortOption = 9101,
    slack_port: PortOption = 9102,
    deliver_to: Annotated[str, typer.Option(help="Where signed webhooks are sent.")] = _DELIVER_TO,
    write_config: Annotated[
        Path | None, typer.Option(help="Also write the configuration to this new file.")
    ] = None,
    kubernetes_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Also play a Kubernetes cluster; 0 takes any free port."),
    ] = None,
    kubeconfig: Annotated[
        Path | None, typer.Option(help="Write the cluster's kubeconfig to this new file.")
    ] = None,
    keeptrusts_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Also play Keeptrusts; 0 takes any free port."),
    ] = None,
    jira_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Also play Jira Cloud; 0 takes any free port."),
    ] = None,
    anthropic_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Also play the Messages API; 0 takes any free port."),
    ] = None,
) -> None:
    """Play PagerDuty and Slack on loopback until Ctrl-C, and print what arrives; others too, if asked."""
    from agent.demo.processes import ended_by_signals
    from agent.simulators.pagerduty import PagerDutySimulator
    from agent.simulators.slack import SlackSimulator

    try:
        pagerduty, slack = PagerDutySimulator(port=pagerduty_port), SlackSimulator(port=slack_port)
    except (OSError, SystemExit):
        ports = f"port {pagerduty_port} or {slack_port}"
        fail(f"{ports} is in use; choose others with --pagerduty-port and --slack-port")
    if kubeconfig is not None and kubernetes_port is None:
        fail("--kubeconfig is for the simulated cluster; add --kubernetes-port 9103")
    with (
        pagerduty,
        slack,
        _cluster(kubernetes_port) as cluster,
        _model(anthropic_port) as model,
        _keeptrusts(keeptrusts_port, deliver_to),
        _jira(jira_port, deliver_to),
        ended_by_signals(),
    ):
        pagerduty.subscribe(deliver_to)
        slack.hands.agent_url = "{0.scheme}://{0.netloc}".format(urlsplit(deliver_to))
        if model is not None:
            _explain_model(model)
        if cluster is not None:
            _explain_cluster(cluster, kubeconfig)
        _explain(pagerduty, slack, deliver_to, write_config)
        _watch(pagerduty, slack, cluster)


@contextmanager
def _cluster(port: int | None) -> Iterator[KubernetesSimulator | None]:
    """The cluster that the example runbooks speak of, if it was asked for."""
    if port is None:
        yield None
        return
    from agent.simulators.kubernetes.simulator import ContainerPrograms, KubernetesSimulator

    try:
        cluster = KubernetesSimulator(port=port)
    except (OSError, SystemExit):
        fail(f"port {port} is in use; choose another with --kubernetes-port")
    answers = {"redis-cli": "OK", "curl": '{"redis": "connected"}'}
    programs = {name: (sys.executable, "-c", f"print({text!r})") for name, text in answers.items()}
    with cluster:
        for name, replicas in (("redis-primary", 1), ("api-gateway", 3)):
            cluster.add_deployment(
                "production", name, replicas=replicas, programs=ContainerPrograms(programs=programs)
            )
        yield cluster


@contextmanager
def _model(port: int | None) -> Iterator[AnthropicSimulator | None]:
    """A model that chooses the runbook with most words of the alert, if it was asked for."""
    if port is None:
        yield None
        return
    from agent.simulators.anthropic import AnthropicSimulator

    try:
        model = AnthropicSimulator(port=port)
    except (OSError, SystemExit):
        fail(f"port {port} is in use; choose another with --anthropic-port")
    with model:
        yield model


@contextmanager
def _keeptrusts(port: int | None, deliver_to: str) -> Iterator[None]:
    """An organisation of Keeptrusts whose webhooks go to the agent, if it was asked for."""
    if port is None:
        yield
        return
    from agent.simulators.keeptrusts import KeeptrustsSimulator

    try:
        keeptrusts = KeeptrustsSimulator(port=port)
    except (OSError, SystemExit):
        fail(f"port {port} is in use; choose another with --keeptrusts-port")
    with keeptrusts:
        keeptrusts.subscribe(f"{deliver_to.rpartition('/')[0]}/keeptrusts?token=simulated")
        _explain_keeptrusts(keeptrusts)
        yield


def _explain_keeptrusts(keeptrusts: KeeptrustsSimulator) -> None:
    _heading("0. Keeptrusts: add to config.yaml, and set its token and that of its webhooks")
    tokens = "{env: KEEPTRUSTS_API_TOKEN}, webhook_tokens: [{env: KEEPTRUSTS_WEBHOOK_TOKEN}]"
    console.print(plain(f"keeptrusts: {{api_url: {keeptrusts.url}, api_token: {tokens}}}"))
    console.print(plain(f"export KEEPTRUSTS_API_TOKEN={keeptrusts.api_token}"))
    console.print("export KEEPTRUSTS_WEBHOOK_TOKEN=simulated")
    body = '{"policy_name": "phi-detection", "policy_type": "compliance", "action": "block"}'
    console.print(plain(f"curl -X POST {keeptrusts.url}/_sim/escalations -d {shlex.quote(body)}"))
    console.print(plain(f"curl -X POST {keeptrusts.url}/_sim/escalations/ID/resolve\n"))


@contextmanager
def _jira(port: int | None, deliver_to: str) -> Iterator[None]:
    """A Jira whose webhooks go to the agent, if it was asked for."""
    if port is None:
        yield
        return
    from agent.simulators.jira import JiraSimulator

    try:
        jira = JiraSimulator(port=port)
    except (OSError, SystemExit):
        fail(f"port {port} is in use; choose another with --jira-port")
    with jira:
        jira.hooks.url = f"{deliver_to.rpartition('/')[0]}/jira"
        _explain_jira(jira)
        yield


def _explain_jira(jira: JiraSimulator) -> None:
    from agent.simulators.jira import EMAIL

    _heading("0. Jira: add to config.yaml, and set its token and that of its webhooks")
    secrets = "api_token: {env: JIRA_API_TOKEN}, webhook_secrets: [{env: JIRA_WEBHOOK_SECRET}]"
    console.print(plain(f"jira: {{url: {jira.url}, email: {EMAIL}, {secrets}}}"))
    console.print(plain(f"export JIRA_API_TOKEN={jira.token} JIRA_WEBHOOK_SECRET={jira.hooks.secret}"))
    console.print(plain(f"curl {jira.url}/_sim/issues"))
    body = '{"status": "Resolved", "resolution": "False Positive"}'
    console.print(plain(f"curl -X POST {jira.url}/_sim/issues/AIGOV-1/move -d {shlex.quote(body)}\n"))


def _explain_model(model: AnthropicSimulator) -> None:
    _heading("0. The model: add to config.yaml, and set its key")
    where = f"model: {model.models[0]}, base_url: {model.url}, api_key: {{env: ANTHROPIC_API_KEY}}"
    console.print(plain(f"llm: {{provider: anthropic, {where}}}"))
    console.print(plain(f"export ANTHROPIC_API_KEY={model.api_key}\n"))


def _explain_cluster(cluster: KubernetesSimulator, path: Path | None) -> None:
    _heading("0. The cluster: namespace production, deployments redis-primary and api-gateway")
    if path is None:
        console.print(plain(f"kubectl --server {cluster.url} get pods -n production\n"))
        return
    if path.exists():
        fail(f"{path} is there already; --kubeconfig wants a new file")
    try:
        cluster.kubeconfig(path, namespace="production")
    except OSError as error:
        fail(f"{path} could not be written: {error.strerror}; --kubeconfig wants a new file")
    console.print(plain(f"kubectl --kubeconfig {shlex.quote(str(path))} get pods\n"))


def _explain(
    pagerduty: PagerDutySimulator, slack: SlackSimulator, deliver_to: str, write_config: Path | None
) -> None:
    from agent.cli.incidents import operator
    from agent.demo.settings import config_text, environment

    text = config_text(pagerduty, slack, port=urlsplit(deliver_to).port or 8080, you=operator())
    _heading("1. config.yaml")
    console.print(plain(text))
    if write_config is not None:
        _write(write_config, text)
    _heading("2. In the terminal of the agent")
    for name, value in environment(pagerduty, slack).items():
        console.print(f"export {name}={shlex.quote(value)}")
    where = f"--config {shlex.quote(str(write_config or 'config.yaml'))}"
    console.print(plain(f"oncall-agent people password {shlex.quote(operator())} {where}"))
    console.print(plain(f"oncall-agent serve {where}\n"))
    _heading("3. Trigger a page")
    body = '{"title": "Redis connection timeout", "service": "api-gateway", "severity": "critical"}'
    console.print(plain(f"curl -X POST {pagerduty.url}/_sim/incidents -d {shlex.quote(body)}\n"))
    _heading("4. Be the human")
    console.print("# ID stands in the answer to 3; instead of acknowledge: resolve, reassign, reopen, clear")
    console.print(f"curl -X POST {pagerduty.url}/_sim/incidents/ID/acknowledge")
    console.print(f"curl {slack.url}/_sim/transcript")
    console.print(plain("# where a runbook waits for a yes; or step_by_step, reject, take_over"))
    console.print(plain(f"curl -X POST {slack.url}/_sim/press -d 'action=approve'"))
    console.print(plain(f"curl -X POST {slack.url}/_sim/type -d 'text=status'"))
    console.print(plain(f"# or sign in at {deliver_to.partition('/webhook')[0]}/console\n"))
    _heading(f"Webhooks go to {deliver_to}. What arrives, until Ctrl-C:")


def _heading(text: str) -> None:
    console.print(f"[bold]{plain(text)}[/bold]")


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        fail(f"{path} could not be written: {error.strerror}; --write-config wants a new file")
    console.print(f"written to {path}\n")


def _watch(pagerduty: PagerDutySimulator, slack: SlackSimulator, cluster: KubernetesSimulator | None) -> None:
    from agent.demo.screen import Screen
    from agent.demo.watch import Watch

    watch, shown = Watch(pagerduty, slack, Screen()), 0
    try:
        while True:
            watch.look()
            shown = _look_at(cluster, shown)
            time.sleep(_LOOK_EVERY_S)
    except KeyboardInterrupt:
        watch.look()
        console.print("\nstopped")


def _look_at(cluster: KubernetesSimulator | None, shown: int) -> int:
    """Print the changes, commands and refusals that the cluster saw since; says how far it is."""
    if cluster is None:
        return 0
    calls = cluster.calls()
    for call in calls[shown:]:
        if call.changed or call.resource == "pods/exec" or call.status in _DENIED:
            where = f"{call.namespace}/{call.name}".strip("/")
            words = " ".join(call.query.get("command", ()))
            console.print(plain(f"  kubernetes  {call.verb} {call.resource} {where} {words} → {call.status}"))
    return len(calls)
