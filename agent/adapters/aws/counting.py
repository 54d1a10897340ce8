"""Counts instances and tasks in AWS as they are now."""

from __future__ import annotations

from agent.adapters.aws.client import AwsApi
from agent.domain.errors import Reason, ServiceError


class AwsCounting:
    """The AWS half of ports.Counter, with errors told: ServiceError, where the port says None."""

    def __init__(self, api: AwsApi) -> None:
        self._api = api

    def autoscaling_instances(self, region: str, group: str) -> int:
        """How many instances a group has or wants, whichever is more."""
        answer = self._api.call(
            "autoscaling", "describe_auto_scaling_groups", region=region, AutoScalingGroupNames=[group]
        )
        found = [each for each in answer["AutoScalingGroups"] if each["AutoScalingGroupName"] == group]
        if len(found) != 1:
            raise _missing(f"there is no Auto Scaling group {group} in {region}")
        return max(len(found[0].get("Instances", [])), int(found[0]["DesiredCapacity"]))

    def service_tasks(self, region: str, cluster: str, service: str) -> int:
        """How many tasks a service runs, starts or wants, whichever is more."""
        answer = self._api.call(
            "ecs", "describe_services", region=region, cluster=cluster, services=[service]
        )
        found = [each for each in answer["services"] if each.get("status") == "ACTIVE"]
        if len(found) != 1:
            raise _missing(f"there is no active ECS service {service} in the cluster {cluster} in {region}")
        counted = found[0]
        return max(int(counted["desiredCount"]), int(counted["runningCount"] + counted["pendingCount"]))


def _missing(words: str) -> ServiceError:
    return ServiceError("AWS", Reason.NOT_FOUND, words, retryable=False)
