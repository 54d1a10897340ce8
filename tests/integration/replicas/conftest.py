"""Several processes on one database: on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.postgres import on_both_databases


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    return on_both_databases(request)


def eventually(condition: Callable[[], Any], what: str, *, deadline_s: float = 15.0) -> Any:
    """Poll until the condition gives something true."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"not within {deadline_s:g} s: {what}")
