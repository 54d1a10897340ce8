"""aws: what each service's own endpoint is, and changes whose size only AWS knows."""

from __future__ import annotations

from dataclasses import replace

from agent.domain.access import CloudRight
from agent.domain.command import Refusal
from agent.domain.effects import Effect, EffectClass
from agent.safety.analysis import Analysis
from agent.safety.grammar import Invocation
from agent.safety.kinds import Findings
from agent.safety.pricing import Desk, analysis, by_table

_ALL_BUCKETS = "s3:ListAllMyBuckets"
#: Endpoints that are not named after their commands (AWS General Reference, service endpoints and quotas).
_ENDPOINTS = {"cloudwatch": "monitoring", "elbv2": "elasticloadbalancing"}


def aws(invocation: Invocation, found: Findings, desk: Desk) -> Analysis | Refusal:
    """What the table says; it reaches the service's endpoint in the region."""
    priced = by_table(invocation, found)
    return priced if isinstance(priced, Refusal) else _at_endpoint(priced, invocation, desk)


def aws_s3(invocation: Invocation, found: Findings, desk: Desk) -> Analysis | Refusal:
    """ls: the buckets, or what is in one of them; a bucket has a host of its own."""
    priced = aws(invocation, found, desk)
    if isinstance(priced, Refusal):
        return priced
    bucket = _bucket(invocation)
    right = CloudRight("s3:ListBucket", f"arn:aws:s3:::{bucket}") if bucket else CloudRight(_ALL_BUCKETS)
    return replace(priced, access=replace(priced.access, cloud=(right,)))


def aws_ecs_deployment(invocation: Invocation, found: Findings, desk: Desk) -> Analysis | Refusal:
    """update-service --force-new-deployment: one rollout, and every task of the service is replaced."""
    cluster, service = invocation.value("--cluster", "default"), invocation.value("--service")
    region = _region(invocation, desk)
    tasks = desk.counter.service_tasks(region, cluster, service) if desk.counter else None
    target = f"service {cluster}/{service}"
    if tasks is None:
        return _uncounted(invocation, f"the tasks of {target}")
    effects = (Effect(EffectClass.ROLLOUT, target), Effect(EffectClass.POD_RESTART, target, tasks))
    return _at_endpoint(analysis(invocation, effects, found), invocation, desk)


def aws_instance_refresh(invocation: Invocation, found: Findings, desk: Desk) -> Analysis | Refusal:
    """start-instance-refresh: every instance of the group is replaced."""
    group, region = invocation.value("--auto-scaling-group-name"), _region(invocation, desk)
    instances = desk.counter.autoscaling_instances(region, group) if desk.counter else None
    if instances is None:
        return _uncounted(invocation, f"the instances of the group {group}")
    effects = (Effect(EffectClass.INSTANCE_REBOOT, f"autoscaling group {group}", instances),)
    return _at_endpoint(analysis(invocation, effects, found), invocation, desk)


def _uncounted(invocation: Invocation, what: str) -> Refusal:
    hint = "it can be run where the agent reaches AWS and the group or service exists"
    return Refusal(f"{invocation.name}: cannot count {what} that it would replace", hint)


def _region(invocation: Invocation, desk: Desk) -> str:
    return invocation.value("--region") or desk.cloud.region


def _at_endpoint(priced: Analysis, invocation: Invocation, desk: Desk) -> Analysis:
    hosts = (desk.cloud.endpoint,) if desk.cloud.endpoint else _hosts(invocation, _region(invocation, desk))
    return replace(priced, hosts=hosts, access=replace(priced.access, hosts=hosts))


def _hosts(invocation: Invocation, region: str) -> tuple[str, ...]:
    """A region that is not known stands as `*`, which a list of allowed hosts does not let through."""
    if not region:
        return ("*.amazonaws.com:443",)
    service = invocation.path[0]
    host = f"{_ENDPOINTS.get(service, service)}.{region}.amazonaws.com:443"
    bucket = _bucket(invocation)
    return (host, f"{bucket}.{host}") if bucket else (host,)


def _bucket(invocation: Invocation) -> str:
    if invocation.path[0] != "s3" or not invocation.arguments:
        return ""
    return invocation.arguments[0].removeprefix("s3://").partition("/")[0]
