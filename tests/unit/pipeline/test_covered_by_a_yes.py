"""The words that an approval's hash binds to: a yes must count after an upgrade, so they never change."""

from __future__ import annotations

from agent.domain.access import Access, ChangeForm, ClusterChange, ClusterRight, Network
from agent.domain.command import Filled, PricedCommand
from agent.domain.decisions import PlannedStep, Section
from agent.domain.effects import Effect, EffectClass
from agent.domain.runbook import Action
from agent.pipeline.planning import as_covered, covered_by_a_yes

_NO_ACCESS = (
    '"alone": false, "capabilities": [], "changes": [], "cloud": [], "cluster": [], "datagrams": false, '
    '"environment": [], "executable_sha256": "", "hosts": [], "keeps_user": false, "lists": [], '
    '"local_sockets": false, "network": "none", "reads": [], "writes": []'
)


def test_a_command_is_covered_with_its_effects_and_all_that_it_may_reach() -> None:
    right = ClusterRight("patch", "deployments", "apps", "", "prod", "api")
    command = PricedCommand(
        ("kubectl", "rollout"),
        (Effect(EffectClass.POD_RESTART, "deployment/api", 3, "prod"),),
        access=Access(Network.CLUSTER, changes=(ClusterChange(right, ChangeForm.RESTART, pods=3),)),
    )
    change = (
        '{"argv": [], "at_most": 1, "container": "", "form": "restart", "from_replicas": null, "names": [], '
        '"pods": 3, "replicas": null, "right": {"group": "apps", "name": "api", "namespace": "prod", '
        '"resource": "deployments", "subresource": "", "verb": "patch"}}'
    )
    access = _NO_ACCESS.replace('"none"', '"cluster"').replace('"changes": []', f'"changes": [{change}]')
    effect = '{"count": 3, "effect_class": "pod_restart", "namespace": "prod", "target": "deployment/api"}'
    assert as_covered(covered_by_a_yes(PlannedStep(2, "Restart", Section.STEPS, None, (command,)))) == (
        f'{{"action": null, "commands": [{{"access": {{{access}}}, "argv": ["kubectl", "rollout"], '
        f'"effects": [{effect}]}}], "index": 2, "section": "steps", "waits_for": []}}'
    )


def test_an_action_is_covered_with_its_arguments_in_order_of_their_names() -> None:
    action = Action("kubernetes.logs", {"tail": 20, "pod": "api-1"}, (Filled(0, 1, 2),))
    step = PlannedStep(1, "Look", Section.VERIFY, None, (PricedCommand(("logs",)),), action=action)
    assert as_covered(covered_by_a_yes(step)) == (
        '{"action": {"arguments": {"pod": "api-1", "tail": 20}, '
        '"filled": [{"end": 2, "start": 1, "word": 0}], '
        f'"name": "kubernetes.logs"}}, "commands": [{{"access": {{{_NO_ACCESS}}}, "argv": ["logs"], '
        '"effects": []}], "index": 1, "section": "verify", "waits_for": []}'
    )
