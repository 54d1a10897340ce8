"""The stand-in agent and its hostile program, as fixtures."""

import os
import tempfile
from pathlib import Path

import pytest
from hostile_world import HERE, PYTHON, SECRET, Agent, users

from agent.adapters.sandbox import landlock as sandbox_landlock
from agent.adapters.sandbox import seccomp as sandbox_seccomp


@pytest.fixture(scope="session")
def programs():
    """A folder with the hostile program, open to everybody."""
    if PYTHON is None:
        pytest.skip("no python3 in a trusted folder to write a hostile program in")
    with tempfile.TemporaryDirectory(prefix="programs-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        program = folder / "hostile"
        program.write_text(f"#!{PYTHON} -IS\n" + (HERE / "hostile.py").read_text())
        program.chmod(0o755)
        yield folder


@pytest.fixture(scope="session")
def walls():
    """Skips where the kernel cannot put up every wall."""
    if sandbox_landlock.abi() < 6:
        pytest.skip(f"this kernel's Landlock is ABI {sandbox_landlock.abi()}, with signal scopes it is 6")
    if not sandbox_seccomp.is_known_architecture():
        pytest.skip("no table of system calls for this machine")


@pytest.fixture(scope="module", params=users())
def user(request):
    return request.param


@pytest.fixture(scope="module")
def agent(user, programs, walls):
    agent = Agent(user, programs)
    yield agent
    agent.close()


@pytest.fixture
def outside(user):
    """A folder outside with files that everybody, this user above all, could change."""
    with tempfile.TemporaryDirectory(prefix="outside-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o777)
        file = folder / "data"
        file.write_text(SECRET)
        file.chmod(0o666)
        if user is not None:
            os.chown(folder, user, user)
            os.chown(file, user, user)
        yield file


@pytest.fixture
def own_temporary(user):
    """A temporary directory of this agent alone."""
    with tempfile.TemporaryDirectory(prefix="own-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o711)
        if user is not None:
            os.chown(folder, user, user)
        yield folder
