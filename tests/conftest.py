"""What every test may use."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.adapters.fake_clock import FakeClock
from agent.adapters.store import Store
from agent.config import close_vault
from tests.postgres import PostgresServer, server

SHARED = Path(__file__).parent.parent.parent / "shared"

#: Tests in which processes, sockets and a machine that others use take part.
_WITH_THE_WORLD = frozenset({"acceptance", "browser", "integration"})


def pytest_configure() -> None:
    """A shell that runs it in the background has SIGINT ignored, here and in all that a test starts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


#: Hundreds of kills on a busy machine, or a vendor that is to be left alone for five minutes, and is.
_SOAK_TAKES_S = 3_600


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A soak takes its time. Where nobody watches, what the world takes part in has a second try.

    The report counts it as run again. At a desk it fails at once: whoever sees it there looks for the reason.
    """
    for item in items:
        if item.get_closest_marker("soak"):
            item.add_marker(pytest.mark.timeout(_SOAK_TAKES_S))
    if not os.environ.get("CI"):
        return
    for item in items:
        if item.path.relative_to(Path(__file__).parent).parts[0] in _WITH_THE_WORLD:
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One for all tests; it forgets everything in a power cut, which is not what they are about."""
    with server() as running:
        yield running


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A fresh database with up-to-date tables."""
    with postgres_server.database() as url:
        yield url


@pytest.fixture
def sqlite_url(tmp_path: Path, migrated: Path) -> str:
    """A fresh file with up-to-date tables."""
    return f"sqlite:///{shutil.copy(migrated, tmp_path)}"


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """Where the store is; a folder's conftest may say that its tests are to hold on PostgreSQL too."""
    return sqlite_url


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with up-to-date tables, to be copied: thousands of tests would each make their own."""
    path = tmp_path_factory.mktemp("migrated") / "oncall.db"
    store = Store(f"sqlite:///{path}", FakeClock())
    store.migrate()
    store.close()
    return path


@pytest.fixture
def store(database_url: str, clock: FakeClock) -> Iterator[Store]:
    store = Store(database_url, clock)
    yield store
    store.close()


@pytest.fixture(autouse=True)
def _no_vault_is_left_open() -> Iterator[None]:
    yield
    close_vault()


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Gives what was logged so far: to standard error once a test of this process has set logging up."""
    return lambda: "".join(capsys.readouterr())


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("the shared contracts and corpora are not beside this checkout")
    return SHARED
