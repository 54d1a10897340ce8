"""What a step's program tries in order to get out: nothing of it works, and nothing of it is left running."""

import os
import signal
import socket
from pathlib import Path

import pytest
from hostile_world import SECRET, Agent, running_with, until

REFUSED = {"refused EPERM", "refused EACCES"}
DIRECT = {"network": "direct", "hosts": ["127.0.0.1:1"]}


@pytest.mark.parametrize("what", ["write", "read", "remove", "truncate", "chmod"])
def test_a_file_outside_is_neither_read_nor_changed(agent, outside, what):
    mode = outside.stat().st_mode
    assert agent.tries(what, outside) in REFUSED
    assert (outside.read_text(), outside.stat().st_mode) == (SECRET, mode)


def test_a_folder_outside_is_neither_listed_nor_added_to(agent, outside):
    assert agent.tries("list", outside.parent) in REFUSED
    assert agent.tries("make", outside.parent / "new") in REFUSED
    assert agent.tries("link", outside, "linked") in {*REFUSED, "refused EXDEV"}
    assert [entry.name for entry in outside.parent.iterdir()] == ["data"]


def test_a_file_that_the_command_was_judged_to_need_is_read_and_one_beside_it_is_not(agent, outside):
    beside = outside.with_name("beside")
    beside.write_text("x")
    beside.chmod(0o666)
    access = {"reads": [str(outside)]}
    assert agent.tries("read", outside, access=access) == "worked"
    assert agent.tries("write", outside, access=access) in REFUSED
    assert agent.tries("read", beside, access=access) in REFUSED
    assert agent.tries("write", outside, access={"writes": [str(outside)]}) == "worked"


def test_what_the_command_can_write_it_cannot_run(agent):
    program = ["hostile", "token-run", "run"]
    result = agent.run(pipeline=[["cp", "/usr/bin/true", "mine"]])
    assert result["exit_code"] == 0
    copied = agent.run(pipeline=[["sh", "-c", "cp /usr/bin/true mine; ./mine; echo $?"]])
    assert copied["stdout"].strip() == "126", (program, copied)


@pytest.mark.parametrize("file", ["environ", "mem", "maps", "cmdline", "fd"])
def test_nothing_of_the_agents_process_is_read(agent, file):
    what = "list" if file == "fd" else "read"
    assert agent.tries(what, f"/proc/{agent.pid}/{file}") in REFUSED
    assert agent.tries(what, f"/proc/{agent.launcher()}/{file}") in REFUSED


def test_a_command_that_may_see_processes_still_sees_no_environment(agent):
    access = {"reads": ["/proc"]}
    assert agent.tries("read", f"/proc/{agent.pid}/stat", access=access) == "worked"
    assert agent.tries("read", f"/proc/{agent.pid}/environ", access=access) in REFUSED


def test_reading_everything_there_is_finds_no_secret(agent, outside):
    roots = ["/proc", "/etc", "/tmp", "/root", "/home", "/var", "/run", "/work"]
    found = agent.tries("search", SECRET, *roots)
    assert found == "worked"


def test_an_archive_of_everything_holds_no_secret(agent, outside):
    result = agent.run(
        pipeline=[
            ["tar", "cf", "-", str(outside), f"/proc/{agent.pid}/environ", "/root", "/var/lib"],
            ["cat"],
        ]
    )
    assert SECRET not in result["stdout"]
    assert "Permission denied" in result["stderr"]


@pytest.mark.parametrize(
    ("family", "kind"),
    [
        ("AF_INET", "SOCK_DGRAM"),
        ("AF_INET6", "SOCK_DGRAM"),
        ("AF_INET", "SOCK_RAW"),
        ("AF_UNIX", "SOCK_STREAM"),
        ("AF_UNIX", "SOCK_DGRAM"),
        ("AF_NETLINK", "SOCK_RAW"),
        ("AF_PACKET", "SOCK_RAW"),
        ("AF_VSOCK", "SOCK_STREAM"),
    ],
)
@pytest.mark.parametrize("access", [{}, DIRECT])
def test_no_socket_but_tcp_is_opened(agent, family, kind, access):
    assert agent.tries("socket", family, kind, access=access) == "refused EPERM"


def test_udp_and_unix_sockets_are_there_for_commands_that_were_judged_to_need_them(agent):
    assert agent.tries("socket", "AF_INET", "SOCK_DGRAM", access={"datagrams": True}) == "worked"
    assert agent.tries("socket", "AF_UNIX", "SOCK_STREAM", access={"datagrams": True}) == "refused EPERM"
    assert agent.tries("socket", "AF_UNIX", "SOCK_STREAM", access={"local_sockets": True}) == "worked"
    assert agent.tries("socket", "AF_INET", "SOCK_DGRAM", access={"local_sockets": True}) == "refused EPERM"


def test_a_command_without_the_network_opens_no_tcp_socket(agent):
    assert agent.tries("connect", "127.0.0.1", 1) == "refused EPERM"


@pytest.mark.parametrize("how", ["connect", "fast-open", "multipath"])
def test_only_the_ports_that_a_command_was_judged_to_need_are_connected_to(agent, how):
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_server(("127.0.0.1", 0)) as other:
        ours, others = server.getsockname()[1], other.getsockname()[1]
        access = {"network": "direct", "hosts": [f"127.0.0.1:{ours}"]}
        assert agent.tries("connect", "127.0.0.1", ours, access=access) == "worked"
        assert agent.tries(how, "127.0.0.1", others, access=access) in REFUSED
        other.setblocking(False)
        with pytest.raises(BlockingIOError):
            other.accept()


def test_the_metadata_address_is_refused_by_the_kernel(agent):
    access = {"network": "direct", "hosts": ["db.example.com:5432"]}
    assert agent.tries("connect", "169.254.169.254", 80, access=access) == "refused EACCES"


def test_nothing_listens(agent):
    assert agent.tries("listen", access=DIRECT) == "refused EACCES"


def test_a_unix_socket_of_the_host_is_not_reached(agent, outside):
    path = outside.with_name("socket")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        path.chmod(0o777)
        server.listen()
        assert agent.tries("unix", path) == "refused EPERM"


@pytest.mark.parametrize("what", ["trace", "signal", "limit", "renice"])
def test_the_agent_and_its_launcher_are_not_touched(agent, what):
    assert agent.tries(what, agent.pid) == "refused EPERM"
    assert agent.tries(what, agent.launcher()) == "refused EPERM"


def test_a_command_of_the_agents_own_user_does_not_touch_it_either(agent, outside):
    access = {"keeps_user": True}
    for what in ("trace", "signal", "limit", "renice"):
        assert agent.tries(what, agent.pid, access=access) == "refused EPERM"
    assert agent.tries("read", f"/proc/{agent.pid}/environ", access=access) in REFUSED
    assert agent.tries("write", outside, access=access) in REFUSED


@pytest.mark.parametrize("what", ["namespace", "io_uring", "bpf", "keys", "mount"])
def test_doors_into_the_kernel_are_closed(agent, what):
    assert agent.tries(what) == "refused EPERM"
    assert agent.tries(what, access={"keeps_user": True}) == "refused EPERM"


def test_a_namespace_by_clone_is_refused(agent):
    if os.uname().machine != "x86_64":
        pytest.skip("the number of clone is written for x86_64")
    assert agent.tries("clone") == "refused EPERM"


def test_it_does_not_become_root_or_lift_its_limits(agent):
    assert agent.tries("become", 0) == "refused EPERM"
    assert agent.tries("core") == "refused EPERM"


def test_a_fork_bomb_hits_its_limit(agent):
    result = agent.run("forks", 3000)
    assert result["stdout"].strip() == "refused EAGAIN"


def test_a_fork_bomb_without_end_is_ended_at_the_timeout(agent):
    result = agent.run("bomb", timeout_s=1.0)
    assert result["timed_out"]
    assert result["duration_s"] < 8


def test_one_that_double_forks_into_a_session_of_its_own_is_ended(agent):
    result = agent.run("escape")
    assert result["exit_code"] == 0
    assert result["duration_s"] < 5


def test_one_that_escapes_from_a_stopped_command_is_ended(agent):
    token = "token-escape-and-wait"
    pipeline = [["hostile", token, "escape"], ["hostile", token, "sleep"]]
    result = agent.run(token=token, pipeline=pipeline, timeout_s=0.5)
    assert result["timed_out"]


def test_a_gigabyte_of_output_keeps_head_and_tail_and_grows_no_memory(agent):
    before = agent.run("list", "/usr")["peak_kb"]
    result = agent.run("flood", 1_000_000_000, timeout_s=120)
    assert result["exit_code"] == 0
    assert result["stdout"].startswith("HEAD\n")
    assert result["stdout"].endswith("TAIL\nworked\n")
    assert "bytes left out" in result["stdout"]
    assert result["peak_kb"] - before < 8_000


def test_a_huge_file_is_not_written(agent):
    result = agent.run(pipeline=[["head", "-c", "100000000", "/dev/zero"], ["tee", "huge"], ["wc", "-c"]])
    assert int(result["stdout"]) < 70_000_000


def test_one_command_leaves_nothing_for_the_next(agent):
    token = agent.start(pipeline=[["cp", "/etc/hosts", ".curlrc"]])
    assert agent.answer(token)["exit_code"] == 0
    listed = agent.run(pipeline=[["ls", "-a"]])
    assert listed["stdout"].split() == [".", "..", ".curlrc"]


def test_two_attempts_have_different_users_and_neither_is_the_agents(agent, user):
    if user is not None or os.geteuid() != 0:
        pytest.skip("only root can become another user")
    seen = {agent.run(pipeline=[["id", "-u"]])["stdout"] for _ in range(3)}
    assert len(seen) == 3
    assert "0\n" not in seen
    assert agent.run(pipeline=[["id", "-u"]], access={"keeps_user": True})["stdout"] == "0\n"


def test_no_capability_is_left(agent):
    status = agent.run(pipeline=[["cat", "/proc/self/status"]])["stdout"]
    fields = dict(line.split(":\t") for line in status.splitlines() if ":\t" in line)
    assert {fields[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {"0000000000000000"}
    assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")


def test_the_self_test_finds_every_wall_up(agent):
    assert (agent.seen["grade"], agent.seen["findings"]) == ("full", [])


def test_a_killed_agent_leaves_nothing_running(user, programs, walls, own_temporary):
    agent = Agent(user, programs, temporary=own_temporary)
    launcher = agent.launcher()
    token = "token-of-a-killed-agent"
    agent.start(
        token=token, pipeline=[["hostile", token, "escape"], ["hostile", token, "sleep"]], timeout_s=90
    )
    assert until(lambda: len(running_with(token)) > 1)
    os.kill(agent.pid, signal.SIGKILL)
    agent.process.communicate()
    assert until(lambda: not [pid for pid in running_with("hostile") if pid in running_with(token)])
    assert until(lambda: not Path(f"/proc/{launcher}").exists())
    assert until(lambda: not list(own_temporary.iterdir()))


def test_a_killed_supervisor_leaves_nothing_running_either(user, programs, walls):
    agent = Agent(user, programs)
    token = "token-of-a-killed-supervisor"
    agent.start(
        token=token, pipeline=[["hostile", token, "escape"], ["hostile", token, "sleep"]], timeout_s=90
    )
    assert until(lambda: len(running_with(token)) > 1)
    supervisors = Path(f"/proc/{agent.launcher()}/task/{agent.launcher()}/children").read_text().split()
    for pid in supervisors:
        os.kill(int(pid), signal.SIGKILL)
    result = agent.answer(token) if until(lambda: not running_with(token)) else None
    assert result is not None
    assert "before it told" in result["problem"]
    assert agent.run(pipeline=[["echo", "well"]])["stdout"] == "well\n"
    agent.close()


def test_a_killed_launcher_is_replaced(user, programs, walls):
    agent = Agent(user, programs)
    os.kill(agent.launcher(), signal.SIGKILL)
    assert agent.run(pipeline=[["echo", "well"]])["stdout"] == "well\n"
    agent.close()


def test_nothing_is_left_in_the_temporary_directory(user, programs, walls, own_temporary):
    agent = Agent(user, programs, temporary=own_temporary)
    result = agent.run(pipeline=[["sh", "-c", "mkdir -p a/b; touch a/b/c; mkdir -m 000 closed; pwd"]])
    assert result["stdout"].startswith(f"{own_temporary}/oncall-agent-")
    assert list(own_temporary.iterdir()) == []
    agent.close()
