"""What a changing request says in its body: exactly the one change that its form allows, or it is refused."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import assert_never

from agent.domain.access import ChangeForm, ClusterChange
from agent.domain.command import Refusal
from agent.domain.strict_json import strictly_read
from agent.safety.cluster_protobuf import PROTOBUF, decoded_protobuf
from agent.safety.cluster_requests import ClusterRequest

RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
_MERGES = frozenset({"application/strategic-merge-patch+json", "application/merge-patch+json"})
_STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
#: Without a type a body is JSON, for the API server too (kubectl's scale client names none).
_JSON = frozenset({"application/json", ""})
#: Forms that kubectl may send as protobuf, by its version.
_BINARY = frozenset({ChangeForm.DELETE, ChangeForm.EVICT})
_TYPE_KEYS = frozenset({"kind", "apiVersion"})


def at(value: object, *keys: str) -> object:
    """What stands at a path of keys in decoded JSON; None when there is nothing."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def number(value: object) -> int | None:
    """A whole number; JSON's true is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def decoded(body: bytes) -> object | Refusal:
    """JSON without keys that stand twice."""
    try:
        return strictly_read(body)
    except (ValueError, RecursionError) as error:
        return Refusal(f"the body is not plain JSON ({str(error)[:80]})", "send JSON")


def body_of(request: ClusterRequest, body: bytes) -> object | Refusal:
    """What a request's body says, in its JSON form."""
    return decoded_protobuf(body) if request.content_type == PROTOBUF else decoded(body)


def differs(change: ClusterChange, request: ClusterRequest, body: bytes) -> Refusal | None:
    """Why a request whose target is this change's asks for something else; None if it is the change."""
    if change.form is ChangeForm.EXEC:
        return _exec_differs(change, request)
    if not body and change.form is ChangeForm.DELETE:
        return None
    if refusal := _type_differs(change.form, request):
        return refusal
    value = body_of(request, body)
    if isinstance(value, Refusal):
        return value
    if _is_the_change(change, request, value):
        return None
    hint = f"only this: {_WORDS[change.form].format(change=change)}"
    return Refusal(f"{request} says more or something else than a {change.form}", hint)


def _exec_differs(change: ClusterChange, request: ClusterRequest) -> Refusal | None:
    if (request.verb, request.upgrade) not in (("get", "websocket"), ("create", "spdy/3.1")):
        return Refusal(f"exec by {request.method} and {request.upgrade[:40]!r}", "use kubectl exec")
    if request.values("command") != change.argv or not change.argv:
        return Refusal("exec of another command than the one that was priced", f"only {change.argv}")
    if change.container and request.value("container") != change.container:
        return Refusal("exec in another container than the one that was priced", f"only {change.container}")
    for key in ("stdin", "tty"):
        # an empty value is true to the API server (apimachinery, conversion/queryparams): only a word is no
        if any(value not in ("false", "0") for value in request.values(key)):
            return Refusal(f"exec with {key}: what is typed into it is not priced", "leave -i and -t out")
    return None


def _type_differs(form: ChangeForm, request: ClusterRequest) -> Refusal | None:
    allowed = _JSON | {PROTOBUF} if form in _BINARY else _JSON
    if request.verb == "patch":
        allowed = _MERGES | {JSON_PATCH} if form is ChangeForm.UNDO else _MERGES
    if request.content_type in allowed:
        return None
    types = " or ".join(sorted(allowed - {""}))
    return Refusal(f"a body of type {request.content_type[:60]!r}", f"send {types}")


def _is_the_change(change: ClusterChange, request: ClusterRequest, body: object) -> bool:
    match change.form:
        case ChangeForm.RESTART:
            return _is_restart(body)
        case ChangeForm.UNDO:
            return replaced_template(request, body) is not None
        case ChangeForm.SCALE:
            return _is_scale(change, request, body)
        case ChangeForm.DELETE:
            return _is_delete(body)
        case ChangeForm.EVICT:
            return _is_eviction(request, body)
        case ChangeForm.CORDON:
            return _is_unschedulable(body, True)
        case ChangeForm.UNCORDON:
            return _is_unschedulable(body, None) or _is_unschedulable(body, False)
        case ChangeForm.EXEC:
            return False
        case _ as never:
            assert_never(never)


def _is_unschedulable(body: object, value: bool | None) -> bool:
    return body == {"spec": {"unschedulable": value}} and at(body, "spec", "unschedulable") is value


def _is_restart(body: object) -> bool:
    when = at(body, "spec", "template", "metadata", "annotations", RESTARTED_AT)
    if body != {"spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: when}}}}}:
        return False
    try:
        return isinstance(when, str) and datetime.fromisoformat(when).tzinfo is not None
    except ValueError:
        return False


def replaced_template(request: ClusterRequest, body: object) -> Mapping[str, object] | None:
    """The pod template that an undo puts in place; None if the body does more or something else.

    kubectl sends a JSON patch for deployments, and for StatefulSets and DaemonSets the stored revision.
    """
    if request.content_type == JSON_PATCH:
        return _template_of_operations(body)
    template = at(body, "spec", "template")
    if request.content_type != _STRATEGIC or body != {"spec": {"template": template}}:
        return None
    return template if isinstance(template, Mapping) and template.get("$patch") == "replace" else None


def replaced_annotations(body: object) -> Mapping[str, object]:
    """The annotations that an undo by JSON patch puts in place."""
    operations = body if isinstance(body, list) else []
    found = [at(each, "value") for each in operations if at(each, "path") == "/metadata/annotations"]
    return found[0] if found and isinstance(found[0], Mapping) else {}


def _template_of_operations(body: object) -> Mapping[str, object] | None:
    if not isinstance(body, list) or not 0 < len(body) < 3:
        return None
    by_path = {at(each, "path"): at(each, "value") for each in body}
    plain = all(isinstance(each, Mapping) and set(each) == {"op", "path", "value"} for each in body)
    replaced = all(at(each, "op") == "replace" for each in body)
    if not plain or not replaced or len(by_path) != len(body):
        return None
    if not set(by_path) <= {"/spec/template", "/metadata/annotations"}:
        return None
    template = by_path.get("/spec/template")
    return template if isinstance(template, Mapping) else None


def _is_scale(change: ClusterChange, request: ClusterRequest, body: object) -> bool:
    replicas = number(at(body, "spec", "replicas"))
    if change.replicas is None or replicas != change.replicas or at(body, "spec") != {"replicas": replicas}:
        return False
    if request.verb == "patch":
        return body == {"spec": {"replicas": replicas}}
    same_object = _names_the_same(request, at(body, "metadata"))
    return same_object and _has_only(body, _TYPE_KEYS | {"metadata", "spec", "status"})


def _is_delete(body: object) -> bool:
    """DeleteOptions that let the pod end in its own time; preconditions only narrow it."""
    grace = at(body, "gracePeriodSeconds")
    return (
        _has_only(body, _TYPE_KEYS | {"propagationPolicy", "gracePeriodSeconds", "preconditions", "dryRun"})
        and at(body, "propagationPolicy") in (None, "Background", "Foreground")
        and (grace is None or (number(grace) or 0) > 0)
    )


def _is_eviction(request: ClusterRequest, body: object) -> bool:
    options = at(body, "deleteOptions")
    return (
        _has_only(body, _TYPE_KEYS | {"metadata", "deleteOptions"})
        and at(body, "kind") == "Eviction"
        and _names_the_same(request, at(body, "metadata"))
        and (options is None or _is_delete(options))
    )


def _names_the_same(request: ClusterRequest, metadata: object) -> bool:
    name, namespace = at(metadata, "name"), at(metadata, "namespace")
    return name in (None, request.name) and namespace in (None, request.namespace)


def _has_only(body: object, keys: frozenset[str]) -> bool:
    return isinstance(body, Mapping) and set(body) <= keys


_WORDS = {
    ChangeForm.RESTART: f"a merge patch that sets the pod template's annotation {RESTARTED_AT}",
    ChangeForm.UNDO: "a patch that replaces the pod template by an earlier one",
    ChangeForm.SCALE: "spec.replicas = {change.replicas}",
    ChangeForm.DELETE: "a deletion with the pod's own grace period or a longer one than 0 s",
    ChangeForm.EXEC: "{change.argv}",
    ChangeForm.CORDON: "a merge patch that sets spec.unschedulable to true",
    ChangeForm.UNCORDON: "a merge patch that takes spec.unschedulable away",
    ChangeForm.EVICT: "an Eviction of this pod with its own grace period or a longer one than 0 s",
}
