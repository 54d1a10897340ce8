"""The pod keeps to the restricted Pod Security Standard: each of its controls is one test here.

https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest

Spec = dict[str, Any]
CONTROLS: dict[str, Callable[[Spec], Iterator[str]]] = {}

VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected",
    "secret",
}  # fmt: skip
SAFE_SYSCTLS = {
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
}  # fmt: skip


def control(check: Callable[[Spec], Iterator[str]]) -> Callable[[Spec], Iterator[str]]:
    CONTROLS[check.__name__] = check
    return check


def containers(spec: Spec) -> list[Spec]:
    return [
        *spec.get("containers", []),
        *spec.get("initContainers", []),
        *spec.get("ephemeralContainers", []),
    ]


def contexts(spec: Spec) -> list[tuple[str, Spec]]:
    own = [("pod", spec.get("securityContext", {}))]
    return own + [(each["name"], each.get("securityContext", {})) for each in containers(spec)]


@control
def windows_host_processes_are_off(spec: Spec) -> Iterator[str]:
    yield from (name for name, each in contexts(spec) if each.get("windowsOptions", {}).get("hostProcess"))


@control
def the_hosts_namespaces_are_not_shared(spec: Spec) -> Iterator[str]:
    yield from (key for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key))


@control
def no_container_is_privileged(spec: Spec) -> Iterator[str]:
    yield from (name for name, each in contexts(spec) if each.get("privileged"))


@control
def all_capabilities_are_dropped(spec: Spec) -> Iterator[str]:
    for each in containers(spec):
        capabilities = each.get("securityContext", {}).get("capabilities", {})
        if "ALL" not in capabilities.get("drop", []):
            yield each["name"]
        yield from (name for name in capabilities.get("add", []) if name != "NET_BIND_SERVICE")


@control
def volumes_are_of_the_allowed_kinds(spec: Spec) -> Iterator[str]:
    for volume in spec.get("volumes", []):
        yield from (volume.keys() - {"name"}) - VOLUMES


@control
def no_port_of_the_host_is_used(spec: Spec) -> Iterator[str]:
    for each in containers(spec):
        yield from (each["name"] for port in each.get("ports", []) if port.get("hostPort"))


@control
def no_probe_names_a_host(spec: Spec) -> Iterator[str]:
    for each in containers(spec):
        for kind in ("livenessProbe", "readinessProbe", "startupProbe"):
            for action in ("httpGet", "tcpSocket"):
                if each.get(kind, {}).get(action, {}).get("host"):
                    yield f"{each['name']} {kind}"


@control
def app_armor_is_not_switched_off(spec: Spec) -> Iterator[str]:
    allowed = (None, "RuntimeDefault", "Localhost")
    yield from (
        name for name, each in contexts(spec) if each.get("appArmorProfile", {}).get("type") not in allowed
    )


@control
def selinux_is_not_customised(spec: Spec) -> Iterator[str]:
    allowed = ("", "container_t", "container_init_t", "container_kvm_t", "container_engine_t")
    for name, each in contexts(spec):
        options = each.get("seLinuxOptions", {})
        if options.get("type", "") not in allowed or options.get("user") or options.get("role"):
            yield name


@control
def proc_is_masked_as_usual(spec: Spec) -> Iterator[str]:
    yield from (name for name, each in contexts(spec) if each.get("procMount", "Default") != "Default")


@control
def seccomp_is_on(spec: Spec) -> Iterator[str]:
    profiles = dict(contexts(spec))
    whole = profiles.pop("pod").get("seccompProfile", {}).get("type")
    for name, each in profiles.items():
        if each.get("seccompProfile", {}).get("type", whole) not in ("RuntimeDefault", "Localhost"):
            yield name


@control
def sysctls_are_safe(spec: Spec) -> Iterator[str]:
    for each in spec.get("securityContext", {}).get("sysctls", []):
        yield from {each["name"]} - SAFE_SYSCTLS


@control
def privileges_cannot_be_gained(spec: Spec) -> Iterator[str]:
    for each in containers(spec):
        if each.get("securityContext", {}).get("allowPrivilegeEscalation") is not False:
            yield each["name"]


@control
def everything_runs_as_another_user_than_root(spec: Spec) -> Iterator[str]:
    whole = spec.get("securityContext", {}).get("runAsNonRoot")
    for name, each in contexts(spec):
        if each.get("runAsNonRoot", whole) is not True:
            yield name


@control
def no_user_id_is_zero(spec: Spec) -> Iterator[str]:
    yield from (name for name, each in contexts(spec) if each.get("runAsUser") == 0)


@pytest.mark.parametrize("name", CONTROLS)
def test_the_pod_keeps_to_the_restricted_standard(name, manifests):
    (spec,) = [each["spec"]["template"]["spec"] for each in manifests if each["kind"] == "StatefulSet"]
    assert list(CONTROLS[name](spec)) == []


#: What breaks each control: where it is put, and what.
BROKEN: dict[str, tuple[str, dict[str, Any]]] = {
    "windows_host_processes_are_off": ("context", {"windowsOptions": {"hostProcess": True}}),
    "the_hosts_namespaces_are_not_shared": ("pod", {"hostPID": True}),
    "no_container_is_privileged": ("context", {"privileged": True}),
    "all_capabilities_are_dropped": ("context", {"capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]}}),
    "volumes_are_of_the_allowed_kinds": ("pod", {"volumes": [{"name": "x", "hostPath": {"path": "/"}}]}),
    "no_port_of_the_host_is_used": ("container", {"ports": [{"containerPort": 1, "hostPort": 1}]}),
    "no_probe_names_a_host": ("container", {"livenessProbe": {"httpGet": {"host": "10.0.0.1", "port": 1}}}),
    "app_armor_is_not_switched_off": ("context", {"appArmorProfile": {"type": "Unconfined"}}),
    "selinux_is_not_customised": ("context", {"seLinuxOptions": {"type": "spc_t"}}),
    "proc_is_masked_as_usual": ("context", {"procMount": "Unmasked"}),
    "seccomp_is_on": ("context", {"seccompProfile": {"type": "Unconfined"}}),
    "sysctls_are_safe": ("pod", {"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}}),
    "privileges_cannot_be_gained": ("context", {"allowPrivilegeEscalation": True}),
    "everything_runs_as_another_user_than_root": ("context", {"runAsNonRoot": False}),
    "no_user_id_is_zero": ("context", {"runAsUser": 0}),
}


@pytest.mark.parametrize("name", CONTROLS)
def test_what_breaks_the_standard_is_found(name, sqlite):
    (spec,) = [each["spec"]["template"]["spec"] for each in sqlite if each["kind"] == "StatefulSet"]
    broken = copy.deepcopy(spec)
    where, change = BROKEN[name]
    container = broken["containers"][0]
    places = {"pod": broken, "container": container, "context": container["securityContext"]}
    places[where].update(change)
    assert list(CONTROLS[name](broken)) != []


def test_the_namespace_enforces_the_standard(manifests):
    (namespace,) = [each for each in manifests if each["kind"] == "Namespace"]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_the_agents_own_files_cannot_be_changed(manifests):
    (spec,) = [each["spec"]["template"]["spec"] for each in manifests if each["kind"] == "StatefulSet"]
    for container in containers(spec):
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert "memory" in container["resources"]["limits"]
