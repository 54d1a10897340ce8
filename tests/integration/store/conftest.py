"""What the store promises it keeps on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import pytest

from tests.postgres import on_both_databases


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    return on_both_databases(request)
