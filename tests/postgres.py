"""A PostgreSQL of the tests' own, from Debian's package: started by them, gone with them."""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from agent.adapters.clock import SystemClock
from agent.adapters.store import Store

#: Debian keeps the server's programs out of PATH, one folder a version.
_DEBIAN = Path("/usr/lib/postgresql")

_STARTS_WITHIN_S = 30.0

_MISSING = "PostgreSQL's server is missing; `make packages` installs it"

#: The unprivileged users that a root may run the server as: it refuses to run as root.
_SERVANTS = ("postgres", "nobody")


def programs() -> Path | None:
    """The folder of the newest installed server, if there is one."""
    folders = [path.parent for path in _DEBIAN.glob("*/bin/postgres")]
    if folders:
        return max(folders, key=lambda path: float(path.parent.name))
    found = shutil.which("postgres")
    return Path(found).resolve().parent if found else None


def servant() -> str | None:
    """As whom the server runs: as ourselves, unless we are root."""
    if os.geteuid() != 0:
        return None
    known = {each.pw_name for each in pwd.getpwall()}
    return next(name for name in _SERVANTS if name in known)


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


class PostgresServer:
    """One cluster in a folder of its own; it may be stopped, killed, paused and started again."""

    def __init__(self, folder: Path, directory: Path, *, fsync: bool, listen: str = "127.0.0.1") -> None:
        self._programs = folder
        self._listen = listen
        self._directory = directory
        self._fsync = fsync
        self._user = servant()
        if self._user is not None:
            shutil.chown(directory, self._user)
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self._has_template = False
        self._make()
        self.start()

    def _make(self) -> None:
        command = [
            self._programs / "initdb", "-D", self._directory / "data", "--auth", "trust",
            "--username", "agent", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync",
        ]  # fmt: skip
        made = subprocess.run(command, user=self._user, cwd=self._directory, capture_output=True, text=True)
        assert made.returncode == 0, made.stderr
        with (self._directory / "data" / "pg_hba.conf").open("a") as rules:
            rules.write("host all all samenet trust\n")

    def start(self) -> None:
        """Start, and wait until it answers."""
        settings = {
            "listen_addresses": self._listen,
            "port": self.port,
            "unix_socket_directories": self._directory,
            "fsync": "on" if self._fsync else "off",
            "max_connections": 200,
            "shared_buffers": "32MB",
            "autovacuum": "off",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self._directory / "data", *options],
                user=self._user,
                cwd=self._directory,
                stdout=log,
                stderr=log,
            )
        end = time.monotonic() + _STARTS_WITHIN_S
        while not self._answers():
            assert time.monotonic() < end, self.log()
            assert self._process.poll() is None, self.log()
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self, *, at_once: bool = False) -> None:
        """End it as an operator does; at once is what a crash does: it recovers at the next start."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT if at_once else signal.SIGINT)
            self._process.wait(timeout=_STARTS_WITHIN_S)
            self._process = None

    def restart(self, *, at_once: bool = False) -> None:
        self.stop(at_once=at_once)
        self.start()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Alive for the kernel, but nobody in it answers: a storage that hangs looks like this."""
        assert self._process is not None
        pids = [self._process.pid, *_children(self._process.pid)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def log(self) -> str:
        return (self._directory / "log").read_text()[-4_000:]

    def url(self, database: str) -> str:
        return f"postgresql://agent@127.0.0.1:{self.port}/{database}"

    def run(self, statement: str, *, database: str = "postgres") -> list[tuple[object, ...]]:
        """One statement of the test's own."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement)  # type: ignore[call-overload]
            return cursor.fetchall() if cursor.description else []

    @contextlib.contextmanager
    def database(self, *, migrated: bool = True) -> Iterator[str]:
        """A fresh database, with up-to-date tables or with none; gives its URL."""
        self._prepare_template()
        name = f"test_{next(self._numbers)}"
        template = "migrated" if migrated else "template1"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        try:
            yield self.url(name)
        finally:
            self.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _prepare_template(self) -> None:
        if self._has_template:
            return
        self.run("CREATE DATABASE migrated")
        store = Store(self.url("migrated"), SystemClock())
        store.migrate()
        store.close()
        self._has_template = True


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextlib.contextmanager
def server(*, fsync: bool = False, listen: str = "127.0.0.1") -> Iterator[PostgresServer]:
    """A server for as long as the block lasts; without the package, CI fails and everybody else skips."""
    folder = programs()
    if folder is None:
        if os.environ.get("CI"):
            pytest.fail(_MISSING)
        pytest.skip(_MISSING)
    # not in pytest's own folder, which nobody but us may enter
    with tempfile.TemporaryDirectory(prefix="oncall-pg-", ignore_cleanup_errors=True) as directory:
        running = PostgresServer(folder, Path(directory), fsync=fsync, listen=listen)
        try:
            yield running
        finally:
            running.stop(at_once=True)


def on_both_databases(request: pytest.FixtureRequest) -> str:
    """For a fixture `database_url` with the params "sqlite" and "postgresql"."""
    name = "postgres_url" if request.param == "postgresql" else "sqlite_url"
    return str(request.getfixturevalue(name))
