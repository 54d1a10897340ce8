"""`kubectl exec` runs a real process with exactly the argv given, and nothing that was not declared."""

import sys
import time

import httpx
import pytest
from kubernetes_words import core_v1, exec_stream

from agent.simulators.kubernetes.simulator import ContainerPrograms, KubernetesSimulator

pytestmark = pytest.mark.usefixtures("needs_web_socket_exec")


def executed(sim: KubernetesSimulator) -> list[tuple[tuple[str, ...], int | None]]:
    return [(each.argv, each.exit_code) for each in sim.executions()]


def test_output_errors_and_exit_code_come_back_apart(cluster, kubectl):
    done = kubectl.run("exec", "deploy/api", "--", "ls", "/nonexistent", "/dev/null")
    assert (done.returncode, done.stdout) == (2, "/dev/null\n")
    assert "'/nonexistent'" in done.stderr
    assert "command terminated with exit code 2" in done.stderr
    assert executed(cluster) == [(("ls", "/nonexistent", "/dev/null"), 2)]


def test_arguments_arrive_as_they_were_written(cluster, kubectl):
    words = ("a b", "$HOME", ";", "*", "", "ü", "-n")
    assert kubectl("exec", "deploy/api", "--", "printf", "[%s]", *words) == "[a b][$HOME][;][*][][ü][-n]"


def test_the_environment_is_the_pods_own(cluster, kubectl):
    assert set(kubectl("exec", "deploy/api", "--", "env").split("\n")) >= {"POD_VARIABLE=from the pod"}
    assert "HOME=" not in kubectl("exec", "deploy/api", "--", "env")


def test_stdin_reaches_the_process_and_its_end_does_too(cluster, kubectl):
    text = "line\n" * 50_000
    assert kubectl("exec", "-i", "deploy/api", "--", "cat", stdin=text) == text


def test_a_long_output_arrives_whole(cluster, kubectl):
    assert kubectl("exec", "deploy/api", "--", "seq", "200000").endswith("\n200000\n")


def test_a_program_that_was_not_declared_is_not_found(cluster, kubectl):
    cluster.set_programs("production", ContainerPrograms(programs={"cat": ("/usr/bin/cat",)}))
    refused = kubectl.refused("exec", "deploy/api", "--", "sh", "-c", "echo hello")
    assert 'exec: "sh": executable file not found in $PATH' in refused
    assert executed(cluster) == [(("sh", "-c", "echo hello"), None)]


def test_a_declared_program_may_stand_for_a_longer_argv(cluster, kubectl):
    cluster.set_programs(
        "production", ContainerPrograms(programs={"hello": ("/usr/bin/printf", "%s-%s", "x")})
    )
    assert kubectl("exec", "deploy/api", "--", "hello", "y") == "x-y"


def test_a_program_that_cannot_start_is_said_to_be_so(cluster, kubectl, tmp_path):
    broken = tmp_path / "broken"
    broken.write_text("")
    cluster.set_programs("production", ContainerPrograms(programs={"broken": (str(broken),)}))
    assert "Permission denied" in kubectl.refused("exec", "deploy/api", "--", "broken")


def test_a_container_is_chosen_by_its_name(cluster, kubectl):
    cluster.add_deployment("production", "two", containers=("web", "sidecar"))
    for name in ("web", "sidecar"):
        programs = ContainerPrograms(programs={"who": ("/usr/bin/printf", name)})
        cluster.set_programs("production", programs, selector="app=two", container=name)
    assert kubectl("exec", "deploy/two", "-c", "sidecar", "--", "who") == "sidecar"
    assert kubectl("exec", "deploy/two", "--", "who") == "web"
    assert "container nosuch is not valid for pod" in kubectl.refused(
        "exec", "deploy/two", "-c", "nosuch", "--", "who"
    )


def test_a_process_ended_by_a_signal_gives_128_and_its_number(cluster, kubectl, tmp_path):
    script = tmp_path / "suicide"
    script.write_text(f"#!{sys.executable}\nimport os\nos.kill(os.getpid(), 9)\n")
    script.chmod(0o755)
    path = (tmp_path, "/usr/bin", "/bin", "/usr/local/bin")
    cluster.set_programs("production", ContainerPrograms(path=path))
    assert kubectl.run("exec", "deploy/api", "--", "suicide").returncode == 137


def test_a_process_does_not_outlive_the_simulator():
    with KubernetesSimulator() as sim:
        programs = ContainerPrograms(path=("/usr/bin", "/bin"))
        sim.add_pod("production", "lonely", programs=programs)
        with core_v1(sim) as api:
            socket = exec_stream(api, "lonely", ["sleep", "3600"])
    socket.update(timeout=5)
    deadline = time.monotonic() + 5
    while not sim.executions() and time.monotonic() < deadline:
        socket.update(timeout=0.05)
    assert executed(sim) == [(("sleep", "3600"), -9)]
    socket.sock.shutdown()


def test_a_pod_that_does_not_run_yet_takes_no_commands():
    with KubernetesSimulator(instant=False) as sim:
        sim.add_pod("production", "slow")
        url = f"{sim.url}/api/v1/namespaces/production/pods/slow/exec?command=ls"
        answer = httpx.post(url).json()
    assert "pod that is not running; current phase is Pending" in answer["message"]


def test_exec_by_spdy_is_refused_in_words(cluster):
    pod = cluster.pod_names("production")[0]
    url = f"{cluster.url}/api/v1/namespaces/production/pods/{pod}/exec?command=ls"
    answer = httpx.post(url, headers={"Connection": "Upgrade", "Upgrade": "SPDY/3.1"})
    assert answer.status_code == 400
    assert "does not speak SPDY; use kubectl 1.30 or newer" in answer.json()["message"]


def test_exec_over_tls_works_too(secure, kubectl_with):
    assert kubectl_with(secure)("exec", "-i", "deploy/api", "--", "cat", stdin="secret") == "secret"
