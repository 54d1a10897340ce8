"""Typed actions: each is priced, and may reach exactly what its kubectl command or AWS request does."""

import shlex

import pytest
from cluster_counts import TABLES, Counts, effects_of

from agent.domain.access import CloudRight, Network
from agent.domain.command import Refusal
from agent.domain.errors import ConfigError
from agent.domain.runbook import Action
from agent.safety import actions
from agent.safety.effects import EffectTables
from agent.safety.pricing import Cloud

REGION = {"region": "eu-west-1"}
EC2 = ["i-0123456789abcdef0", "i-01234567"]


def price(name, arguments, tables=TABLES):
    return actions.analyse(Action(name, arguments), tables, counter=Counts())


def in_prod(**arguments):
    return {"namespace": "prod", **arguments}


SAME_AS = [
    (
        "kubernetes.rollout_restart",
        in_prod(deployment="api"),
        "kubectl rollout restart deploy/api -n prod",
        "kubernetes.rollout_restart namespace=prod deployment=api",
    ),
    (
        "kubernetes.rollout_restart",
        in_prod(statefulset="db"),
        "kubectl rollout restart sts/db -n prod",
        "kubernetes.rollout_restart namespace=prod statefulset=db",
    ),
    (
        "kubernetes.delete_pod",
        in_prod(pod="api-1"),
        "kubectl delete pod api-1 -n prod",
        "kubernetes.delete_pod namespace=prod pod=api-1",
    ),
    (
        "kubernetes.delete_pod",
        in_prod(pods=["api-1", "api-2"]),
        "kubectl delete pod api-1 api-2 -n prod",
        "kubernetes.delete_pod namespace=prod 'pods=api-1 api-2'",
    ),
    (
        "kubernetes.delete_pod",
        in_prod(selector="app=api"),
        "kubectl delete pods -l app=api -n prod",
        "kubernetes.delete_pod namespace=prod selector=app=api",
    ),
    (
        "kubernetes.scale",
        in_prod(deployment="api", replicas=8),
        "kubectl scale deploy/api --replicas=8 -n prod",
        "kubernetes.scale namespace=prod replicas=8 deployment=api",
    ),
    (
        "kubernetes.scale",
        in_prod(statefulset="db", replicas=8, from_replicas=2),
        "kubectl scale sts/db --replicas=8 --current-replicas=2 -n prod",
        "kubernetes.scale namespace=prod replicas=8 from_replicas=2 statefulset=db",
    ),
    (
        "kubernetes.exec",
        in_prod(deployment="redis", command=["redis-cli", "DEL", "a b"]),
        "kubectl exec deploy/redis -n prod -- redis-cli DEL 'a b'",
        """kubernetes.exec namespace=prod "command=redis-cli DEL 'a b'" deployment=redis""",
    ),
    (
        "kubernetes.exec",
        in_prod(pod="redis-0", container="cache", command=("df", "-h")),
        "kubectl exec redis-0 -c cache -n prod -- df -h",
        "kubernetes.exec namespace=prod container=cache 'command=df -h' pod=redis-0",
    ),
    ("kubernetes.cordon", {"node": "n1"}, "kubectl cordon n1", "kubernetes.cordon node=n1"),
    ("kubernetes.uncordon", {"node": "n1"}, "kubectl uncordon n1", "kubernetes.uncordon node=n1"),
    ("kubernetes.drain", {"node": "n1"}, "kubectl drain n1 --ignore-daemonsets", "kubernetes.drain node=n1"),
    (
        "kubernetes.logs",
        in_prod(deployment="api", tail=20, previous=True),
        "kubectl logs deploy/api --tail=20 -p -n prod",
        "kubernetes.logs namespace=prod tail=20 previous=true deployment=api",
    ),
    (
        "kubernetes.logs",
        in_prod(pod="api-1", container="app"),
        "kubectl logs pod/api-1 -c app -n prod",
        "kubernetes.logs namespace=prod container=app pod=api-1",
    ),
    (
        "kubernetes.wait_ready",
        in_prod(deployment="api"),
        "kubectl rollout status deploy/api -n prod",
        "kubernetes.wait_ready namespace=prod deployment=api",
    ),
    (
        "kubernetes.wait_ready",
        in_prod(pod="api-1"),
        "kubectl wait --for=condition=Ready pod/api-1 -n prod",
        "kubernetes.wait_ready namespace=prod pod=api-1",
    ),
]


@pytest.mark.parametrize(("name", "arguments", "command", "words"), SAME_AS, ids=[row[3] for row in SAME_AS])
def test_an_action_costs_and_reaches_what_its_kubectl_command_does(name, arguments, command, words):
    argv, found = price(name, arguments)
    assert shlex.join(argv) == shlex.join(shlex.split(words))
    assert found == TABLES.analyse(shlex.split(command), counter=Counts())


def arn(service, rest, partition="aws", region="eu-west-1"):
    return f"arn:{partition}:{service}:{region}:*:{rest}"


AWS = [
    (
        "aws.elasticache_reboot",
        {**REGION, "cluster": "sessions-1", "nodes": ["0001", "0002"]},
        [("instance_reboot", "elasticache sessions-1: 0001,0002", 2, "")],
        [
            ("elasticache:DescribeCacheClusters", arn("elasticache", "cluster:sessions-1")),
            ("elasticache:RebootCacheCluster", arn("elasticache", "cluster:sessions-1")),
        ],
        "elasticache.eu-west-1.amazonaws.com:443",
    ),
    (
        "aws.rds_reboot",
        {**REGION, "instance": "orders"},
        [("instance_reboot", "rds orders", 1, "")],
        [
            ("rds:DescribeDBInstances", arn("rds", "db:orders")),
            ("rds:RebootDBInstance", arn("rds", "db:orders")),
        ],
        "rds.eu-west-1.amazonaws.com:443",
    ),
    (
        "aws.ecs_force_new_deployment",
        {**REGION, "cluster": "main", "service": "api"},
        [("rollout", "ecs main/api", 1, ""), ("pod_restart", "ecs main/api", 4, "")],
        [
            ("ecs:DescribeServices", arn("ecs", "service/main/api")),
            ("ecs:UpdateService", arn("ecs", "service/main/api")),
        ],
        "ecs.eu-west-1.amazonaws.com:443",
    ),
    (
        "aws.ec2_reboot",
        {**REGION, "instances": EC2},
        [("instance_reboot", f"ec2 {','.join(EC2)}", 2, "")],
        [("ec2:RebootInstances", arn("ec2", f"instance/{each}")) for each in EC2],
        "ec2.eu-west-1.amazonaws.com:443",
    ),
    (
        "aws.asg_refresh",
        {**REGION, "group": "workers"},
        [("instance_reboot", "autoscaling group workers", 7, "")],
        [
            ("autoscaling:DescribeAutoScalingGroups", "*"),
            (
                "autoscaling:StartInstanceRefresh",
                arn("autoscaling", "autoScalingGroup:*:autoScalingGroupName/workers"),
            ),
        ],
        "autoscaling.eu-west-1.amazonaws.com:443",
    ),
]


@pytest.mark.parametrize(("name", "arguments", "effects", "rights", "host"), AWS, ids=[row[0] for row in AWS])
def test_an_aws_action_costs_what_it_restarts_and_needs_no_other_right(
    name, arguments, effects, rights, host
):
    argv, found = price(name, arguments)
    assert argv[0] == name
    assert argv[1] == "region=eu-west-1"
    assert effects_of(found) == effects
    assert found.access.cloud == tuple(CloudRight(*right) for right in rights)
    assert found.hosts == found.access.hosts == (host,)
    assert found.access.network is Network.EGRESS


@pytest.mark.parametrize(
    ("region", "partition"), [("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov"), ("us-east-1", "aws")]
)
def test_a_right_is_in_the_partition_of_its_region(region, partition):
    _, found = price("aws.rds_reboot", {"region": region, "instance": "a"})
    assert {each.resource for each in found.access.cloud} == {arn("rds", "db:a", partition, region)}


def test_an_endpoint_of_the_configuration_stands_for_all_of_aws():
    tables = EffectTables(TABLES.tables, cloud=Cloud(endpoint="127.0.0.1:5000"))
    _, found = price("aws.rds_reboot", {**REGION, "instance": "a"}, tables)
    assert found.hosts == found.access.hosts == ("127.0.0.1:5000",)


SSM = """
ssm:
  documents:
    team-RestartWorker:
      effect: service_restart
      parameters: {Unit: name, Delays: positive}
    AWS-RunPatchBaseline:
      effect: [{class: config_change, target: patches, count: 2}, instance_reboot]
"""


@pytest.fixture
def ssm_tables(tmp_path):
    path = tmp_path / "team.yaml"
    path.write_text(SSM)
    return EffectTables.load([path])


def run(**more):
    return {**REGION, "document": "team-RestartWorker", "instances": EC2, **more}


def test_a_declared_document_costs_its_effect_for_each_instance(ssm_tables):
    arguments = run(parameters={"Unit": "worker", "Delays": ["1", "2"]})
    argv, found = price("aws.ssm_run_document", arguments, ssm_tables)
    target = f"ssm team-RestartWorker on {','.join(EC2)}"
    assert argv[-1] == 'parameters={"Delays": ["1", "2"], "Unit": ["worker"]}'
    assert effects_of(found) == [("service_restart", target, 2, "")]
    assert found.access.cloud == (
        CloudRight("ssm:SendCommand", arn("ssm", "document/team-RestartWorker")),
        CloudRight("ssm:SendCommand", arn("ec2", f"instance/{EC2[0]}")),
        CloudRight("ssm:SendCommand", arn("ec2", f"instance/{EC2[1]}")),
        CloudRight("ssm:GetCommandInvocation"),
    )


def test_a_document_may_have_several_effects(ssm_tables):
    managed = "mi-0123456789abcdef0"
    arguments = run(document="AWS-RunPatchBaseline", instances=[managed])
    _, found = price("aws.ssm_run_document", arguments, ssm_tables)
    target = f"ssm AWS-RunPatchBaseline on {managed}"
    assert effects_of(found) == [("config_change", "patches", 2, ""), ("instance_reboot", target, 1, "")]
    assert arn("ssm", f"managed-instance/{managed}") in {each.resource for each in found.access.cloud}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (run(document="AWS-RunShellScript"), "the document AWS-RunShellScript is not declared"),
        (run(parameters={"commands": "id"}), "no parameter commands declared; declared: Unit, Delays"),
        (run(parameters={"Unit": "a b; id"}), "Unit: 'a b; id' is not"),
        (run(parameters={"Delays": ["1", "0"]}), "Delays: '0' is not"),
        (run(parameters={"Delays": 1}), "1 is not a text or a list of texts"),
        (run(parameters={"Delays": []}), "is not a text or a list of texts"),
        (run(parameters="Unit=a"), "is not a mapping"),
        (run(instances=["mi-1"]), "is not a managed instance"),
    ],
)
def test_a_document_runs_only_as_it_was_declared(ssm_tables, arguments, reason):
    found = price("aws.ssm_run_document", arguments, ssm_tables)
    assert isinstance(found, Refusal)
    assert reason in str(found)


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ("{effect: read, parameters: {Unit: nonsense}}", "ssm.documents.team-A.parameters.Unit"),
        ("{effect: {class: service_restart, count: arguments}}", "ssm.documents.team-A.effect.count"),
        ("{parameters: {}}", "ssm.documents.team-A.effect"),
        ("{effect: nonsense}", "ssm.documents.team-A.effect"),
        ("{effect: read, instances: 3}", "ssm.documents.team-A.instances"),
    ],
)
def test_a_document_that_is_declared_wrongly_is_told_by_its_place(tmp_path, document, told):
    path = tmp_path / "team.yaml"
    path.write_text(f"ssm: {{documents: {{team-A: {document}}}}}")
    with pytest.raises(ConfigError) as error:
        EffectTables.load([path])
    assert told in str(error.value)


def test_a_document_is_declared_once(tmp_path):
    paths = [tmp_path / "a.yaml", tmp_path / "b.yaml"]
    for path in paths:
        path.write_text(SSM)
    with pytest.raises(ConfigError, match=r"a\.yaml has it already"):
        EffectTables.load(paths)


REFUSED = [
    ("kubernetes.rollout_restrt", {}, "did you mean kubernetes.rollout_restart"),
    ("rollout_restart", {}, "did you mean kubernetes.rollout_restart"),
    ("", {}, "known actions: "),
    ("kubernetes.rollout_restart", {}, "kubernetes.rollout_restart without namespace"),
    ("kubernetes.rollout_restart", in_prod(), "one of deployment, statefulset, daemonset, not none"),
    ("kubernetes.rollout_restart", in_prod(deployment="a", daemonset="b"), "not deployment and daemonset"),
    ("kubernetes.rollout_restart", in_prod(deploymnt="a"), "did you mean deployment"),
    ("kubernetes.rollout_restart", in_prod(pod="a"), "the argument pod is not known"),
    ("kubernetes.rollout_restart", in_prod(deployment="a/b"), "'a/b' is not a name"),
    ("kubernetes.rollout_restart", in_prod(deployment="-A"), "'-A' is not a name"),
    ("kubernetes.rollout_restart", in_prod(deployment=1), 'write it in quotes: "1"'),
    ("kubernetes.rollout_restart", in_prod(deployment=["a"]), "is not a text"),
    ("kubernetes.rollout_restart", in_prod(deployment=None), "is not a text"),
    ("kubernetes.rollout_restart", {"namespace": "*", "deployment": "a"}, "'*' is not a namespace"),
    ("kubernetes.rollout_restart", in_prod(deployment="lost"), "kubernetes.rollout_restart: cannot count"),
    ("kubernetes.delete_pod", in_prod(pods=[]), "is not a list"),
    ("kubernetes.delete_pod", in_prod(pods="a"), "is not a list"),
    ("kubernetes.delete_pod", in_prod(pods=["a", "a"]), "named twice"),
    ("kubernetes.delete_pod", in_prod(pods=["a", 1]), 'write it in quotes: "1"'),
    ("kubernetes.delete_pod", in_prod(pods=[f"p{n}" for n in range(65)]), "65 are more than 64"),
    ("kubernetes.delete_pod", in_prod(pod="a", selector="app=api"), "not pod and selector"),
    ("kubernetes.delete_pod", in_prod(pod="a", field_selector="x=y"), "field_selector without selector"),
    ("kubernetes.delete_pod", in_prod(selector="app=web"), "selects no pod"),
    ("kubernetes.delete_pod", in_prod(selector=" "), "selects everything"),
    ("kubernetes.scale", in_prod(deployment="api", replicas=0), "0 is not a number from 1 to 1000"),
    ("kubernetes.scale", in_prod(deployment="api", replicas="3"), "'3' is not a number"),
    ("kubernetes.scale", in_prod(deployment="api", replicas=True), "True is not a number"),
    ("kubernetes.scale", in_prod(daemonset="api", replicas=3), "the argument daemonset is not known"),
    ("kubernetes.exec", in_prod(pod="a"), "kubernetes.exec without command"),
    ("kubernetes.exec", in_prod(pod="a", command="redis-cli PING"), "write it as a list of words"),
    ("kubernetes.exec", in_prod(pod="a", command=[]), "write it as a list of words"),
    ("kubernetes.exec", in_prod(pod="a", command=["redis-cli", "-r", 3, "DEL"]), 'write it in quotes: "3"'),
    ("kubernetes.exec", in_prod(pod="a", command=["df", "a\nb"]), "cannot be printed"),
    ("kubernetes.exec", in_prod(pod="a", command=["sh", "-c", "id"]), "in pod/a"),
    ("kubernetes.exec", in_prod(pod="a", command=["kubectl", "get", "pods"]), "cannot be run inside a pod"),
    ("kubernetes.logs", in_prod(pod="a", previous="yes"), "is not true or false"),
    ("kubernetes.logs", in_prod(pod="a", tail=0), "0 is not a number from 1"),
    ("kubernetes.drain", {"node": "n9"}, "kubernetes.drain: cannot count"),
    ("kubernetes.cordon", {"node": "N1"}, "'N1' is not a name"),
    (
        "aws.elasticache_reboot",
        {**REGION, "cluster": "a", "nodes": "all"},
        "write a list, each one a cache node",
    ),
    ("aws.elasticache_reboot", {**REGION, "cluster": "a"}, "without nodes"),
    ("aws.elasticache_reboot", {**REGION, "cluster": "a", "nodes": [1]}, 'write it in quotes: "1"'),
    ("aws.elasticache_reboot", {"cluster": "a", "nodes": ["0001"]}, "without region"),
    ("aws.rds_reboot", {"region": "everywhere", "instance": "a"}, "is not an AWS region"),
    ("aws.rds_reboot", {**REGION, "instance": "a*"}, "is not a database instance"),
    ("aws.ec2_reboot", {**REGION, "instances": ["i-1"]}, "is not an instance"),
    ("aws.ec2_reboot", {**REGION, "instances": [EC2[0]] * 2}, "named twice"),
    ("aws.asg_refresh", {**REGION, "group": "lost"}, "cannot count the instances"),
    ("aws.asg_refresh", {**REGION, "group": "a*"}, "is not an Auto Scaling group"),
    ("aws.ecs_force_new_deployment", {**REGION, "cluster": "a", "service": "lost"}, "cannot count the tasks"),
]


@pytest.mark.parametrize(("name", "arguments", "reason"), REFUSED)
def test_what_an_action_does_not_take_is_refused_with_its_reason(name, arguments, reason):
    found = price(name, arguments)
    assert isinstance(found, Refusal), f"priced: {found}"
    assert reason in str(found)


def test_every_action_has_a_price():
    priced = {name for name, *_ in SAME_AS} | {name for name, *_ in AWS} | {"aws.ssm_run_document"}
    elsewhere = {name for name in actions.NAMES if name.startswith("keeptrusts.")}  # test_keeptrusts_actions
    assert priced == set(actions.NAMES) - elsewhere


def test_without_the_live_world_what_must_be_counted_is_refused():
    for name, arguments in (
        ("kubernetes.rollout_restart", in_prod(deployment="api")),
        ("aws.asg_refresh", {**REGION, "group": "workers"}),
        ("aws.ecs_force_new_deployment", {**REGION, "cluster": "main", "service": "api"}),
    ):
        assert "cannot count" in str(actions.analyse(Action(name, arguments), TABLES))
