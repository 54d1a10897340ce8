"""A server that answers any request with scripted bytes, or with silence: what no HTTP framework will do."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def raw_server(*chunks: bytes, every_s: float = 0.0, hold: bool = False) -> Iterator[str]:
    """Sends the chunks, `every_s` apart; with `hold` the connection then stays open in silence."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.02)

        def serve() -> None:
            while not over.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                with connection:
                    _answer(connection)

        def _answer(connection: socket.socket) -> None:
            connection.settimeout(1)
            try:
                connection.recv(65536)
                for chunk in chunks:
                    connection.sendall(chunk)
                    if over.wait(every_s):
                        return
                if hold:
                    over.wait(10)
            except OSError:
                return

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            over.set()
            thread.join()


def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
