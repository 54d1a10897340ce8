"""Ties a change to the state that was counted: the cluster refuses it if the object has changed since.

The API server compares `metadata.resourceVersion` of an update or a patch with the stored object's and
answers 409: https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from agent.domain.access import ChangeForm
from agent.domain.command import Refusal
from agent.safety.cluster_bodies import JSON_PATCH, at, decoded
from agent.safety.cluster_requests import ClusterRequest

_COUNTED = frozenset({ChangeForm.RESTART, ChangeForm.UNDO, ChangeForm.SCALE})


def pinned(form: ChangeForm, request: ClusterRequest, body: bytes, *, version: str) -> bytes | Refusal:
    """The body with the version that was looked at; as it is if nothing was counted on the object itself."""
    if form not in _COUNTED or not version:
        return body
    value = decoded(body)
    if request.content_type == JSON_PATCH and isinstance(value, list):
        test = {"op": "test", "path": "/metadata/resourceVersion", "value": version}
        return json.dumps([test, *value]).encode()
    if not isinstance(value, Mapping):
        return Refusal(f"{request} has no object as its body", "send one")
    stated = at(value, "metadata", "resourceVersion")
    if stated not in (None, "", version):
        return Refusal(
            f"{request.resource}/{request.name} has changed since kubectl looked at it", "try again"
        )
    metadata = at(value, "metadata")
    kept = metadata if isinstance(metadata, Mapping) else {}
    return json.dumps({**value, "metadata": {**kept, "resourceVersion": version}}).encode()
