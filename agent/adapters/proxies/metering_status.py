"""Answers of the metering proxy itself, as the Status objects that kubectl prints."""

from __future__ import annotations

import json
import re

from agent.domain.command import Refusal
from agent.safety.cluster_requests import ClusterRequest

_REASONS = {
    400: "BadRequest",
    403: "Forbidden",
    413: "RequestEntityTooLarge",
    502: "ServiceUnavailable",
    503: "ServiceUnavailable",
}
_DENIED_VERB = re.compile(r" cannot ([a-z]{1,16}) resource ")
JSON = (("content-type", "application/json"),)


def status_body(code: int, message: str) -> bytes:
    """A Kubernetes Status with our words."""
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": _REASONS.get(code, "InternalError"),
        "code": code,
    }
    return json.dumps(status).encode()


def words_of(refusal: Refusal) -> str:
    """A refusal as one line of the step's error output."""
    return f"refused by oncall-agent: {refusal}"


def missing_rule(request: ClusterRequest, *, said: str = "") -> str:
    """What the agent's Role would need for this request, in words; `said` may name another verb."""
    denied = _DENIED_VERB.search(said)
    verb = denied.group(1) if denied else request.verb
    kind = f"{request.resource}/{request.subresource}" if request.subresource else request.resource
    where = f"in {request.namespace}" if request.namespace else "in the whole cluster (a ClusterRole)"
    group = f" (apiGroup {request.group})" if request.group else ""
    both = "; exec by WebSocket needs get and create" if request.is_exec else ""
    return f"your Role misses {verb} on {kind}{group} {where}{both}"


def denied_body(request: ClusterRequest, upstream: bytes) -> bytes:
    """The cluster's own 403 with the rule that would mend it."""
    try:
        said = json.loads(upstream)
    except ValueError:
        said = None
    message = said.get("message") if isinstance(said, dict) else None
    if not isinstance(said, dict) or not isinstance(message, str):
        return status_body(403, f"the cluster forbids it; {missing_rule(request)}")
    return json.dumps({**said, "message": f"{message}; {missing_rule(request, said=message)}"}).encode()
