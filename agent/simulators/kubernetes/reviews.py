"""Access reviews: `kubectl auth can-i`, its `--list`, and `kubectl auth whoami`."""

from __future__ import annotations

from agent.simulators.kubernetes.objects import Kind, Object
from agent.simulators.kubernetes.rbac import Attributes, Authorizer, User


class Reviews:
    """Answers the questions that a POST to a review resource asks."""

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    def answer(self, kind: Kind, review: Object, user: User) -> Object:
        """The review with its status filled in."""
        spec = review.get("spec") or {}
        metadata = {"creationTimestamp": None, **(review.get("metadata") or {})}
        status = self._status(kind, spec, user)
        shown = {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": metadata}
        if kind.plural == "selfsubjectreviews":
            return {**shown, "status": status}
        return {**shown, "spec": spec, "status": status}

    def _status(self, kind: Kind, spec: Object, user: User) -> Object:
        match kind.plural:
            case "selfsubjectreviews":
                return {"userInfo": {"username": user.name, "groups": list(user.groups)}}
            case "selfsubjectrulesreviews":
                return self._rules(user, spec.get("namespace", ""))
            case "selfsubjectaccessreviews":
                return self._access(user, spec)
        return self._access(User(spec.get("user", ""), tuple(spec.get("groups") or ())), spec)

    def _access(self, user: User, spec: Object) -> Object:
        reason = self._authorizer.why(user, _attributes(spec))
        if reason is None:
            return {"allowed": False}
        return {"allowed": True, "reason": reason} if reason else {"allowed": True}

    def _rules(self, user: User, namespace: str) -> Object:
        rules = [each.rule for each in self._authorizer.granted(user, namespace)]
        return {
            "resourceRules": [each for each in rules if "resources" in each],
            "nonResourceRules": [each for each in rules if "nonResourceURLs" in each],
            "incomplete": False,
        }


def _attributes(spec: Object) -> Attributes:
    if path := spec.get("nonResourceAttributes"):
        return Attributes(path.get("verb", ""), path=path.get("path", ""))
    asked = spec.get("resourceAttributes") or {}
    return Attributes(
        asked.get("verb", ""),
        asked.get("group", ""),
        asked.get("resource", ""),
        asked.get("subresource", ""),
        asked.get("namespace", ""),
        asked.get("name", ""),
    )
