"""Events, as `kubectl describe` shows them under the object that they are about."""

from __future__ import annotations

from agent.simulators.kubernetes.objects import EVENTS, Object, name_of, namespace_of, suffix, timestamp
from agent.simulators.kubernetes.state import KubernetesState


def record_event(
    state: KubernetesState, about: Object, reason: str, message: str, *, kind: str = "Normal"
) -> None:
    """Write one event."""
    namespace, now = namespace_of(about) or "default", timestamp()
    state.create(
        EVENTS,
        {
            "metadata": {"name": f"{name_of(about)}.{suffix(10)}", "namespace": namespace},
            "involvedObject": {
                "apiVersion": about["apiVersion"],
                "kind": about["kind"],
                "name": name_of(about),
                "namespace": namespace_of(about),
                "uid": about["metadata"]["uid"],
            },
            "reason": reason,
            "message": message,
            "type": kind,
            "source": {"component": "simulated-controller"},
            "count": 1,
            "firstTimestamp": now,
            "lastTimestamp": now,
        },
    )
