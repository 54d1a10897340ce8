"""The figures of the watchdog's look can be taken again: its bench looks with the watchdog that there is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_bench_of_the_watchdog_sees_nothing_stuck_and_then_two_hundred() -> None:
    command = [sys.executable, "-m", "bench.watchdog", "300", "300"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert told.returncode == 0, told.stderr[-2_000:]
    assert "300 unfinished,     300 ended: p50 " in told.stdout
    assert "a look that finds 200 stuck ones: " in told.stdout
