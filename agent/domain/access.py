"""What one command may reach, beside its own empty directory: all else is closed to it.

The analysis states it, and everything behind the analysis enforces the same statement: the sandbox opens no
other file, port or socket, the metering proxy lets no other request through, and the least Role and the least
IAM policy are its sums.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class ClusterRight:
    """One thing to ask of the Kubernetes API, as a Role grants it.

    `resource` is the plural (`pods`), `group` "" for the core one, `subresource` what stands behind the
    slash (`exec`, `log`, `scale`). `namespace` "" is a cluster-wide resource, "*" all namespaces; `name` ""
    is any name.
    """

    verb: str
    resource: str
    group: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""


class ChangeForm(StrEnum):
    """How a change looks on the wire; a request of another form is not the one that was priced."""

    RESTART = "restart"
    UNDO = "undo"
    SCALE = "scale"
    DELETE = "delete"
    EXEC = "exec"
    CORDON = "cordon"
    UNCORDON = "uncordon"
    EVICT = "evict"


@dataclass(frozen=True, slots=True)
class ClusterChange:
    """One change of the cluster that an attempt was charged for.

    `at_most` requests of this form; `pods` is how many pods it may touch when the request arrives (a
    workload that has grown since is over it); `replicas` what a scale may set and `from_replicas` what must
    stand there (None: anything); `argv` what an exec may run; `names` the objects found when it was counted
    (empty: `right.name`). The `right` of an exec in a workload names the workload, whose pods it may enter.
    """

    right: ClusterRight
    form: ChangeForm
    at_most: int = 1
    pods: int | None = None
    replicas: int | None = None
    from_replicas: int | None = None
    argv: tuple[str, ...] = ()
    container: str = ""
    names: tuple[str, ...] = ()

    @property
    def rights(self) -> tuple[ClusterRight, ...]:
        """What a Role must grant for it.

        Running a command in a workload runs it in one of its pods, whose name nobody knows beforehand; by
        WebSocket that is a GET, which the API server takes for the verb `get`, and by SPDY a POST.
        """
        if self.form is not ChangeForm.EXEC:
            return (self.right,)
        name = self.right.name if self.right.resource == "pods" else ""
        exec_right = ClusterRight("create", "pods", "", "exec", self.right.namespace, name)
        return (replace(exec_right, verb="get"), exec_right)


@dataclass(frozen=True, slots=True)
class CloudRight:
    """One thing to ask of AWS, as an IAM policy grants it: `rds:DescribeDBInstances` on an ARN pattern."""

    action: str
    resource: str = "*"


class Network(StrEnum):
    """How a command reaches the network.

    NONE: not at all. CLUSTER: the metering proxy alone. EGRESS: the egress proxy alone, which connects to the
    command's `hosts`. DIRECT: TCP to the ports of its `hosts` (names are looked up by TCP); for programs that
    know no proxy.
    """

    NONE = "none"
    CLUSTER = "cluster"
    EGRESS = "egress"
    DIRECT = "direct"


class Capability(StrEnum):
    """A part of root's power that a command may keep (capabilities(7)); every other one is taken from it."""

    CHOWN = "chown"
    DAC_OVERRIDE = "dac_override"
    DAC_READ_SEARCH = "dac_read_search"
    FOWNER = "fowner"
    SETGID = "setgid"
    SETUID = "setuid"


@dataclass(frozen=True, slots=True)
class Access:
    """What one command needs. Empty: it computes, and sees nothing but the system's programs and libraries.

    `hosts` are `host:port`. `reads` and `writes` are absolute paths (a folder stands for all below it); of
    what is below `lists` it sees names and sizes and opens no file.
    `environment` names variables of the agent's own environment that this command gets. `local_sockets`:
    UNIX sockets (systemd, docker). `datagrams`: UDP (dig). `keeps_user`: stays the agent's user instead of an
    unused one (services, certificates). `capabilities` are all that it keeps of root's power, as far as the
    agent has them: a command that names files reads those that only root may. `alone`: it starts no further
    process, which is the one bound on processes that also holds for root.
    `executable_sha256`: what the content of a declared script must be at the moment when it is started.
    """

    network: Network = Network.NONE
    hosts: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    local_sockets: bool = False
    datagrams: bool = False
    keeps_user: bool = False
    capabilities: tuple[Capability, ...] = ()
    alone: bool = False
    cluster: tuple[ClusterRight, ...] = ()
    changes: tuple[ClusterChange, ...] = ()
    cloud: tuple[CloudRight, ...] = ()
    executable_sha256: str = ""


#: Nothing at all.
NO_ACCESS = Access()
