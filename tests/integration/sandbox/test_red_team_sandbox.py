"""Further ways out of the sandbox: a hostile owner of a log folder, and a hostile program."""

import os
import tempfile
from pathlib import Path

import pytest
from hostile_world import SECRET, UNPRIVILEGED


@pytest.fixture
def root(user):
    if user is not None or os.geteuid() != 0:
        pytest.skip("only root reads what the owner of a log folder may not read himself")


@pytest.fixture
def planted():
    """A service's own log folder; in place of its log stands a link to a file that only root may read."""
    with tempfile.TemporaryDirectory(prefix="planted-", dir="/tmp") as name:
        folder = Path(name)
        secret = folder / "only-root"
        secret.write_text(SECRET)
        secret.chmod(0o600)
        logs = folder / "service"
        logs.mkdir()
        (logs / "error.log").symlink_to(secret)
        (logs / "current").symlink_to(folder)
        folder.chmod(0o755)
        for place in (logs, logs / "error.log", logs / "current"):
            os.chown(place, UNPRIVILEGED, UNPRIVILEGED, follow_symlinks=False)
        yield logs


def test_a_link_that_a_service_put_in_place_of_its_log_shows_no_file_of_root(root, agent, planted):
    log = planted / "error.log"
    access = {"reads": [str(log)], "capabilities": ["dac_read_search"]}
    assert SECRET not in agent.run(pipeline=[["cat", str(log)]], access=access)["stdout"]


def test_a_link_that_a_service_put_in_place_of_a_folder_shows_no_file_of_root(root, agent, planted):
    log = planted / "current" / "only-root"
    access = {"reads": [str(log)], "capabilities": ["dac_read_search"]}
    assert SECRET not in agent.run(pipeline=[["cat", str(log)]], access=access)["stdout"]


def test_a_link_that_a_service_put_in_place_of_its_log_is_not_written_through(root, agent, planted):
    log, secret = planted / "error.log", planted.parent / "only-root"
    agent.run("write", log, access={"writes": [str(log)], "keeps_user": True})
    assert secret.read_text() == SECRET


def test_a_log_that_is_no_link_is_still_read(root, agent, planted):
    log = planted / "access.log"
    log.write_text("a line")
    access = {"reads": [str(log)], "capabilities": ["dac_read_search"]}
    assert agent.run(pipeline=[["cat", str(log)]], access=access)["stdout"] == "a line"


@pytest.mark.parametrize("how", [["symlink", "/etc/shadow"], ["symlink", "/proc/1/environ"]])
def test_a_link_of_the_steps_own_making_opens_nothing(agent, how):
    words = ["sh", "-c", f"ln -s {how[1]} here && cat here"]
    result = agent.run(pipeline=[words])
    assert result["exit_code"] != 0
    assert result["stdout"] == ""


def test_a_hard_link_to_a_file_outside_is_not_made(agent, outside):
    result = agent.run(pipeline=[["ln", str(outside), "here"]])
    assert result["exit_code"] != 0


@pytest.mark.parametrize("program", ["su", "mount", "passwd"])
def test_a_program_with_the_bit_of_root_gives_no_root(agent, program):
    result = agent.run(pipeline=[["sh", "-c", f"{program} -c id 2>&1; exec cat /proc/self/status"]])
    status = dict(line.split(":\t", 1) for line in result["stdout"].splitlines() if ":\t" in line)
    assert "uid=0" not in result["stdout"]
    assert status["NoNewPrivs"] == "1"
    assert int(status["CapBnd"], 16) == 0 or int(status["Uid"].split()[0]) != 0


def test_no_descriptor_but_its_three_streams_is_inherited(agent):
    result = agent.run(pipeline=[["sh", "-c", "for f in /proc/self/fd/*; do echo ${f##*/}; done"]])
    # The shell itself holds the folder open while it looks.
    assert set(result["stdout"].split()) <= {"0", "1", "2", "3", "*"}


def test_neighbours_in_one_pipeline_do_not_see_each_others_variables(agent):
    look = "cat /proc/[0-9]*/environ 2>/dev/null | tr -d '\\0'"
    result = agent.run(pipeline=[["sleep", "2"], ["sh", "-c", look]], access={"reads": ["/proc"]})
    homes = {word.partition("TMPDIR")[0][-1:] for word in result["stdout"].split("HOME=")[1:]}
    assert homes <= {"1"}, "the first program's HOME ends in /0, the second's in /1"
