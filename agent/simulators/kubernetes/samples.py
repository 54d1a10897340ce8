"""Plain objects to fill a simulated cluster with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from agent.simulators.kubernetes.objects import Object, timestamp


def workload(
    name: str,
    replicas: int | None,
    labels: Mapping[str, str] | None = None,
    containers: Iterable[str] = (),
) -> Object:
    """A workload whose pods are labelled `app=NAME`, and with whatever else is given."""
    selector = {"app": name}
    names = list(containers) or [name]
    pods = [{"name": each, "image": f"registry.example.com/{each}:1.0"} for each in names]
    spec: Object = {
        "selector": {"matchLabels": selector},
        "template": {
            "metadata": {"labels": {**selector, **(labels or {})}},
            "spec": {"containers": pods, "restartPolicy": "Always"},
        },
    }
    if replicas is not None:
        spec["replicas"] = replicas
    return {"metadata": {"name": name, "labels": {**selector, **(labels or {})}}, "spec": spec}


_NODE_INFO = {
    "architecture": "amd64",
    "bootID": "11111111-2222-3333-4444-555555555555",
    "containerRuntimeVersion": "containerd://2.0.0",
    "kernelVersion": "6.8.0",
    "kubeProxyVersion": "v1.32.4",
    "kubeletVersion": "v1.32.4",
    "machineID": "simulated",
    "operatingSystem": "linux",
    "osImage": "Simulated Linux",
    "systemUUID": "11111111-2222-3333-4444-555555555555",
}


def node(name: str) -> Object:
    """A ready node."""
    room = {"cpu": "4", "memory": "16Gi", "pods": "110"}
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "KubeletReady",
        "message": "kubelet is posting ready status",
        "lastHeartbeatTime": timestamp(),
        "lastTransitionTime": timestamp(),
    }
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}},
        "spec": {},
        "status": {
            "capacity": room,
            "allocatable": room,
            "conditions": [ready],
            "addresses": [{"type": "Hostname", "address": name}],
            "nodeInfo": _NODE_INFO,
        },
    }
