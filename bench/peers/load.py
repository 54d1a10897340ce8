"""Signed webhooks in, and what Redis saw of the commands that they started."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import http.client
import json
import socket
import subprocess
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.peers.minimal import SECRET

SERVICES = 50


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def wait_for_port(port: int, *, within_s: float = 60.0) -> None:
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise TimeoutError(f"nothing listens on port {port}")


def wait_until_ready(port: int, *, within_s: float = 60.0) -> None:
    """Until it takes webhooks; before, it answers 503, and a vendor would send them again."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
            connection.request("GET", "/ready")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.02)
    raise TimeoutError(f"what listens on port {port} is not ready")


def page(job: str) -> bytes:
    """A PagerDuty V3 webhook about one incident of its own."""
    number = int("".join(each for each in job if each.isdigit()))
    service = {
        "id": f"S{number % SERVICES}",
        "type": "service_reference",
        "summary": f"service-{number % SERVICES}",
    }
    data = {
        "id": job,
        "type": "incident",
        "title": f"storm case {job}",
        "status": "triggered",
        "urgency": "high",
        "service": service,
        "html_url": f"https://example.pagerduty.com/incidents/{job}",
    }
    event = {
        "id": f"event-{job}",
        "event_type": "incident.triggered",
        "resource_type": "incident",
        "occurred_at": "2026-01-01T04:17:00Z",
        "agent": None,
        "client": None,
        "data": data,
    }
    return json.dumps({"event": event}).encode()


class Redis:
    """A real Redis; every command's start is an INCR that MONITOR tells with the server's own time."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        command = [
            "redis-server",
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            str(directory),
        ]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_for_port(self.port)
        self._lock = threading.Lock()
        self.starts: dict[str, list[float]] = {}
        self._watch = socket.create_connection(("127.0.0.1", self.port))
        self._watch.sendall(b"MONITOR\r\n")
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with self._watch.makefile("r") as lines:
            for line in lines:
                if '"INCR" "started-' in line:
                    job = line.rsplit('"started-', 1)[1].rstrip('"\r\n')
                    with self._lock:
                        self.starts.setdefault(job, []).append(float(line[1:].split(" ", 1)[0]))

    def count(self) -> Counter[str]:
        with self._lock:
            return Counter({job: len(times) for job, times in self.starts.items()})

    def wait_for(self, job: str, *, within_s: float) -> None:
        """Until its command has started."""
        end = time.monotonic() + within_s
        while job not in self.starts:
            if time.monotonic() > end:
                raise TimeoutError(f"the command of {job} did not start within {within_s:g} s")
            time.sleep(0.001)

    def settle(self, *, quiet_s: float, within_s: float) -> None:
        """Wait until no further command has started for a while."""
        end, last, since = time.monotonic() + within_s, -1, time.monotonic()
        while time.monotonic() < end:
            now = sum(self.count().values())
            if now != last:
                last, since = now, time.monotonic()
            if time.monotonic() - since > quiet_s:
                return
            time.sleep(0.05)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()


class Sender:
    """Posts pages over kept connections, one a thread; whatever is answered 2xx counts as accepted."""

    def __init__(self, port: int, path: str) -> None:
        self._port, self._path = port, path
        self._local = threading.local()
        self.accepted: dict[str, tuple[float, float]] = {}

    def post(self, job: str) -> None:
        body = page(job)
        headers = {
            "Content-Type": "application/json",
            "X-PagerDuty-Signature": "v1=" + hmac.new(SECRET, body, hashlib.sha256).hexdigest(),
            "X-Webhook-Id": f"webhook-{job}",
        }
        begun = time.time()
        try:
            connection = self._connection()
            connection.request("POST", self._path, body, headers)
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            self._local.connection = None
            return
        if 200 <= answer.status < 300:
            self.accepted[job] = (begun, time.time())

    def storm(self, jobs: list[str], *, concurrency: int) -> None:
        with ThreadPoolExecutor(concurrency) as pool:
            list(pool.map(self.post, jobs))

    def _connection(self) -> http.client.HTTPConnection:
        if getattr(self._local, "connection", None) is None:
            self._local.connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        connection: http.client.HTTPConnection = self._local.connection
        return connection
