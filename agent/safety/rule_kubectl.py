"""The rules that price kubectl's commands, by the names that the effect tables use."""

from __future__ import annotations

from collections.abc import Mapping

from agent.safety.pricing import Rule
from agent.safety.rule_kubectl_changes import kubectl_delete, kubectl_restart, kubectl_scale
from agent.safety.rule_kubectl_exec import kubectl_exec
from agent.safety.rule_kubectl_nodes import kubectl_cordon, kubectl_drain
from agent.safety.rule_kubectl_reads import kubectl_ask, kubectl_logs, kubectl_read, kubectl_top

KUBECTL_RULES: Mapping[str, Rule] = {
    "kubectl_ask": kubectl_ask,
    "kubectl_cordon": kubectl_cordon,
    "kubectl_delete": kubectl_delete,
    "kubectl_drain": kubectl_drain,
    "kubectl_exec": kubectl_exec,
    "kubectl_logs": kubectl_logs,
    "kubectl_read": kubectl_read,
    "kubectl_restart": kubectl_restart,
    "kubectl_scale": kubectl_scale,
    "kubectl_top": kubectl_top,
}
