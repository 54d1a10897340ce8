"""Typed actions on AWS: what each one restarts, and the rights that it needs there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agent.domain.access import Access, CloudRight, Network
from agent.domain.command import Refusal
from agent.domain.effects import Effect, EffectClass
from agent.ports import Counter
from agent.safety.actions_arguments import Argument, Arguments, Form, Table, Text, Texts
from agent.safety.analysis import Analysis
from agent.safety.effects import EffectTables
from agent.safety.tables import Tables

_REGION = Argument("region", Text(r"[a-z]{2}(-[a-z]{2,12}){1,2}-[0-9]", "an AWS region"))
_CACHE = Text(r"[a-z]([a-z0-9-]{0,48}[a-z0-9])?", "a cache cluster")
_CACHE_NODE = Text(r"[0-9]{4}", "a cache node")
_DATABASE = Text(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", "a database instance")
_ECS = Text(r"[A-Za-z0-9_-]{1,255}", "a name of ECS")
_GROUP = Text(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}", "an Auto Scaling group")
_INSTANCE = Text(r"i-[0-9a-f]{8}([0-9a-f]{9})?", "an instance")
_MANAGED = Text(r"(i-[0-9a-f]{8}([0-9a-f]{9})?|mi-[0-9a-f]{17})", "a managed instance")
_DOCUMENT = Text(r"[A-Za-z0-9_.-]{3,128}", "a document")
#: RebootCacheCluster names nodes one by one, and a Memcached cluster has at most 60:
#: https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/quota-limits.html
_MOST_NODES = 60
_MOST_REBOOTED = 50
#: SendCommand takes at most 50 instance ids:
#: https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_SendCommand.html
_MOST_MANAGED = 50


@dataclass(frozen=True, slots=True)
class World:
    """What a price is made from beside the arguments."""

    tables: Tables
    counter: Counter | None


@dataclass(frozen=True, slots=True)
class Price:
    """Effects, and the rights that they take."""

    effects: tuple[Effect, ...]
    cloud: tuple[CloudRight, ...]


@dataclass(frozen=True, slots=True)
class AwsAction:
    """What it takes, the service whose endpoint it asks, and its price."""

    form: Form
    service: str
    price: Callable[[Arguments, World], Price | Refusal]


def _arn(arguments: Arguments, service: str, rest: str) -> str:
    """In any account: the credentials choose it."""
    region = arguments.text("region")
    partition = {"cn": "aws-cn", "us-gov": "aws-us-gov"}.get(
        region.rpartition("-")[0].rpartition("-")[0], "aws"
    )
    return f"arn:{partition}:{service}:{region}:*:{rest}"


def _cache_nodes(arguments: Arguments, _world: World) -> Price:
    cluster, nodes = arguments.text("cluster"), arguments.texts("nodes")
    where = _arn(arguments, "elasticache", f"cluster:{cluster}")
    target = f"elasticache {cluster}: {','.join(nodes)}"
    return Price(
        (Effect(EffectClass.INSTANCE_REBOOT, target, len(nodes)),),
        (
            CloudRight("elasticache:DescribeCacheClusters", where),
            CloudRight("elasticache:RebootCacheCluster", where),
        ),
    )


def _database(arguments: Arguments, _world: World) -> Price:
    instance = arguments.text("instance")
    where = _arn(arguments, "rds", f"db:{instance}")
    return Price(
        (Effect(EffectClass.INSTANCE_REBOOT, f"rds {instance}"),),
        (CloudRight("rds:DescribeDBInstances", where), CloudRight("rds:RebootDBInstance", where)),
    )


def _ecs_service(arguments: Arguments, world: World) -> Price | Refusal:
    region, cluster, service = (arguments.text(name) for name in ("region", "cluster", "service"))
    tasks = world.counter.service_tasks(region, cluster, service) if world.counter else None
    target = f"ecs {cluster}/{service}"
    if tasks is None:
        return _uncounted(arguments, f"the tasks of {target}")
    where = _arn(arguments, "ecs", f"service/{cluster}/{service}")
    return Price(
        (Effect(EffectClass.ROLLOUT, target), Effect(EffectClass.POD_RESTART, target, tasks)),
        (CloudRight("ecs:DescribeServices", where), CloudRight("ecs:UpdateService", where)),
    )


def _instances(arguments: Arguments, _world: World) -> Price:
    names = arguments.texts("instances")
    return Price(
        (Effect(EffectClass.INSTANCE_REBOOT, f"ec2 {','.join(names)}", len(names)),),
        tuple(
            CloudRight("ec2:RebootInstances", _arn(arguments, "ec2", f"instance/{name}")) for name in names
        ),
    )


def _group(arguments: Arguments, world: World) -> Price | Refusal:
    region, group = arguments.text("region"), arguments.text("group")
    count = world.counter.autoscaling_instances(region, group) if world.counter else None
    target = f"autoscaling group {group}"
    if count is None:
        return _uncounted(arguments, f"the instances of the {target}")
    where = _arn(arguments, "autoscaling", f"autoScalingGroup:*:autoScalingGroupName/{group}")
    return Price(
        (Effect(EffectClass.INSTANCE_REBOOT, target, count),),
        # The Describe calls of Auto Scaling know no resource:
        # https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2autoscaling.html
        (
            CloudRight("autoscaling:DescribeAutoScalingGroups"),
            CloudRight("autoscaling:StartInstanceRefresh", where),
        ),
    )


def _document(arguments: Arguments, world: World) -> Price | Refusal:
    name, instances = arguments.text("document"), arguments.texts("instances")
    document = world.tables.documents.get(name)
    if document is None:
        hint = "declare it under `ssm.documents` in an effect table of yours, with its effect and parameters"
        return Refusal(f"{arguments.action}: the document {name} is not declared", hint)
    for key, values in arguments.table("parameters").items():
        kind = document.parameters.get(key)
        if kind is None:
            known = ", ".join(document.parameters) or "none"
            return Refusal(
                f"{arguments.action}: {name} has no parameter {key} declared", f"declared: {known}"
            )
        for value in values:
            checked = kind.check(value)
            if isinstance(checked, Refusal):
                return Refusal(f"{arguments.action}: {key}: {checked.reason}", checked.hint)
    target = f"ssm {name} on {','.join(instances)}"
    effects = tuple(
        Effect(rule.effect_class, rule.target or target, int(rule.count) * len(instances))
        for rule in document.effects
    )
    return Price(effects, _rights_to_send(arguments))


def _rights_to_send(arguments: Arguments) -> tuple[CloudRight, ...]:
    """Sending is a right on the document and on each instance; the answer's read knows no resource:
    https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssystemsmanager.html
    """
    places = [_arn(arguments, "ssm", f"document/{arguments.text('document')}")]
    for name in arguments.texts("instances"):
        managed = name.startswith("mi-")
        places.append(
            _arn(
                arguments, *(("ssm", f"managed-instance/{name}") if managed else ("ec2", f"instance/{name}"))
            )
        )
    send = tuple(CloudRight("ssm:SendCommand", place) for place in places)
    return (*send, CloudRight("ssm:GetCommandInvocation"))


def _uncounted(arguments: Arguments, what: str) -> Refusal:
    hint = "it can be run where the agent reaches AWS with rights to describe them"
    return Refusal(f"{arguments.action}: cannot count {what}", hint)


ACTIONS: Mapping[str, AwsAction] = {
    "aws.elasticache_reboot": AwsAction(
        Form((_REGION, Argument("cluster", _CACHE), Argument("nodes", Texts(_CACHE_NODE, _MOST_NODES)))),
        "elasticache",
        _cache_nodes,
    ),
    "aws.rds_reboot": AwsAction(Form((_REGION, Argument("instance", _DATABASE))), "rds", _database),
    "aws.ecs_force_new_deployment": AwsAction(
        Form((_REGION, Argument("cluster", _ECS), Argument("service", _ECS))), "ecs", _ecs_service
    ),
    "aws.ec2_reboot": AwsAction(
        Form((_REGION, Argument("instances", Texts(_INSTANCE, _MOST_REBOOTED)))), "ec2", _instances
    ),
    "aws.asg_refresh": AwsAction(Form((_REGION, Argument("group", _GROUP))), "autoscaling", _group),
    "aws.ssm_run_document": AwsAction(
        Form(
            (
                _REGION,
                Argument("document", _DOCUMENT),
                Argument("instances", Texts(_MANAGED, _MOST_MANAGED)),
                Argument("parameters", Table(), required=False),
            )
        ),
        "ssm",
        _document,
    ),
}


def analyse(arguments: Arguments, tables: EffectTables, counter: Counter | None) -> Analysis | Refusal:
    """Effects, rights, and the endpoint of the service in the region."""
    action = ACTIONS[arguments.action]
    price = action.price(arguments, World(tables.tables, counter))
    if isinstance(price, Refusal):
        return price
    region = arguments.text("region")
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    host = tables.cloud.endpoint or f"{action.service}.{region}.{suffix}:443"
    return Analysis(price.effects, (host,), access=Access(Network.EGRESS, (host,), cloud=price.cloud))
