"""A small real cache over TCP, for machines with redis-cli but no redis-server: enough RESP for the demo.

python -m agent.demo.small_cache --port 6390
"""

from __future__ import annotations

import argparse
import itertools
import socket
import socketserver
import threading
from collections import defaultdict, deque


class State:
    """What all clients share: keys, lists, and who is connected."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.values: dict[bytes, bytes] = {}
        self.lists: defaultdict[bytes, deque[bytes]] = defaultdict(deque)
        self.clients: dict[int, socket.socket] = {}
        self.blocked: set[int] = set()
        self.ids = itertools.count(1)

    def kill_others(self, own_id: int) -> int:
        """Close every connection but the asking one; gives how many."""
        with self.changed:
            others = {number: each for number, each in self.clients.items() if number != own_id}
            for number, each in others.items():
                each.shutdown(socket.SHUT_RDWR)
                self.clients.pop(number)
            self.blocked -= set(others)
            self.changed.notify_all()
        return len(others)

    def pop(self, client_id: int, key: bytes) -> bytes | None:
        """Wait for a value on the list; None if the client was killed meanwhile."""
        with self.changed:
            self.blocked.add(client_id)
            self.changed.wait_for(lambda: bool(self.lists[key]) or client_id not in self.clients)
            self.blocked.discard(client_id)
            return self.lists[key].popleft() if client_id in self.clients else None


class Client(socketserver.StreamRequestHandler):
    """One connection."""

    state: State

    def handle(self) -> None:
        """Answer commands until the client leaves."""
        self.client_id = next(self.state.ids)
        with self.state.changed:
            self.state.clients[self.client_id] = self.request
        try:
            while words := self._command():
                self.wfile.write(self._answer(words[0].upper(), words[1:]))
        except (OSError, ValueError):
            return
        finally:
            with self.state.changed:
                self.state.clients.pop(self.client_id, None)

    def _command(self) -> list[bytes]:
        line = self.rfile.readline(512)
        if not line.startswith(b"*"):
            return line.split()
        words = []
        for _ in range(int(line[1:])):
            size = int(self.rfile.readline(512)[1:])
            words.append(self.rfile.read(size + 2)[:-2])
        return words

    def _answer(self, name: bytes, words: list[bytes]) -> bytes:
        state = self.state
        match name, words:
            case b"PING", []:
                return b"+PONG\r\n"
            case b"GET", [key]:
                return _bulk(state.values.get(key))
            case b"SET", [key, value]:
                state.values[key] = value
                return b"+OK\r\n"
            case b"DEL", keys:
                return b":%d\r\n" % sum(state.values.pop(key, None) is not None for key in keys)
            case b"BLPOP", [key, b"0"]:
                return b"*2\r\n" + _bulk(key) + _bulk(state.pop(self.client_id, key))
            case b"INFO", _:
                told = f"# Clients\r\nconnected_clients:{len(state.clients)}\r\n"
                return _bulk(f"{told}blocked_clients:{len(state.blocked)}\r\n".encode())
            case b"CLIENT", [kill, *_] if kill.upper() == b"KILL":
                return b":%d\r\n" % state.kill_others(self.client_id)
            case _:
                return b"-ERR this small cache does not know the command\r\n"


def _bulk(value: bytes | None) -> bytes:
    return b"$-1\r\n" if value is None else b"$%d\r\n%s\r\n" % (len(value), value)


def main() -> None:
    """Run the cache."""
    parser = argparse.ArgumentParser(prog="small_cache")
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    Client.state = State()
    server = socketserver.ThreadingTCPServer(("127.0.0.1", port), Client)
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":
    main()
