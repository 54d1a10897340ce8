"""A simulated cluster with the real Kubernetes client in front of it, and the price of an action there."""

from agent.adapters.clock import SystemClock
from agent.adapters.kubernetes.actions import KubernetesActions
from agent.adapters.kubernetes.client import KubernetesApi
from agent.adapters.kubernetes.counting import KubernetesCounting
from agent.adapters.kubernetes.credentials import ClusterCredentials
from agent.adapters.live_actions import LiveActions
from agent.adapters.live_counter import LiveCounter
from agent.domain.command import PricedCommand, Refusal
from agent.domain.runbook import Action
from agent.safety import actions
from agent.safety.effects import EffectTables

TABLES = EffectTables.load()


class AdapterWorld:
    """`sim` is the cluster; everything else is ours."""

    def __init__(self, sim, *, token="", timeout_s=5.0, credentials=None, clock=None):
        self.sim = sim
        credentials = credentials or ClusterCredentials(server=sim.url, static_token=token)
        self.api = KubernetesApi(credentials, timeout_s=timeout_s)
        self.counter = LiveCounter(lambda: KubernetesCounting(self.api))
        self.actions = LiveActions(KubernetesActions(self.api).handlers(), clock=clock or SystemClock())

    def priced(self, name, **arguments):
        action = Action(name, arguments)
        found = actions.analyse(action, TABLES, counter=self.counter)
        assert not isinstance(found, Refusal), found
        words, analysis = found
        return action, PricedCommand(words, analysis.effects, access=analysis.access)

    def run(self, name, *, timeout_s=10.0, should_stop=lambda: False, **arguments):
        action, command = self.priced(name, **arguments)
        return self.run_priced(action, command, timeout_s=timeout_s, should_stop=should_stop)

    def run_priced(self, action, command, *, timeout_s=10.0, should_stop=lambda: False):
        return self.actions.run(
            action, command=command, marker="inc/steps/1/1", timeout_s=timeout_s, should_stop=should_stop
        )
