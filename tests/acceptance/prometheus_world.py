"""A real Prometheus and a real Alertmanager, with intervals so short that an alert takes seconds."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
import yaml

from tests.acceptance.conftest import RedisServer, free_port, wait_until

PROGRAMS = ("prometheus", "prometheus-alertmanager")


def needs_prometheus() -> None:
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing and os.environ.get("CI"):
        pytest.fail(f"{missing} missing; `make packages` installs them")
    if missing:
        pytest.skip(f"{missing} not installed; `make packages` installs them")


class Exporter:
    """Tells Prometheus whether the Redis takes writes, by writing to it at each scrape."""

    def __init__(self, redis: RedisServer) -> None:
        def refuses() -> bool:
            return redis.cli("SET", "probe", "1") != "OK"

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(refuses))
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(refuses: Callable[[], bool]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = f"redis_refuses_writes {int(refuses())}\n".encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    return Handler


class Program:
    """One of the two, until it is stopped; what it says is in a file."""

    def __init__(self, command: list[str], *, port: int, log: Path) -> None:
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output)
        wait_until(lambda: self._is_ready(port), f"{command[0]} is ready")

    def _is_ready(self, port: int) -> bool:
        assert self._process.poll() is None, self._log.read_text()[-2000:]
        try:
            return httpx.get(f"http://127.0.0.1:{port}/-/ready", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(timeout=10)


def alertmanager(directory: Path, *, webhook: str, token: str) -> tuple[Program, int]:
    port = free_port()
    route = {
        "receiver": "oncall-agent",
        "group_by": ["alertname"],
        "group_wait": "0s",
        "group_interval": "200ms",
        "repeat_interval": "1h",
    }
    hook = {
        "url": webhook,
        "send_resolved": True,
        "http_config": {"authorization": {"type": "Bearer", "credentials": token}},
    }
    config = {"route": route, "receivers": [{"name": "oncall-agent", "webhook_configs": [hook]}]}
    path = directory / "alertmanager.yml"
    path.write_text(yaml.safe_dump(config))
    command = [
        "prometheus-alertmanager",
        f"--config.file={path}",
        f"--storage.path={directory / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    return Program(command, port=port, log=directory / "alertmanager.log"), port


def prometheus(directory: Path, *, rule: dict[str, object], exporter: int, alerts_to: int) -> Program:
    port = free_port()
    rules = directory / "rules.yml"
    rules.write_text(yaml.safe_dump({"groups": [{"name": "cache", "rules": [rule]}]}))
    often = {"scrape_interval": "200ms", "scrape_timeout": "200ms", "evaluation_interval": "200ms"}
    config = {
        "global": often,
        "rule_files": [str(rules)],
        "scrape_configs": [{"job_name": "cache", "static_configs": [{"targets": [f"127.0.0.1:{exporter}"]}]}],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{alerts_to}"]}]}]},
    }
    path = directory / "prometheus.yml"
    path.write_text(yaml.safe_dump(config))
    command = [
        "prometheus",
        f"--config.file={path}",
        f"--storage.tsdb.path={directory / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    return Program(command, port=port, log=directory / "prometheus.log")
