"""What every test may use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.adapters.fake_clock import FakeClock
from agent.adapters.store import Store
from agent.config import close_vault

SHARED = Path(__file__).parent.parent.parent / "shared"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path}/oncall.db", clock)
    store.migrate()
    yield store
    store.close()


@pytest.fixture(autouse=True)
def _no_vault_is_left_open() -> Iterator[None]:
    yield
    close_vault()


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("the shared contracts and corpora are not beside this checkout")
    return SHARED
