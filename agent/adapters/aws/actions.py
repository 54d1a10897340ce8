"""Typed actions on AWS: each changes exactly what it names, and asks once.

None of these operations takes an idempotency token (botocore's service models name none), so what was sent
and not answered is told as an unknown outcome. EC2 alone has a dry run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agent.adapters.aws.client import AwsApi, is_dry_run_success, request_id
from agent.adapters.aws.counting import AwsCounting
from agent.adapters.live_job import Handler, Job, OutcomeUnknownError, still_running
from agent.domain.errors import Reason, ServiceError
from agent.ports import CommandResult

_POLL_S = 2.0
_SSM_WAITS = frozenset({"Pending", "InProgress", "Delayed", "Cancelling"})
#: Of one instance; GetCommandInvocation gives at most 24,000 characters of each output:
#: https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetCommandInvocation.html
_SSM_OUTPUT = 2_000
_SSM_COMMENT = 100


class AwsActions:
    """Carries out the actions whose names begin with `aws.`."""

    def __init__(self, api: AwsApi) -> None:
        self._api = api
        self._counting = AwsCounting(api)

    def handlers(self) -> Mapping[str, Handler]:
        """What carries out which action."""
        return {
            "aws.elasticache_reboot": self._elasticache_reboot,
            "aws.rds_reboot": self._rds_reboot,
            "aws.ecs_force_new_deployment": self._ecs_force_new_deployment,
            "aws.ec2_reboot": self._ec2_reboot,
            "aws.asg_refresh": self._asg_refresh,
            "aws.ssm_run_document": self._ssm_run_document,
        }

    def _elasticache_reboot(self, job: Job) -> CommandResult:
        cluster, nodes = job.text("cluster"), job.texts("nodes")
        found = self._read(
            job, "elasticache", "describe_cache_clusters", CacheClusterId=cluster, ShowCacheNodeInfo=True
        )
        state = found["CacheClusters"][0]
        known = [node["CacheNodeId"] for node in state.get("CacheNodes", [])]
        missing = sorted(set(nodes) - set(known))
        if state["CacheClusterStatus"] != "available":
            return job.refused(f"the cache cluster {cluster} is {state['CacheClusterStatus']}, not available")
        if missing:
            return job.refused(
                f"the cache cluster {cluster} has no node {missing[0]}; it has {', '.join(known)}"
            )
        return self._change(
            job,
            "elasticache",
            "reboot_cache_cluster",
            CacheClusterId=cluster,
            CacheNodeIdsToReboot=list(nodes),
        )

    def _rds_reboot(self, job: Job) -> CommandResult:
        instance = job.text("instance")
        found = self._read(job, "rds", "describe_db_instances", DBInstanceIdentifier=instance)
        status = found["DBInstances"][0]["DBInstanceStatus"]
        if status != "available":
            return job.refused(f"the database {instance} is {status}, not available")
        return self._change(job, "rds", "reboot_db_instance", DBInstanceIdentifier=instance)

    def _ecs_force_new_deployment(self, job: Job) -> CommandResult:
        cluster, service = job.text("cluster"), job.text("service")
        tasks = self._counting.service_tasks(job.text("region"), cluster, service)
        if tasks > job.charged():
            return job.refused(
                f"the service {service} has {tasks} tasks now, {job.charged()} were charged; plan again"
            )
        return self._change(
            job, "ecs", "update_service", cluster=cluster, service=service, forceNewDeployment=True
        )

    def _asg_refresh(self, job: Job) -> CommandResult:
        group = job.text("group")
        instances = self._counting.autoscaling_instances(job.text("region"), group)
        if instances > job.charged():
            return job.refused(
                f"the group {group} has {instances} instances now, {job.charged()} were charged; plan again"
            )
        return self._change(job, "autoscaling", "start_instance_refresh", AutoScalingGroupName=group)

    def _ec2_reboot(self, job: Job) -> CommandResult:
        instances = list(job.texts("instances"))
        try:
            self._read(job, "ec2", "reboot_instances", InstanceIds=instances, DryRun=True)
        except ServiceError as error:
            if not is_dry_run_success(error):
                raise
        return self._change(job, "ec2", "reboot_instances", InstanceIds=instances)

    def _ssm_run_document(self, job: Job) -> CommandResult:
        instances = list(job.texts("instances"))
        sent = self._write(
            job,
            "ssm",
            "send_command",
            DocumentName=job.text("document"),
            InstanceIds=instances,
            Parameters=_document_parameters(job),
            Comment=f"oncall-agent {job.marker}"[:_SSM_COMMENT],
        )
        return self._followed(job, str(sent["Command"]["CommandId"]), instances)

    def _followed(self, job: Job, command_id: str, instances: Sequence[str]) -> CommandResult:
        """Wait until the document has ended on every instance."""
        runs: dict[str, Mapping[str, object]] = {}
        while True:
            for instance in instances:
                if instance not in runs and (run := self._invocation(job, command_id, instance)) is not None:
                    runs[instance] = run
            if len(runs) == len(instances):
                return _ssm_result(job, command_id, runs)
            if (ended := job.pause(_POLL_S)) is not None:
                return still_running(ended, f"the command {command_id}")

    def _invocation(self, job: Job, command_id: str, instance: str) -> Mapping[str, object] | None:
        """How the document ended on an instance; None as long as it runs."""
        try:
            found = self._read(
                job, "ssm", "get_command_invocation", CommandId=command_id, InstanceId=instance
            )
        except ServiceError as error:
            # SendCommand is eventually consistent: just after it, its invocation may not exist yet
            if error.reason is Reason.NOT_FOUND or error.retryable:
                return None
            raise OutcomeUnknownError(error) from error
        if found["Status"] in _SSM_WAITS:
            return None
        return {
            "status": found["Status"],
            "exit_code": found.get("ResponseCode"),
            "stdout": str(found.get("StandardOutputContent", ""))[-_SSM_OUTPUT:],
            "stderr": str(found.get("StandardErrorContent", ""))[-_SSM_OUTPUT:],
        }

    def _read(self, job: Job, service: str, operation: str, /, **parameters: object) -> Mapping[str, Any]:
        return self._api.call(service, operation, region=job.text("region"), **parameters)

    def _change(self, job: Job, service: str, operation: str, /, **parameters: object) -> CommandResult:
        """The one request that changes something."""
        if (ended := job.ended()) is not None:
            return ended
        self._write(job, service, operation, **parameters)
        return job.done()

    def _write(self, job: Job, service: str, operation: str, /, **parameters: object) -> Mapping[str, Any]:
        answer = job.changing(lambda: self._read(job, service, operation, **parameters))
        told = {key: value for key, value in parameters.items() if key != "Comment"}
        job.changed.append(
            {"request": f"{service}:{operation}", "request_id": request_id(answer), **told, **_facts(answer)}
        )
        return answer


def _document_parameters(job: Job) -> dict[str, list[str]]:
    given = job.action.arguments.get("parameters") or {}
    if not isinstance(given, Mapping):
        return {}
    return {
        str(name): [str(item) for item in value] if isinstance(value, list | tuple) else [str(value)]
        for name, value in given.items()
    }


def _ssm_result(job: Job, command_id: str, runs: Mapping[str, Mapping[str, object]]) -> CommandResult:
    failed = [f"{instance}: {run['status']}" for instance, run in runs.items() if run["status"] != "Success"]
    job.changed[-1] = {**job.changed[-1], "command_id": command_id, "runs": dict(runs)}
    return job.failed(f"the document did not succeed on {', '.join(failed)}") if failed else job.done()


def _facts(answer: Mapping[str, Any]) -> dict[str, object]:
    """What the answer says of the change itself."""
    facts: dict[str, object] = {}
    if "InstanceRefreshId" in answer:
        facts["instance_refresh_id"] = answer["InstanceRefreshId"]
    if "service" in answer and answer["service"].get("deployments"):
        facts["deployment"] = answer["service"]["deployments"][0].get("id", "")
    if "Command" in answer:
        facts["command_id"] = answer["Command"]["CommandId"]
    if "CacheCluster" in answer:
        facts["status"] = answer["CacheCluster"].get("CacheClusterStatus", "")
    if "DBInstance" in answer:
        facts["status"] = answer["DBInstance"].get("DBInstanceStatus", "")
    return facts
