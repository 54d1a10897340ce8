"""Asks the cluster beforehand what our credentials may do, so that no step finds out halfway."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from agent.adapters.kubernetes.client import KubernetesApi
from agent.domain.access import ClusterRight

_AT_ONCE = 8
_REVIEW = ClusterRight("create", "selfsubjectaccessreviews", "authorization.k8s.io")


class KubernetesPreflight:
    """Implements ports.Cluster by SelfSubjectAccessReviews, which every signed-in user may create."""

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api

    def denied(self, rights: Sequence[ClusterRight]) -> Sequence[ClusterRight]:
        """Those of the rights that we do not have; ServiceError in words if the cluster cannot be asked."""
        distinct = list(dict.fromkeys(rights))
        if not distinct:
            return ()
        pool = ThreadPoolExecutor(min(_AT_ONCE, len(distinct)), thread_name_prefix="preflight")
        try:
            allowed = list(pool.map(self._is_allowed, distinct))
        finally:
            pool.shutdown(cancel_futures=True)  # after the first error nobody waits for the others
        return tuple(right for right, may in zip(distinct, allowed, strict=True) if not may)

    def _is_allowed(self, right: ClusterRight) -> bool:
        # in a review, an empty namespace is all of them (for what has namespaces), and so is an empty name
        asked = replace(right, namespace="" if right.namespace == "*" else right.namespace)
        attributes = {
            "verb": asked.verb,
            "group": asked.group,
            "resource": asked.resource,
            "subresource": asked.subresource,
            "namespace": asked.namespace,
            "name": asked.name,
        }
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value}},
        }
        answer = self._api.call(_REVIEW, body=body)
        return answer.get("status", {}).get("allowed") is True
