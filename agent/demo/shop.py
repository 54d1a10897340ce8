"""The demo's service: a small shop in front of a cache, with a bug that really takes it down.

    python -m agent.demo.shop --port 8090 --cache-port 6390 --gateway-port 7070

The bug: `/orders/<id>/receipt` waits for a receipt with `BLPOP … 0`, which means for ever, on a connection
of the pool that everything else needs too. A handful of customers whose receipt never comes is enough.
"""

from __future__ import annotations

import argparse
import json
import signal
import socket
import sys
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import FrameType

from agent.demo.cache_client import Pool, PoolEmptyError

POOL_SIZE = 8
_POOL_WAIT_S = 0.5
_PRICES = {"espresso": "2.40", "tea": "1.90", "cake": "3.50"}


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and the facts that go with it."""

    status: HTTPStatus
    facts: dict[str, str]


class Shop:
    """What the shop answers."""

    def __init__(self, pool: Pool, gateway_port: int) -> None:
        self._pool = pool
        self._gateway_port = gateway_port

    def answer(self, path: str) -> Answer:
        """The page behind the path; a cache that is not there is told, not hidden."""
        try:
            return self._page(path)
        except PoolEmptyError:
            in_use = f"{self._pool.in_use} of {self._pool.size} connections in use"
            return Answer(
                HTTPStatus.SERVICE_UNAVAILABLE, {"status": "down", "redis": "timeout", "pool": in_use}
            )
        except OSError as error:
            facts = {"status": "down", "redis": "unreachable", "error": str(error)}
            return Answer(HTTPStatus.SERVICE_UNAVAILABLE, facts)

    def _page(self, path: str) -> Answer:
        match path.strip("/").split("/"):
            case ["health"]:
                return self._health()
            case ["products", name] if name in _PRICES:
                return self._product(name)
            case ["orders", number, "receipt"]:
                return self._receipt(number)
            case ["payments", "health"]:
                return self._payments()
            case _:
                return Answer(HTTPStatus.NOT_FOUND, {"error": "no such page"})

    def _health(self) -> Answer:
        with self._pool.connection() as cache:
            cache.command("PING")
            in_use = f"{self._pool.in_use} of {self._pool.size} connections in use"
            return Answer(HTTPStatus.OK, {"status": "ok", "redis": "connected", "pool": in_use})

    def _product(self, name: str) -> Answer:
        with self._pool.connection() as cache:
            price = cache.command("GET", f"price:{name}")
            if price is None:
                price = _PRICES[name].encode()
                cache.command("SET", f"price:{name}", _PRICES[name])
            shown = price.decode() if isinstance(price, bytes) else ""
            return Answer(HTTPStatus.OK, {"product": name, "price": shown})

    def _receipt(self, number: str) -> Answer:
        with self._pool.connection() as cache:
            cache.command("BLPOP", f"receipts:{number}", "0")  # the bug: 0 waits for ever
            return Answer(HTTPStatus.OK, {"order": number, "receipt": "printed"})

    def _payments(self) -> Answer:
        """Whether the payment gateway takes a connection."""
        try:
            socket.create_connection(("127.0.0.1", self._gateway_port), timeout=1).close()
        except OSError as error:
            facts = {"gateway": "unreachable", "error": error.strerror or str(error)}
            return Answer(HTTPStatus.SERVICE_UNAVAILABLE, facts)
        return Answer(HTTPStatus.OK, {"gateway": "reachable"})


def serve(port: int, shop: Shop) -> None:
    """Answer until SIGTERM."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = shop.answer(self.path)
            body = json.dumps(answer.facts).encode() + b"\n"
            try:
                self.send_response(answer.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                self.log_message("the customer had gone: %s", self.path)

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    server.serve_forever()


def _leave(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  (signal's signature)
    sys.exit(0)


def main() -> None:
    """Run the shop."""
    parser = argparse.ArgumentParser(prog="shop")
    for name in ("--port", "--cache-port", "--gateway-port"):
        parser.add_argument(name, type=int, required=True)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _leave)
    pool = Pool(options.cache_port, size=POOL_SIZE, wait_s=_POOL_WAIT_S)
    serve(options.port, Shop(pool, options.gateway_port))


if __name__ == "__main__":
    main()
