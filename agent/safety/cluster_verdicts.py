"""Whether one attempt may send this request to the cluster: as its command was priced, and no oftener."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import assert_never

from agent.domain.access import Access, ChangeForm, ClusterChange, ClusterRight
from agent.domain.command import Refusal
from agent.safety.cluster_bodies import differs
from agent.safety.cluster_rehearsals import rehearses
from agent.safety.cluster_requests import DISCOVER, READS, ClusterRequest

_READABLE_SUBRESOURCES = frozenset({"", "log", "scale", "status"})
#: Creating one of these only asks what our own credentials may do.
_QUESTIONS = frozenset({"selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews"})
_QUESTION_GROUPS = frozenset({"authorization.k8s.io", "authentication.k8s.io"})
#: Known to stand outside of namespaces; a list of anything else without a namespace is one of all of them.
_CLUSTER_WIDE = frozenset(
    {"nodes", "namespaces", "persistentvolumes", "componentstatuses", "storageclasses", "priorityclasses"}
    | {"clusterroles", "clusterrolebindings", "customresourcedefinitions", "apiservices", "csinodes"}
    | {"ingressclasses", "runtimeclasses", "volumeattachments", "csidrivers", "certificatesigningrequests"}
)
#: Answers after which nothing was changed: sent again, the same request is the same change.
_NOTHING_DONE = frozenset({400, 401, 403, 404, 405, 406, 409, 410, 413, 415, 422, 426, 429})


@dataclass(frozen=True, slots=True)
class Allowed:
    """It may be sent on; `change` is the charged change that it takes, `place` its index in the access.

    A `rehearsal` of it changes nothing and takes nothing.
    """

    change: ClusterChange | None = None
    place: int = -1
    rehearsal: bool = False

    @property
    def taken(self) -> ClusterChange | None:
        """The change that it takes for good."""
        return None if self.rehearsal else self.change


@dataclass(slots=True)
class Ledger:
    """How often each change of an access was taken; not for several threads at once.

    A change that the cluster itself refused may be sent again (kubectl tries exec by GET and then by POST)
    and is the same use. One with an unknown end stays used.
    """

    _taken: Counter[int] = field(default_factory=Counter)
    _undone: set[tuple[int, str]] = field(default_factory=set)

    def used(self, request: ClusterRequest) -> Mapping[int, int]:
        """Uses by place, as this request finds them."""
        mine = Counter(place for place, target in self._undone if target == request.target)
        return {place: count - mine[place] for place, count in self._taken.items()}

    def take(self, allowed: Allowed, request: ClusterRequest) -> Refusal | None:
        """Charge the change before it is sent; a refusal if others took the last use meanwhile."""
        if allowed.taken is None:
            return None
        if self.used(request).get(allowed.place, 0) >= allowed.taken.at_most:
            return _used_up(allowed.taken)
        again = (allowed.place, request.target)
        if again in self._undone:
            self._undone.remove(again)
        else:
            self._taken[allowed.place] += 1
        return None

    def answered(self, allowed: Allowed, request: ClusterRequest, *, status: int) -> None:
        """Note what the cluster said to a change that was sent."""
        if status in _NOTHING_DONE:
            self.not_done(allowed, request)

    def not_done(self, allowed: Allowed, request: ClusterRequest) -> None:
        """It never reached the cluster, or was turned away there."""
        if allowed.taken is not None:
            self._undone.add((allowed.place, request.target))


def judge(
    request: ClusterRequest, body: bytes, access: Access, *, used: Mapping[int, int]
) -> Allowed | Refusal:
    """The verdict from the request alone; `cluster_facts.holds` looks at the live world afterwards."""
    if body and (request.method == "GET" or request.is_exec):
        return Refusal(f"{request} with a body", "kubectl sends none")
    if request.verb == DISCOVER:
        return Allowed()
    if request.verb == "deletecollection":
        return Refusal(f"{request}: deleting a whole list is never sent on", "delete each one by its name")
    if not request.is_exec and any(_grants(right, request) for right in access.cluster):
        return Allowed()
    if request.verb in READS and not request.is_exec:
        implied = any(_reads_its_own(change, request) for change in access.changes)
        return Allowed() if implied else _not_priced(request)
    return _judge_change(request, body, access, used)


def _not_priced(request: ClusterRequest) -> Refusal:
    hint = "a step may do with the cluster only what its own command was priced for"
    return Refusal(f"this attempt was not priced for {request}", hint)


def _judge_change(
    request: ClusterRequest, body: bytes, access: Access, used: Mapping[int, int]
) -> Allowed | Refusal:
    refusal = _not_priced(request)
    for place, change in enumerate(access.changes):
        if not _aims_at(change, request):
            continue
        if found := differs(change, request, body):
            refusal = found
            continue
        rehearsal = rehearses(change.form, request, body)
        if isinstance(rehearsal, Refusal):
            refusal = rehearsal
        elif rehearsal:
            return Allowed(change, place, rehearsal=True)
        elif used.get(place, 0) < change.at_most:
            return Allowed(change, place)
        else:
            refusal = _used_up(change)
    return refusal


def _used_up(change: ClusterChange) -> Refusal:
    times = "once" if change.at_most == 1 else f"{change.at_most} times"
    reason = f"this attempt was charged for one {change.form} {times}, and has used it"
    return Refusal(reason, "a further one needs a plan that counts it")


def _grants(right: ClusterRight, request: ClusterRequest) -> bool:
    asked = (request.group, request.resource, request.subresource)
    same = (right.group, right.resource, right.subresource) == asked
    if not same or right.name not in ("", request.name) or not _same_namespace(right.namespace, request):
        return False
    if request.verb == "create":
        question = request.resource in _QUESTIONS and request.group in _QUESTION_GROUPS
        return question and right.verb == "create"
    if request.verb not in READS or request.subresource not in _READABLE_SUBRESOURCES:
        return False
    return right.verb == request.verb or (bool(right.name) and right.verb in READS)


def _same_namespace(namespace: str, request: ClusterRequest) -> bool:
    if namespace == "*":
        return True
    if request.everywhere and request.resource not in _CLUSTER_WIDE:
        return False
    return namespace == request.namespace


def _reads_its_own(change: ClusterChange, request: ClusterRequest) -> bool:
    """kubectl looks at what it changes, before and (waiting) after."""
    right = change.right
    subresources = ("", "scale") if change.form is ChangeForm.SCALE else ("",)
    return (
        (request.group, request.resource) == (right.group, right.resource)
        and request.subresource in subresources
        and right.namespace in ("*", request.namespace)
        and bool(request.name)
        and _is_named(change, request)
    )


def _is_named(change: ClusterChange, request: ClusterRequest) -> bool:
    if change.names:
        # Names from several namespaces carry theirs.
        several = request.namespace and change.right.namespace != request.namespace
        return (f"{request.namespace}/{request.name}" if several else request.name) in change.names
    return bool(change.right.name) and request.name == change.right.name


def _aims_at(change: ClusterChange, request: ClusterRequest) -> bool:
    """Whether verb, kind and object are those of the change, whatever the body says."""
    right = change.right
    verbs, subresource = _verbs(change.form)
    same_verb = request.verb in verbs and request.subresource == subresource
    if change.form in (ChangeForm.EXEC, ChangeForm.EVICT):
        same_kind = (request.group, request.resource) == ("", "pods")
        return same_verb and same_kind and _aims_at_pod(change, request)
    return (
        same_verb
        and (request.group, request.resource) == (right.group, right.resource)
        and right.namespace in ("*", request.namespace)
        and _is_named(change, request)
    )


def _aims_at_pod(change: ClusterChange, request: ClusterRequest) -> bool:
    """A named pod; with a workload or a node as target its pods are known only to the live world."""
    right = change.right
    if right.resource == "nodes" and change.form is ChangeForm.EVICT:
        return not change.names or _is_named(change, request)
    if right.namespace not in ("*", request.namespace) or not request.namespace:
        return False
    if right.resource == "pods" or change.names:
        return _is_named(change, request)
    return change.form is ChangeForm.EXEC and bool(right.name)


def _verbs(form: ChangeForm) -> tuple[tuple[str, ...], str]:
    match form:
        case ChangeForm.RESTART | ChangeForm.UNDO | ChangeForm.CORDON | ChangeForm.UNCORDON:
            return ("patch",), ""
        case ChangeForm.SCALE:
            return ("patch", "update"), "scale"
        case ChangeForm.DELETE:
            return ("delete",), ""
        case ChangeForm.EXEC:
            return ("get", "create"), "exec"
        case ChangeForm.EVICT:
            return ("create",), "eviction"
        case _ as never:
            assert_never(never)
