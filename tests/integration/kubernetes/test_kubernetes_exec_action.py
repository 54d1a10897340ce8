"""An exec runs exactly the words that were charged in one container, and ends with their exit code."""

import pytest
from adapter_world import AdapterWorld

from agent.adapters.kubernetes.credentials import credentials
from agent.adapters.kubernetes.exec import run_in_pod
from agent.adapters.kubernetes.objects import list_pods
from agent.adapters.live_job import Job, OutcomeUnknownError
from agent.config.sections import Kubernetes
from agent.domain.command import PricedCommand
from agent.domain.errors import Reason, ServiceError
from agent.domain.runbook import Action
from agent.simulators.kubernetes.simulator import ContainerPrograms, Disturbance, KubernetesSimulator

PROGRAMS = ContainerPrograms(
    programs={
        "printf": ("/usr/bin/printf",),
        "sleep": ("/usr/bin/sleep",),
        "false": ("/usr/bin/false",),
        "ls": ("/usr/bin/ls",),
        "head": ("/usr/bin/head",),
        "redis-cli": ("/usr/bin/echo", "OK"),
    },
    path=("/usr/bin",),
)


@pytest.fixture
def sim():
    with KubernetesSimulator() as simulator:
        simulator.add_deployment("production", "api", replicas=2, programs=PROGRAMS)
        yield simulator


@pytest.fixture
def world(sim):
    return AdapterWorld(sim)


def run(world, *words, timeout_s=10.0, should_stop=lambda: False, clock=None):
    """Below the pricing: these programs are in no effect table."""
    job = Job(
        Action("kubernetes.exec"),
        PricedCommand(words),
        "inc/steps/1/1",
        world.actions._clock.monotonic() + timeout_s,
        should_stop,
        world.actions._clock,
    )
    pod = list_pods(world.api, "production")[0]
    return run_in_pod(world.api, job, pod, container=pod.container, words=words)


def test_the_output_and_the_exit_code_are_the_commands_own(world):
    result = run(world, "printf", "%s", 'it\'s $HOME; `id` "quoted"\n  two')
    assert (result.exit_code, result.stdout) == (0, 'it\'s $HOME; `id` "quoted"\n  two')


def test_a_failing_command_is_not_a_failing_action(world):
    result = run(world, "ls", "/nonexistent")
    assert (result.exit_code, result.problem) == (2, "")
    assert "No such file" in result.stderr


def test_a_program_that_is_not_in_the_container_is_a_failure(world):
    result = run(world, "no-such-program")
    assert result.exit_code not in (0, None)
    assert result.stderr


def test_much_output_keeps_its_head_and_its_tail(world):
    result = run(world, "head", "-c", "300000", "/dev/zero")
    assert result.exit_code == 0
    assert "bytes left out" in result.stdout
    assert len(result.stdout) < 100_000


def test_a_command_that_does_not_end_in_time_has_an_unknown_outcome(world):
    result = run(world, "sleep", "5", timeout_s=0.5)
    assert (result.exit_code, result.timed_out) == (None, True)
    assert "may still be running" in result.problem


def test_a_human_who_takes_over_ends_the_waiting(world):
    asked = iter([False, False])
    result = run(world, "sleep", "5", should_stop=lambda: next(asked, True))
    assert (result.exit_code, result.interrupted) == (None, True)


@pytest.mark.parametrize(
    ("status", "reason", "words"),
    [
        (400, Reason.REJECTED, "was refused"),
        (401, Reason.AUTH, "not accepted"),
        (403, Reason.AUTH, "your Role misses create on pods/exec in production"),
        (404, Reason.NOT_FOUND, "there is none"),
        (409, Reason.REJECTED, "was refused"),
        (429, Reason.RATE_LIMITED, "not allowed now"),
    ],
)
def test_a_refused_exec_was_not_started(sim, world, status, reason, words):
    sim.disturb(Disturbance(status, resource="pods/exec"))
    with pytest.raises(ServiceError, match=words) as error:
        run(world, "false")
    assert error.value.reason is reason
    assert not isinstance(error.value, OutcomeUnknownError)
    assert sim.executions() == []


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_an_exec_that_the_server_failed_on_may_have_been_started(sim, world, status):
    sim.disturb(Disturbance(status, resource="pods/exec"))
    with pytest.raises(OutcomeUnknownError, match="may have been made"):
        run(world, "false")


def test_a_redis_command_is_run_as_it_was_priced(sim, world):
    result = world.run(
        "kubernetes.exec",
        namespace="production",
        deployment="api",
        command=["redis-cli", "FLUSHDB"],
    )
    assert [each.argv for each in sim.executions()] == [("redis-cli", "FLUSHDB")]
    assert (result.exit_code, result.stdout) == (0, "OK FLUSHDB\n")


def test_words_that_were_not_priced_are_not_run(sim, world):
    arguments = {"namespace": "production", "deployment": "api"}
    _, command = world.priced("kubernetes.exec", **arguments, command=["redis-cli", "PING"])
    other = Action("kubernetes.exec", {**arguments, "command": ["redis-cli", "FLUSHALL"]})
    result = world.run_priced(other, command)
    assert (result.exit_code, sim.executions()) == (1, [])
    assert "was not priced" in result.stderr


def test_a_ready_pod_of_the_workload_is_chosen(sim, world):
    sim.add_stateful_set("production", "redis", replicas=2, programs=PROGRAMS)
    sim.set_ready("production", "statefulset.kubernetes.io/pod-name=redis-0", ready=False)
    world.run("kubernetes.exec", namespace="production", statefulset="redis", command=["redis-cli", "PING"])
    assert [each.pod for each in sim.executions()] == ["redis-1"]


def test_a_workload_without_a_pod_is_a_failure(sim, world):
    action, command = world.priced(
        "kubernetes.exec", namespace="production", deployment="api", command=["redis-cli", "PING"]
    )
    sim.scale("production", "api", 0)
    result = world.run_priced(action, command)
    assert (result.exit_code, sim.executions()) == (1, [])
    assert "has no live pod" in result.stderr


def test_an_exec_goes_over_tls_with_our_token(tmp_path):
    with KubernetesSimulator(tls=True) as sim:
        sim.add_deployment("production", "api", replicas=1, programs=PROGRAMS)
        section = Kubernetes(kubeconfig=str(sim.kubeconfig(tmp_path / "kubeconfig")))
        world = AdapterWorld(sim, credentials=credentials(section))
        assert run(world, "printf", "over TLS").stdout == "over TLS"
