"""What a request to the API server is: who asks, which verb, for what; and the record that tests read."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import yaml
from flask import Request

from agent.simulators.kubernetes import protobuf
from agent.simulators.kubernetes.errors import ApiError, bad_request, unauthorized
from agent.simulators.kubernetes.objects import NAMESPACES, Json, Object, find_kind
from agent.simulators.kubernetes.rbac import ANONYMOUS, AUTHENTICATED, Attributes, User
from agent.simulators.kubernetes.selectors import name_in_field_selector
from agent.simulators.kubernetes.verbs import Place

_REFUSED = 300
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True, slots=True)
class Call:
    """One request, in the words of the API: `verb` is RBAC's, `resource` may be `pods/exec`."""

    at: float
    user: str
    verb: str
    method: str
    path: str
    query: Mapping[str, tuple[str, ...]]
    resource: str
    namespace: str
    name: str
    body: Json
    status: int
    dry_run: bool = False

    @property
    def changed(self) -> bool:
        """Whether it changed the cluster: no read, no review, no dry run, and not refused."""
        verbs = {"create", "update", "patch", "delete", "deletecollection"}
        review = self.resource.endswith("reviews")
        return self.verb in verbs and self.status < _REFUSED and not review and not self.dry_run


@dataclass(slots=True)
class Disturbance:
    """Misbehave for the next `times` requests of a kind (-1: until cleared); empty fields match all.

    `status` 0 is only slow: the request is answered after `delay_s`.
    """

    status: int
    verb: str = ""
    resource: str = ""
    namespace: str = ""
    times: int = 1
    delay_s: float = 0.0
    retry_after_s: int | None = None
    message: str = "the simulated API server was told to fail"

    def concerns(self, asked: Attributes) -> bool:
        """Whether this request is meant."""
        pairs = (
            (self.verb, asked.verb),
            (self.resource, asked.whole_resource),
            (self.namespace, asked.namespace),
        )
        return self.times != 0 and all(wanted in {"", have} for wanted, have in pairs)

    def answer(self) -> None:
        """Be slow, then raise what was scripted."""
        time.sleep(self.delay_s)
        reasons = {429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable"}
        if self.status:
            reason = reasons.get(self.status, "Unknown")
            raise ApiError(self.status, reason, self.message, retry_after_s=self.retry_after_s)


@dataclass(slots=True)
class Accounts:
    """Who is known by which bearer token, and who a request without one is on plain HTTP."""

    tokens: dict[str, User] = field(default_factory=dict)
    without_token: User = ANONYMOUS

    def authenticate(self, request: Request) -> User:
        """The user; a token that nobody has is a Status 401."""
        header = request.headers.get("Authorization", "")
        if not header:
            return ANONYMOUS if request.is_secure else self.without_token
        scheme, _, token = header.partition(" ")
        user = self.tokens.get(token.strip()) if scheme.lower() == "bearer" else None
        if user is None:
            raise unauthorized()
        return user


def impersonated(request: Request, user: User, check: Callable[[User, Attributes], None]) -> User:
    """The user that `--as` names, when the real one may act as it."""
    name = request.headers.get("Impersonate-User", "")
    groups = tuple(request.headers.getlist("Impersonate-Group"))
    if not name:
        return user
    if name.startswith("system:serviceaccount:"):
        namespace, _, account = name.removeprefix("system:serviceaccount:").partition(":")
        check(user, Attributes("impersonate", resource="serviceaccounts", namespace=namespace, name=account))
        groups = groups or ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
    else:
        check(user, Attributes("impersonate", resource="users", name=name))
    for group in groups:
        check(user, Attributes("impersonate", resource="groups", name=group))
    return User(name, tuple(dict.fromkeys((*groups, AUTHENTICATED))))


def place_of(path: str) -> Place | None:
    """What a resource path names; None for everything that is no resource path."""
    parts = [part for part in path.split("/") if part]
    match parts:
        case ["api", "v1", *rest]:
            return _place("", "v1", rest)
        case ["apis", group, version, *rest]:
            return _place(group, version, rest)
    return None


def _place(group: str, version: str, rest: list[str]) -> Place | None:
    if group == "" and rest[:1] == ["namespaces"] and len(rest) <= 2:
        return Place(NAMESPACES, "", rest[1] if rest[1:] else "")
    if group == "" and rest[:1] == ["namespaces"] and rest[2:] in (["status"], ["finalize"]):
        return Place(NAMESPACES, "", rest[1], rest[2])
    namespace = ""
    if rest[:1] == ["namespaces"]:
        namespace, rest = rest[1] if rest[1:] else "", rest[2:]
    if not 1 <= len(rest) <= 3:  # resource, name, subresource
        return None
    kind = find_kind(group, version, rest[0])
    if kind is None or (namespace and not kind.namespaced):
        return None
    name, subresource = (*rest[1:], "", "")[:2]
    return Place(kind, namespace, name, subresource)


def attributes_of(request: Request, place: Place | None) -> Attributes:
    """The request as authorization sees it."""
    if place is None:
        return Attributes(request.method.lower(), path=request.path)
    name = place.name or name_in_field_selector(request.args.get("fieldSelector", ""))
    namespace = place.namespace
    if place.kind == NAMESPACES:
        namespace = place.name  # a namespace is looked at inside itself
    return Attributes(
        _verb(request, place),
        place.kind.group,
        place.kind.plural,
        place.subresource,
        namespace,
        name,
    )


def _verb(request: Request, place: Place) -> str:
    if request.method in {"GET", "HEAD"}:
        if is_watch(request):
            return "watch"
        return "get" if place.name else "list"
    verb = _VERBS.get(request.method, request.method.lower())
    return "deletecollection" if verb == "delete" and not place.name else verb


def is_watch(request: Request) -> bool:
    """Whether a stream of changes is asked for."""
    return request.method == "GET" and request.args.get("watch", "false") not in {"0", "false"}


def body_of(request: Request) -> Json:
    """The body as JSON values; None when there is none."""
    raw = request.get_data()
    if not raw:
        return None
    if request.mimetype == protobuf.CONTENT_TYPE:
        return protobuf.decode(raw)
    try:
        return yaml.safe_load(raw) if request.mimetype.endswith("yaml") else json.loads(raw)
    except (ValueError, yaml.YAMLError) as error:
        raise bad_request(f"the body is not readable as {request.mimetype or 'JSON'}: {error}") from error


def is_dry(request: Request, body: Json) -> bool:
    """Whether the write is only to be tried; kubectl says so in the query, or in a deletion's body."""
    asked = _dry_runs(request, body)
    unknown = [each for each in asked if each != "All"]
    if unknown:
        raise bad_request(f"dryRun: Unsupported value: {unknown[0]!r}: supported values: 'All'")
    return bool(asked)


def _dry_runs(request: Request, body: Json) -> list[str]:
    options = body.get("deleteOptions", body) if isinstance(body, dict) else {}
    return [*request.args.getlist("dryRun"), *(options.get("dryRun") or [])]


def object_of(body: Json) -> Object:
    """The body as an object."""
    if not isinstance(body, dict):
        raise bad_request("the body of the request must be one object")
    return body


def call_of(request: Request, *, asked: Attributes, user: str, body: Json, status: int) -> Call:
    """The record of a request that was answered."""
    return Call(
        at=time.time(),
        user=user,
        verb=asked.verb,
        method=request.method,
        path=request.path,
        query={key: tuple(values) for key, values in request.args.lists()},
        resource=asked.whole_resource,
        namespace=asked.namespace,
        name=asked.name,
        body=body,
        status=status,
        dry_run=bool(_dry_runs(request, body)),
    )
