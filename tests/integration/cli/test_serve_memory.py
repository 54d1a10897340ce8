"""What threads take from the heap, and give back, is there for the others."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

#: Threads that each keep something; an own heap of glibc is a mapping of which most is not readable yet.
HEAPS = """
import sys, threading
from pathlib import Path
from agent.cli.serve import keep_memory_together

if sys.argv[1] == "together":
    keep_memory_together()
kept, have, over = [], threading.Barrier(17), threading.Event()

def keep():
    kept.append(bytearray(20_000))
    have.wait()
    over.wait()

for _ in range(16):
    threading.Thread(target=keep, daemon=True).start()
have.wait()
unread = [line for line in Path("/proc/self/maps").read_text().splitlines() if " ---p " in line]
bounds = [line.split()[0].split("-") for line in unread]
print(sum(int(end, 16) - int(begin, 16) > 60 << 20 for begin, end in bounds))
over.set()
"""


def heaps(how: str) -> int:
    return int(
        subprocess.run([sys.executable, "-c", HEAPS, how], capture_output=True, text=True, check=True).stdout
    )


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="only glibc gives each thread a heap of its own"
)
def test_threads_share_two_heaps() -> None:
    assert heaps("each") > 2
    assert heaps("together") <= 2
