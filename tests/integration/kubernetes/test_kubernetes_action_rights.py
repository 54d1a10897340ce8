"""An action needs no other right than those that it was priced with and those of counting it anew."""

import pytest
from adapter_world import AdapterWorld

from agent.adapters.fake_clock import FakeClock
from agent.domain.access import ChangeForm, ClusterRight
from agent.simulators.kubernetes.simulator import ContainerPrograms, KubernetesSimulator

AGENT = {"kind": "ServiceAccount", "name": "oncall-agent", "namespace": "production"}
API = "rbac.authorization.k8s.io"


@pytest.fixture
def sim():
    programs = ContainerPrograms(programs={"redis-cli": ("/usr/bin/echo",)})
    with KubernetesSimulator() as simulator:
        simulator.add_deployment("production", "api", replicas=2, programs=programs)
        simulator.set_log("production", "a line\n", selector="app=api")
        yield simulator


def rule(right):
    resource = f"{right.resource}/{right.subresource}" if right.subresource else right.resource
    names = {"resourceNames": [right.name]} if right.name else {}
    return {"apiGroups": [right.group], "resources": [resource], "verbs": [right.verb], **names}


def grant(sim, rights):
    """A Role for each namespace, and a ClusterRole for what has none or is in all of them."""
    for namespace in sorted({right.namespace for right in rights}):
        rules = [rule(right) for right in rights if right.namespace == namespace]
        wide = namespace in ("", "*")
        kind, name = ("ClusterRole", f"wide-{len(namespace)}") if wide else ("Role", "narrow")
        metadata = {"name": name} if wide else {"name": name, "namespace": namespace}
        api = {"apiVersion": f"{API}/v1", "metadata": metadata}
        sim.apply({**api, "kind": kind, "rules": rules})
        reference = {"apiGroup": API, "kind": kind, "name": name}
        sim.apply({**api, "kind": f"{kind}Binding", "roleRef": reference, "subjects": [AGENT]})


def needed(command):
    """As the least Role is made: reads, changes, a WebSocket exec's `get`, and the counter's own reads."""
    rights = [*command.access.cluster]
    for change in command.access.changes:
        right = change.right
        if change.form is ChangeForm.EXEC:
            pods = {"resource": "pods", "group": "", "subresource": "exec", "namespace": right.namespace}
            rights += [ClusterRight(verb, **pods) for verb in ("get", "create")]
        else:
            rights.append(right)
        if change.form in (ChangeForm.RESTART, ChangeForm.SCALE):
            rights.append(ClusterRight("get", right.resource, right.group, "", right.namespace, right.name))
            rights.append(ClusterRight("list", "pods", namespace=right.namespace))
    return rights


ACTIONS = [
    ("kubernetes.rollout_restart", {"deployment": "api"}),
    ("kubernetes.scale", {"deployment": "api", "replicas": 3}),
    ("kubernetes.scale", {"deployment": "api", "replicas": 3, "from_replicas": 2}),
    ("kubernetes.delete_pod", {"pod": "THE POD"}),
    ("kubernetes.delete_pod", {"pods": ["THE POD"]}),
    ("kubernetes.delete_pod", {"selector": "app=api"}),
    ("kubernetes.exec", {"deployment": "api", "command": ["redis-cli", "PING"]}),
    ("kubernetes.exec", {"pod": "THE POD", "command": ["redis-cli", "FLUSHDB"]}),
    ("kubernetes.cordon", {"node": "node-a"}),
    ("kubernetes.uncordon", {"node": "node-a"}),
    ("kubernetes.drain", {"node": "node-a"}),
    ("kubernetes.logs", {"deployment": "api"}),
    ("kubernetes.logs", {"pod": "THE POD"}),
    ("kubernetes.wait_ready", {"deployment": "api"}),
    ("kubernetes.wait_ready", {"pod": "THE POD"}),
]


@pytest.mark.parametrize(("name", "arguments"), ACTIONS)
def test_the_priced_rights_are_enough(sim, name, arguments):
    pod = sim.pod_names("production")[0]
    filled = {
        key: pod if value == "THE POD" else [pod] if value == ["THE POD"] else value
        for key, value in arguments.items()
    }
    if "node" not in filled:
        filled["namespace"] = "production"
    action, command = AdapterWorld(sim).priced(name, **filled)
    token = sim.add_service_account("production", "oncall-agent")
    grant(sim, needed(command))
    world = AdapterWorld(sim, token=token, clock=FakeClock())
    result = world.run_priced(action, command, timeout_s=600)
    assert result.exit_code == 0, result
