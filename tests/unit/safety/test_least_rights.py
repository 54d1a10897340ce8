"""What runbooks need of Kubernetes and AWS is the sum of their steps, and no more."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from agent.domain.access import Access, ChangeForm, CloudRight, ClusterChange, ClusterRight
from agent.domain.decisions import Section
from agent.domain.runbook import Runbook
from agent.library import Parsed, parse
from agent.safety import least_policy, least_role
from agent.safety.effects import EffectTables
from agent.safety.least_rights import (
    LibraryRights,
    StepName,
    StepRights,
    cluster_rights,
    in_words,
    missing,
    rights_of,
)
from agent.safety.policy import Guard

TABLES = EffectTables.load()


def runbook(*steps: str, radius: str = "", parameters: Sequence[str] = (), name: str = "book") -> Runbook:
    lines = ["# Runbook: Book", "## Trigger Conditions", '- Alert contains: "x"', "## Blast Radius"]
    lines += [f"- {line}" for line in radius.split("; ") if line] or ["- requires_human_approval: true"]
    lines += ["## Parameters", *(f"- {each}" for each in parameters)] if parameters else []
    lines += ["## Steps"]
    for number, step in enumerate(steps, 1):
        lines += [
            f"### Step {number}: Do",
            "```action" if step.startswith("action:") else "```bash",
            step,
            "```",
        ]
    parsed = parse("\n".join(lines), path=f"{name}.md")
    assert isinstance(parsed, Parsed), parsed
    return parsed.runbook


def needed(*books: Runbook, namespaces: Sequence[str] = ()) -> LibraryRights:
    return rights_of(books, lambda each: Guard(TABLES, each.blast_radius, allowed_namespaces=namespaces))


def words(rights: LibraryRights) -> set[str]:
    return {in_words(right) for step in rights.steps for right in step.cluster}


def test_a_reading_step_needs_what_kubectl_asks_for():
    assert words(needed(runbook("kubectl get pod web-1 -n shop"))) == {"get on pods web-1 in shop"}


def test_exec_needs_get_and_create_on_pods_exec():
    rights = needed(runbook("kubectl exec -n shop deploy/cache -- redis-cli PING"))
    assert {"create on pods/exec in shop", "get on pods/exec in shop"} <= words(rights)
    assert "get on deployments.apps cache in shop" in words(rights)


def test_what_is_counted_before_a_restart_is_needed_too():
    rights = needed(
        runbook("kubectl rollout restart deploy/web -n shop", radius="max_rollouts: 1; max_pod_restarts: 2")
    )
    assert {"patch on deployments.apps web in shop", "get on deployments.apps web in shop"} <= words(rights)
    assert "list on pods in shop" in words(rights)


def test_a_parameter_is_any_name_and_a_choice_is_each_of_its_names():
    book = runbook(
        "kubectl get pod {{ pod }} -n {{ where }}",
        parameters=['pod: label "pod"; pattern /^[a-z0-9-]+$/', 'where: label "ns"; one of shop, bank'],
    )
    assert words(needed(book)) == {"get on pods in shop", "get on pods in bank"}


def test_a_namespace_that_is_only_known_later_is_all_namespaces():
    book = runbook("kubectl get pod web -n {{ where }}", parameters=['where: label "ns"; pattern /^[a-z]+$/'])
    assert words(needed(book)) == {"get on pods web in all namespaces"}


def test_where_only_some_namespaces_are_allowed_it_is_those():
    book = runbook("kubectl get pod web -n {{ where }}", parameters=['where: label "ns"; pattern /^[a-z]+$/'])
    assert words(needed(book, namespaces=["shop", "bank"])) == {
        "get on pods web in shop",
        "get on pods web in bank",
    }


def test_a_number_as_a_parameter_does_not_break_it():
    book = runbook(
        "kubectl logs web -n shop --tail={{ lines }}",
        parameters=['lines: label "lines"; pattern /^[0-9]{1,3}$/'],
    )
    assert words(needed(book)) == {"get on pods web in shop", "get on pods/log web in shop"}


def test_a_refused_step_is_not_granted_and_says_why():
    rights = needed(runbook("kubectl get pods -n shop", "kubectl delete pod web-1 -n shop"))
    (refused,) = rights.not_granted
    assert str(refused.step) == "book step 2"
    assert "max_pod_restarts" in refused.reason
    assert words(rights) == {"list on pods in shop"}


def test_how_much_a_limit_leaves_does_not_change_what_is_needed():
    book = runbook("kubectl scale deploy/web -n shop --replicas=50", radius="max_scales: 1")
    assert needed(book).not_granted == ()


def test_a_typed_action_needs_what_it_does():
    book = runbook(
        "action: kubernetes.rollout_restart\nnamespace: shop\ndeployment: '{{ app }}'",
        radius="max_rollouts: 1; max_pod_restarts: 2",
        parameters=['app: label "app"; pattern /^[a-z]+$/'],
    )
    rights = needed(book)
    assert rights.not_granted == ()
    assert "patch on deployments.apps in shop" in words(rights)


def test_asking_what_one_may_do_is_everybodys_right():
    assert words(needed(runbook("kubectl auth can-i get pods -n shop"))) == set()


@pytest.mark.parametrize("form", ChangeForm)
def test_every_form_of_change_has_its_rights(form):
    right = ClusterRight("patch", "deployments", "apps", "", "shop", "web")
    rights = set(cluster_rights(Access(changes=(ClusterChange(right, form),))))
    if form is ChangeForm.EXEC:
        assert ClusterRight("create", "pods", "", "exec", "shop") in rights
    else:
        assert right in rights


STEP = StepName("book", Section.STEPS, 1)
OTHER = StepName("other", Section.VERIFY, 2)


def role_of(*rights: ClusterRight) -> list[tuple[str, list[tuple[str, str, str]]]]:
    found = least_role.roles(LibraryRights((StepRights(STEP, rights),)))
    return [
        (role.namespace, [(rule.resource, " ".join(rule.names), " ".join(rule.verbs)) for rule in role.rules])
        for role in found
    ]


def test_verbs_on_the_same_things_stand_in_one_rule():
    rights = (ClusterRight("get", "pods", namespace="a"), ClusterRight("list", "pods", namespace="a"))
    assert role_of(*rights) == [("a", [("pods", "", "get list")])]


def test_any_name_includes_every_name():
    rights = (
        ClusterRight("get", "pods", namespace="a", name="x"),
        ClusterRight("get", "pods", namespace="a"),
    )
    assert role_of(*rights) == [("a", [("pods", "", "get")])]


def test_names_are_granted_by_name():
    rights = [ClusterRight("get", "pods", namespace="a", name=name) for name in ("x", "y")]
    assert role_of(*rights) == [("a", [("pods", "x y", "get")])]


def test_what_is_created_has_no_name_yet_but_a_subresource_has_its_owners():
    rights = (
        ClusterRight("create", "pods", subresource="exec", namespace="a", name="x"),
        ClusterRight("create", "pods", namespace="a", name="x"),
    )
    assert role_of(*rights) == [("a", [("pods", "", "create"), ("pods/exec", "x", "create")])]


def test_what_is_granted_everywhere_is_not_granted_again():
    rights = (ClusterRight("get", "pods", namespace="*"), ClusterRight("get", "pods", namespace="a"))
    assert role_of(*rights) == [("", [("pods", "", "get")])]


def test_what_is_in_no_namespace_is_in_the_cluster_role():
    assert role_of(ClusterRight("patch", "nodes")) == [("", [("nodes", "", "patch")])]


def test_the_yaml_is_what_was_summed_and_every_rule_says_who_needs_it():
    rights = LibraryRights(
        (
            StepRights(STEP, (ClusterRight("get", "pods", namespace="a", name="1"),)),
            StepRights(OTHER, (ClusterRight("list", "nodes"),)),
        )
    )
    text = least_role.as_yaml(rights, least_role.Identity("agent", "home"))
    documents = list(yaml.safe_load_all(text))
    assert [(each["kind"], each["metadata"].get("namespace")) for each in documents] == [
        ("ServiceAccount", "home"),
        ("ClusterRole", None),
        ("ClusterRoleBinding", None),
        ("Role", "a"),
        ("RoleBinding", "a"),
    ]
    assert documents[3]["rules"] == [
        {"apiGroups": [""], "resources": ["pods"], "resourceNames": ["1"], "verbs": ["get"]}
    ]
    assert documents[4]["subjects"] == [{"kind": "ServiceAccount", "name": "agent", "namespace": "home"}]
    comments = re.findall(r"^  # (.*)$", text, re.M)
    assert comments == ["other verify step 2", "book step 1"]


def test_the_yaml_shows_what_is_denied_and_what_is_not_granted():
    rights = needed(runbook("kubectl get pods -n shop", "kubectl delete pod web-1 -n shop"))
    text = least_role.as_yaml(rights, least_role.Identity())
    assert "#   read Secrets: get secrets\n" in text
    assert "# Nothing is granted for book step 2: " in text


def test_the_policy_allows_what_is_needed_and_shows_what_is_denied():
    cluster = "arn:aws:elasticache:*:*:cluster:prod-redis-1"
    rights = (
        CloudRight("elasticache:RebootCacheCluster", cluster),
        CloudRight("elasticache:DescribeCacheClusters", cluster),
        CloudRight("ec2:DescribeInstances"),
    )
    document = json.loads(least_policy.as_json(LibraryRights((StepRights(STEP, cloud=rights),))))
    *allows, deny = document["Statement"]
    assert [(each["Action"], each["Resource"]) for each in allows] == [
        (["ec2:DescribeInstances"], ["*"]),
        (["elasticache:DescribeCacheClusters", "elasticache:RebootCacheCluster"], [cluster]),
    ]
    assert deny["Effect"] == "Deny"
    assert {"rds:DeleteDBInstance", "eks:DeleteCluster", "iam:*"} <= set(deny["Action"])
    assert len({each["Sid"] for each in document["Statement"]}) == 3
    assert all(each["Sid"].isalnum() for each in document["Statement"])


def test_the_shown_denials_never_take_away_what_a_step_needs():
    rights = LibraryRights((StepRights(STEP, cloud=(CloudRight("ec2:TerminateInstances"),)),))
    deny = least_policy.policy(rights)["Statement"][-1]  # type: ignore[index]
    assert "ec2:TerminateInstances" not in deny["Action"]


class Denying:
    """A cluster that denies these."""

    def __init__(self, *denied: ClusterRight) -> None:
        self._denied = denied

    def denied(self, rights: Sequence[ClusterRight]) -> Sequence[ClusterRight]:
        return [right for right in rights if right in self._denied]


def test_what_is_missing_names_the_right_and_the_steps():
    rights = needed(runbook("kubectl exec -n production deploy/cache -- redis-cli PING", name="redis"))
    (found,) = missing(rights, Denying(ClusterRight("create", "pods", "", "exec", "production")))
    assert str(found) == "your Role misses create on pods/exec in production (redis step 1)"


def test_the_shipped_runbooks_are_granted_whole():
    folder = Path(__file__).parents[3] / "runbooks"
    parsed = [parse(path.read_text(), path=path.name) for path in sorted(folder.glob("*.md"))]
    rights = needed(*(each.runbook for each in parsed if isinstance(each, Parsed)))
    assert rights.not_granted == ()


def cloud(rights: LibraryRights) -> set[tuple[str, str]]:
    return {(right.action, right.resource) for step in rights.steps for right in step.cloud}


def test_an_action_on_aws_needs_its_own_actions_on_what_it_names():
    book = runbook(
        "action: aws.elasticache_reboot\nregion: us-east-1\ncluster: prod-redis-001\nnodes: ['0001']",
        radius="max_instance_reboots: 1",
    )
    assert cloud(needed(book)) == {
        ("elasticache:DescribeCacheClusters", "arn:aws:elasticache:us-east-1:*:cluster:prod-redis-001"),
        ("elasticache:RebootCacheCluster", "arn:aws:elasticache:us-east-1:*:cluster:prod-redis-001"),
    }


def test_a_parameter_is_any_part_of_a_resource():
    book = runbook(
        "action: aws.ec2_reboot\nregion: us-east-1\ninstances: ['{{ instance }}']",
        radius="max_instance_reboots: 1",
        parameters=['instance: label "instance"; pattern /^i-[0-9a-f]{17}$/'],
    )
    assert cloud(needed(book)) == {("ec2:RebootInstances", "arn:aws:ec2:us-east-1:*:instance/*")}


def test_what_is_counted_in_aws_is_needed_too():
    book = runbook(
        "aws ecs update-service --region us-east-1 --cluster shop --service web --force-new-deployment",
        "aws autoscaling start-instance-refresh --region us-east-1 --auto-scaling-group-name web",
        radius="max_rollouts: 1; max_pod_restarts: 5; max_instance_reboots: 5",
    )
    rights = needed(book)
    assert rights.not_granted == ()
    assert {"ecs:DescribeServices", "autoscaling:DescribeAutoScalingGroups"} <= {
        action for action, _ in cloud(rights)
    }
