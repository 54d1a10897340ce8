"""Everything the demo needs, really running: a cache, a shop, the daemon; and the two simulated vendors."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import httpx

from agent.demo.processes import (
    Child,
    Children,
    DemoError,
    child_environment,
    free_ports,
    missing_programs,
    python_module,
    takes_connections,
    unhurried,
    wait_until,
)
from agent.demo.settings import config_text, environment
from agent.demo.shop import POOL_SIZE
from agent.simulators.pagerduty import PagerDutySimulator
from agent.simulators.slack import SlackSimulator

#: What the demo's runbooks call, and the Debian packages that bring it.
_PROGRAMS = ("redis-cli", "curl", "jq")
_PACKAGES = "redis-server redis-tools curl jq"

#: The ports that stand in the runbooks of agent/demo/runbooks.
_WRITTEN_SHOP, _WRITTEN_CACHE = "8090", "6390"

_START_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a web address answered; status 0 if nothing did."""

    status: int
    data: object
    text: str


@dataclass(frozen=True, slots=True)
class World:
    """Where everything is."""

    directory: Path
    cache: str
    cache_port: int
    shop_url: str
    agent_url: str
    agent: Child
    config: Path
    secrets: Mapping[str, str]
    runbooks: Sequence[str]
    pagerduty: PagerDutySimulator
    slack: SlackSimulator

    @property
    def audit_log(self) -> Path:
        """The agent's audit log."""
        return self.directory / "audit.jsonl"

    @property
    def database(self) -> Path:
        """The agent's database."""
        return self.directory / "oncall.db"

    def get(self, url: str) -> Answer:
        """Ask a web address, as curl would."""
        try:
            answer = httpx.get(url, timeout=5, trust_env=False)
        except httpx.HTTPError as error:
            return Answer(0, None, type(error).__name__)
        is_json = answer.headers.get("Content-Type", "").startswith("application/json")
        return Answer(answer.status_code, answer.json() if is_json else None, answer.text.strip())

    def break_shop(self) -> None:
        """Customers ask for receipts that never come, and give up; the shop's pool does not."""
        with ExitStack() as stack:
            for number in range(1, POOL_SIZE + 1):
                customer = stack.enter_context(_connection(self.shop_url))
                customer.sendall(f"GET /orders/{number}/receipt HTTP/1.1\r\nHost: shop\r\n\r\n".encode())
            if not wait_until(lambda: self.get(f"{self.shop_url}/health").status == 503, 10):
                raise DemoError("the shop did not break: its pool of connections was not exhausted")

    def verify_audit_log(self) -> tuple[bool, str]:
        """What `oncall-agent audit verify` says, run as a user would."""
        done = subprocess.run(
            python_module("agent", "audit", "verify", "--config", str(self.config)),
            cwd=self.directory,
            env=child_environment(self.secrets),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode == 0, (done.stdout + done.stderr).strip()


@contextmanager
def open_world(directory: Path | None = None) -> Iterator[World]:
    """Start it all; on the way out everything is stopped and the directory stays."""
    missing = missing_programs(_PROGRAMS)
    if missing:
        names = ", ".join(missing)
        raise DemoError(f"the demo's runbooks run {names}: not installed here; apt install {_PACKAGES}")
    place = directory or Path(tempfile.mkdtemp(prefix="oncall-agent-demo-"))
    with ExitStack() as stack:
        yield _start(place, stack)


def _start(place: Path, stack: ExitStack) -> World:
    pagerduty = stack.enter_context(PagerDutySimulator())
    slack = stack.enter_context(SlackSimulator())
    gateway = stack.enter_context(socket.socket())
    gateway.bind(("127.0.0.1", 0))  # kept and never listened on: whoever connects is refused
    children = Children(place)
    stack.callback(_stop, children)
    cache_port, shop_port, agent_port = free_ports(3)
    cache = _start_cache(children, cache_port)
    words = f"--port {shop_port} --cache-port {cache_port} --gateway-port {gateway.getsockname()[1]}"
    shop = children.start("shop", python_module("agent.demo.shop", *words.split()))
    runbooks = _write_runbooks(place / "runbooks", shop_port=shop_port, cache_port=cache_port)
    config = place / "config.yaml"
    paths = {"database": str(place / "oncall.db"), "runbooks": str(place / "runbooks")}
    config.write_text(config_text(pagerduty, slack, port=agent_port, **paths), encoding="utf-8")
    secrets = environment(pagerduty, slack)
    agent_url = f"http://127.0.0.1:{agent_port}"
    agent = children.start(
        "agent",
        python_module("agent", "serve", "--config", str(config)),
        environment={**secrets, "ONCALL_AGENT_EXECUTOR_ID": "demo"},
    )
    shop.wait_until(lambda: takes_connections(shop_port), _START_WITHIN_S)
    agent.wait_until(lambda: _is_ready(agent_url), _START_WITHIN_S)
    pagerduty.subscribe(f"{agent_url}/webhook/pagerduty")
    return World(
        directory=place,
        cache=cache,
        cache_port=cache_port,
        shop_url=f"http://127.0.0.1:{shop_port}",
        agent_url=agent_url,
        agent=agent,
        config=config,
        secrets=secrets,
        runbooks=runbooks,
        pagerduty=pagerduty,
        slack=slack,
    )


def _start_cache(children: Children, port: int) -> str:
    """A real Redis where there is one; gives what it is, in words."""
    server = shutil.which("redis-server")
    if server is None:
        own = children.start("cache", python_module("agent.demo.small_cache", "--port", str(port)))
        own.wait_until(lambda: takes_connections(port), _START_WITHIN_S)
        return "a small cache of our own (no redis-server is installed here)"
    options = ("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
    redis = children.start("cache", [server, *options])
    redis.wait_until(lambda: takes_connections(port), _START_WITHIN_S)
    told = subprocess.run(
        [server, "--version"], capture_output=True, text=True, timeout=10, check=False
    ).stdout
    version = next((word.removeprefix("v=") for word in told.split() if word.startswith("v=")), "")
    return f"redis-server {version}".strip()


def _write_runbooks(target: Path, *, shop_port: int, cache_port: int) -> list[str]:
    """The demo's runbooks with the ports of this run."""
    target.mkdir(parents=True, exist_ok=True)
    names = []
    for source in sorted(files("agent.demo").joinpath("runbooks").iterdir(), key=lambda each: each.name):
        text = source.read_text(encoding="utf-8")
        text = text.replace(_WRITTEN_SHOP, str(shop_port)).replace(_WRITTEN_CACHE, str(cache_port))
        (target / source.name).write_text(text, encoding="utf-8")
        names.append(source.name)
    return names


def _connection(url: str) -> socket.socket:
    parts = httpx.URL(url)
    return socket.create_connection((parts.host, parts.port or 80), timeout=2)


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ready", timeout=1, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def _stop(children: Children) -> None:
    with unhurried():
        children.stop()
