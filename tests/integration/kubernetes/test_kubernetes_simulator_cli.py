"""`oncall-agent simulate --kubernetes-port` plays a cluster that kubectl can use."""

import os
import subprocess
import sys

from kubernetes_words import Kubectl

COMMAND = (sys.executable, "-m", "agent", "simulate", "--pagerduty-port", "0", "--slack-port", "0")


def test_simulate_plays_a_cluster_and_prints_what_changes(tmp_path, needs_web_socket_exec):
    config = tmp_path / "kubeconfig"
    argv = [*COMMAND, "--kubernetes-port", "0", "--kubeconfig", str(config)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as playing:
        for line in playing.stdout:
            if "until Ctrl-C" in line:
                break
        kubectl = Kubectl(tmp_path, config)
        answered = kubectl("exec", "deploy/redis-primary", "--", "redis-cli", "PING")
        kubectl("rollout", "restart", "deploy/api-gateway")
        told = playing.stdout.readline() + playing.stdout.readline()
        playing.terminate()
        playing.communicate(timeout=30)
    assert (playing.returncode, answered) == (0, "OK\n")
    assert "redis-cli PING" in told
    assert "patch deployments production/api-gateway" in told


def test_a_kubeconfig_without_a_cluster_is_wrong_usage(tmp_path):
    argv = [*COMMAND, "--kubeconfig", str(tmp_path / "kubeconfig")]
    done = subprocess.run(argv, capture_output=True, text=True, env={**os.environ, "HOME": str(tmp_path)})
    assert done.returncode == 2
    assert "add --kubernetes-port" in done.stderr
