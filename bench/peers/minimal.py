"""The least that keeps its promises on paper: Flask, HMAC, one SQLite INSERT with FULL sync, a thread pool.

It is the baseline of every figure: python -m bench.peers.minimal PORT DATABASE REDIS_PORT
"""

from __future__ import annotations

import hashlib
import hmac
import json
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import waitress
from flask import Flask, request

SECRET = b"simulated-webhook-secret"


class Runner:
    """Stores, answers, starts; after a restart starts again what is not marked as done."""

    def __init__(self, database: str, redis_port: str) -> None:
        self._database, self._redis_port = database, redis_port
        self._local = threading.local()
        self._pool = ThreadPoolExecutor(16)
        self._db().execute("CREATE TABLE IF NOT EXISTS jobs (id TEXT PRIMARY KEY, body BLOB, done INTEGER)")
        for (job,) in self._db().execute("SELECT id FROM jobs WHERE done = 0").fetchall():
            self._start(job)

    def _db(self) -> sqlite3.Connection:
        if not hasattr(self._local, "connection"):
            self._local.connection = sqlite3.connect(self._database, isolation_level=None, timeout=30)
            self._local.connection.execute("PRAGMA journal_mode=WAL")
            self._local.connection.execute("PRAGMA synchronous=FULL")
        connection: sqlite3.Connection = self._local.connection
        return connection

    def accept(self) -> tuple[str, int]:
        body = request.get_data()
        expected = "v1=" + hmac.new(SECRET, body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected, request.headers.get("X-PagerDuty-Signature", "")):
            return "", 401
        job = json.loads(body)["event"]["data"]["id"]
        self._db().execute("INSERT OR IGNORE INTO jobs VALUES (?, ?, 0)", (job, body))
        self._start(job)
        return "", 202

    def _start(self, job: str) -> None:
        self._pool.submit(self._run, job)

    def _run(self, job: str) -> None:
        command = ["redis-cli", "-p", self._redis_port, "INCR", f"started-{job}"]
        subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        self._db().execute("UPDATE jobs SET done = 1 WHERE id = ?", (job,))


if __name__ == "__main__":
    runner = Runner(sys.argv[2], sys.argv[3])
    app = Flask("minimal")
    app.post("/webhook/pagerduty")(runner.accept)
    waitress.serve(app, host="127.0.0.1", port=int(sys.argv[1]), threads=16, _quiet=True)
