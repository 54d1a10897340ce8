"""The yardstick of `bench.accept`: Flask, waitress, HMAC, one INSERT into SQLite with synchronous=FULL, 202.

`python -m bench.minimal_acceptor PORT DATABASE SECRET [--group-commit]`. With --group-commit one thread
writes what all others wait for; without it each thread has a connection of its own and commits by itself.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

import waitress
from flask import Flask, request

Row = tuple[str, bytes, float]
INSERT = "INSERT INTO webhooks (id, raw, received_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"


def connect(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS webhooks (id TEXT PRIMARY KEY, raw BLOB, received_at REAL)"
    )
    return connection


class EachByItself:
    """A connection a thread, a commit a webhook."""

    def __init__(self, path: str) -> None:
        connect(path).close()
        self._path = path
        self._mine = threading.local()

    def store(self, row: Row) -> None:
        if not hasattr(self._mine, "connection"):
            self._mine.connection = connect(self._path)
        self._mine.connection.execute(INSERT, row)


class Together:
    """One writer; whatever waits is committed at once."""

    def __init__(self, path: str) -> None:
        self._connection = connect(path)
        self._waiting: queue.SimpleQueue[tuple[Row, Future[None]]] = queue.SimpleQueue()
        threading.Thread(target=self._work, daemon=True).start()

    def store(self, row: Row) -> None:
        done: Future[None] = Future()
        self._waiting.put((row, done))
        done.result()

    def _work(self) -> None:
        connection = self._connection
        while True:
            batch = [self._waiting.get()]
            while not self._waiting.empty():
                batch.append(self._waiting.get())
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(INSERT, [row for row, _ in batch])
            connection.execute("COMMIT")
            for _, done in batch:
                done.set_result(None)


def app_of(store: Callable[[Row], None], secret: str) -> Flask:
    app = Flask("minimal")

    @app.post("/webhook/pagerduty")
    def webhook() -> tuple[dict[str, object], int]:
        raw = request.get_data(cache=False)
        mine = "v1=" + hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(mine, request.headers.get("X-PagerDuty-Signature", "")):
            return {"received": False}, 401
        store((request.headers["X-Webhook-Id"], raw, time.time()))
        return {"received": True}, 202

    return app


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("database")
    parser.add_argument("secret")
    parser.add_argument("--group-commit", action="store_true")
    parser.add_argument("--threads", type=int, default=4)
    asked = parser.parse_args()
    store = (Together if asked.group_commit else EachByItself)(asked.database).store
    # it warns of every request that waits for a thread, which costs more than the request
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    serve = app_of(store, asked.secret)
    waitress.serve(serve, host="127.0.0.1", port=asked.port, threads=asked.threads, ident=None)


if __name__ == "__main__":
    main()
