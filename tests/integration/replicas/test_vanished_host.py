"""A machine that vanishes without a word: no process to end a connection, no network to say so."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.adapters.executor_lock import executor_lock_name
from agent.adapters.locks import locks_of
from tests.integration.replicas.conftest import eventually
from tests.integration.replicas.test_locks import HOLDER
from tests.postgres import PostgresServer, server

#: A network of two, from the block for documentation and tests (RFC 5737).
HERE, THERE = "203.0.113.1", "203.0.113.2"


def ran(*command: str) -> bool:
    return subprocess.run(command, capture_output=True).returncode == 0


@pytest.fixture
def other_host() -> Iterator[int]:
    """A network namespace with one cable to ours; the process id that it hangs on."""
    if os.geteuid() != 0 or shutil.which("ip") is None or not ran("unshare", "--net", "true"):
        pytest.skip("another host needs root, `ip` and the right to make a network")
    host = subprocess.Popen(["unshare", "--net", "sleep", "600"])
    try:
        inside = ["nsenter", "--target", str(host.pid), "--net", "ip"]
        cable = f"cable{host.pid}"
        eventually(lambda: ran(*inside, "link", "set", "lo", "up"), "the namespace is there")
        peer = ["peer", "name", "uplink", "netns", str(host.pid)]
        if not ran("ip", "link", "add", cable, "type", "veth", *peer):
            pytest.skip("this kernel has no virtual cables")
        assert ran("ip", "address", "add", f"{HERE}/30", "dev", cable)
        assert ran("ip", "link", "set", cable, "up")
        assert ran(*inside, "address", "add", f"{THERE}/30", "dev", "uplink")
        assert ran(*inside, "link", "set", "uplink", "up")
        yield host.pid
    finally:
        host.kill()
        host.wait()
        ran("ip", "link", "delete", f"cable{host.pid}")


@pytest.fixture
def reachable_server(other_host: int) -> Iterator[PostgresServer]:
    with server(listen=f"127.0.0.1,{HERE}") as running:
        yield running


def test_the_lock_of_a_host_that_vanished_is_free_within_seconds(
    other_host: int, reachable_server: PostgresServer
) -> None:
    url = reachable_server.url("postgres")
    there = ["nsenter", "--target", str(other_host), "--net", sys.executable, "-c", HOLDER]
    holder = subprocess.Popen(
        [*there, url.replace("127.0.0.1", HERE), "worker-0"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    locks = locks_of(url)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        name = executor_lock_name("worker-0")
        assert not locks.is_free(name)
        assert ran("ip", "link", "set", f"cable{other_host}", "down")
        vanished = time.monotonic()
        eventually(lambda: locks.is_free(name), "its lock is free")
        assert time.monotonic() - vanished < 6.5, "with two looks of the others it is under ten seconds"
        assert holder.poll() is None, "it is alive, and nobody could tell it"
    finally:
        with contextlib.suppress(ProcessLookupError):
            holder.kill()
        holder.communicate()
        locks.close()
