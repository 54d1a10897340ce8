"""The least IAM policy, with the denials that a reviewer looks for written out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from agent.safety.least_rights import LibraryRights, StepName

#: Not needed, since IAM denies what nothing allows, but they hold against any other policy of the role too,
#: and whoever reviews this one sees at once what it can never do.
_DENIED = (
    "autoscaling:DeleteAutoScalingGroup",
    "dynamodb:DeleteTable",
    "ec2:TerminateInstances",
    "ecs:DeleteCluster",
    "ecs:DeleteService",
    "eks:DeleteCluster",
    "eks:DeleteNodegroup",
    "elasticache:DeleteCacheCluster",
    "elasticache:DeleteReplicationGroup",
    "iam:*",
    "kms:ScheduleKeyDeletion",
    "lambda:DeleteFunction",
    "organizations:*",
    "rds:DeleteDBCluster",
    "rds:DeleteDBInstance",
    "s3:DeleteBucket",
)


def policy(rights: LibraryRights) -> Mapping[str, object]:
    """The policy document: what the steps need, resource by resource, then the shown denials."""
    by_resource: dict[str, set[str]] = {}
    for step in rights.steps:
        for right in step.cloud:
            by_resource.setdefault(right.resource, set()).add(right.action)
    allowed = {action for actions in by_resource.values() for action in actions}
    grouped: dict[tuple[str, ...], list[str]] = {}
    for resource, actions in sorted(by_resource.items()):
        grouped.setdefault(tuple(sorted(actions)), []).append(resource)
    statements = [_allow(number, actions, grouped[actions]) for number, actions in enumerate(grouped, 1)]
    return {"Version": "2012-10-17", "Statement": [*statements, _deny(allowed)]}


def _allow(number: int, actions: Sequence[str], resources: Sequence[str]) -> Mapping[str, object]:
    return {
        "Sid": f"Runbooks{number}",
        "Effect": "Allow",
        "Action": list(actions),
        "Resource": list(resources),
    }


def _deny(allowed: set[str]) -> Mapping[str, object]:
    services = {action.partition(":")[0] for action in allowed}
    shown = [
        each
        for each in _DENIED
        if each not in allowed and not (each.endswith(":*") and each[:-2] in services)
    ]
    return {"Sid": "NeverWhateverElseAllows", "Effect": "Deny", "Action": shown, "Resource": "*"}


def as_json(rights: LibraryRights) -> str:
    """The policy document, ready for AWS."""
    return json.dumps(policy(rights), indent=2)


def reasons(rights: LibraryRights) -> tuple[tuple[str, str, tuple[StepName, ...]], ...]:
    """(action, resource, steps): which step needs what; the document itself has no room for it."""
    found: dict[tuple[str, str], dict[StepName, None]] = {}
    for step in rights.steps:
        for right in step.cloud:
            found.setdefault((right.action, right.resource), {})[step.step] = None
    return tuple((action, resource, tuple(steps)) for (action, resource), steps in sorted(found.items()))
