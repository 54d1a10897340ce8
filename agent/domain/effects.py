"""What a command does to the world, and the limits set on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from agent.domain.approvals import Demand


class EffectClass(StrEnum):
    """A kind of change; `max_<class>s` in a runbook's Blast Radius limits it."""

    READ = "read"
    POD_RESTART = "pod_restart"
    ROLLOUT = "rollout"
    SCALE = "scale"
    CACHE_OPERATION = "cache_operation"
    SERVICE_RESTART = "service_restart"
    INSTANCE_REBOOT = "instance_reboot"
    FEATURE_FLAG_CHANGE = "feature_flag_change"
    CONFIG_CHANGE = "config_change"
    QUEUE_OPERATION = "queue_operation"
    CERTIFICATE_RENEWAL = "certificate_renewal"
    LOG_ROTATION = "log_rotation"
    DATABASE_MAINTENANCE = "database_maintenance"
    NOTIFICATION = "notification"
    DELETE = "delete"
    SECRET_READ = "secret_read"  # noqa: S105  (the name of an effect class)
    OPAQUE = "opaque"

    @property
    def limit_key(self) -> str:
        """The Blast Radius key that limits this class."""
        return f"max_{self.value}s"


#: Classes that no plain limit grants.
NEVER_BY_LIMIT_ALONE = frozenset({EffectClass.DELETE, EffectClass.SECRET_READ, EffectClass.OPAQUE})


@dataclass(frozen=True, slots=True)
class Effect:
    """One command's change: a class, what it touches, and how many of it.

    `namespace` is the Kubernetes one, "" outside of a cluster; limits can be set for each one.
    """

    effect_class: EffectClass
    target: str
    count: int = 1
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class BlastRadius:
    """The limits that a runbook sets for one incident; a class not named is 0, reads are free.

    `allowance` names an entry of the configuration's `execution.allowances`; with it, and a limit, and an
    approval, the classes that no limit grants alone can be had. `demand`: whose yes it takes, and how many.
    """

    limits: Mapping[EffectClass, int] = field(default_factory=dict)
    requires_human_approval: bool | None = None
    max_duration_s: float | None = None
    max_commands: int | None = None
    allowance: str = ""
    namespaces: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    demand: Demand | None = None

    def limit(self, effect_class: EffectClass) -> int:
        """How many effects of this class one incident may have."""
        return self.limits.get(effect_class, 0)
