"""A request to the Kubernetes API in one reading only: what a server could read differently is refused.

What is sent on is built anew from what was read here, so the server reads what was judged.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote, unquote_to_bytes, urlencode

from agent.domain.command import Refusal

READS = frozenset({"get", "list", "watch"})
#: The verb of what tells which APIs there are: it shows no object of anybody's.
DISCOVER = "discover"

_METHODS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
#: Headers that decide what a request means.
_JUDGED_HEADERS = ("content-type", "upgrade")
_REFUSED_HEADERS = frozenset(
    {"authorization", "cookie", "x-http-method", "x-http-method-override", "x-method-override"}
    | {"x-original-url", "x-rewrite-url", "x-original-method"}
)
_REFUSED_PREFIXES = ("impersonate-", "x-remote-", "proxy-")
#: A segment without anything that an encoder, a router or a file system could read in two ways.
_SEGMENT = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._:-]*[A-Za-z0-9])?")
_DISCOVERY = re.compile(r"/version|/api|/api/v1|/apis(/[a-z0-9.-]+(/v[a-z0-9]+)?)?|/openapi/v[23](/.+)?")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_QUERY = re.compile(r"[A-Za-z0-9._~!$&'()*+,:@/?%=\[\]|-]*")
_ONE_NAME = re.compile(r"metadata\.name={1,2}([a-zA-Z0-9]([a-zA-Z0-9.:-]*[a-zA-Z0-9])?)")
_NEVER_SUBRESOURCES = frozenset({"proxy", "portforward", "attach", "ephemeralcontainers", "token", "binding"})

_KNOWN_KEYS = {
    DISCOVER: frozenset({"timeout", "hash"}),
    "log": frozenset(
        {"container", "follow", "previous", "timestamps", "tailLines", "limitBytes", "sinceSeconds"}
        | {"sinceTime", "pretty", "stream"}
    ),
    "exec": frozenset({"command", "container", "stdin", "stdout", "stderr", "tty"}),
    "read": frozenset(
        {"labelSelector", "fieldSelector", "limit", "continue", "watch", "allowWatchBookmarks", "pretty"}
        | {"resourceVersion", "resourceVersionMatch", "timeoutSeconds", "timeout", "sendInitialEvents"}
        | {"includeObject"}
    ),
    "change": frozenset({"fieldManager", "fieldValidation", "dryRun", "pretty", "timeout"}),
}


@dataclass(frozen=True, slots=True)
class ClusterRequest:
    """One request as the API server understands it.

    `name` is also set for a list or watch that a field selector narrows to one name. `namespace` "" is a
    cluster-wide object, or a list over all namespaces (`everywhere`).
    """

    method: str
    verb: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    content_type: str = ""
    upgrade: str = ""

    @property
    def is_exec(self) -> bool:
        """Whether it runs a command in a pod; by WebSocket that is a GET."""
        return (self.resource, self.subresource) == ("pods", "exec")

    @property
    def everywhere(self) -> bool:
        """Whether it looks into every namespace, as far as its path tells."""
        return not self.namespace and self.verb in ("list", "watch")

    @property
    def streams(self) -> bool:
        """Whether the answer may stay quiet for long: a watch, a followed log."""
        return self.verb == "watch" or self.value("follow") in ("true", "1")

    @property
    def target(self) -> str:
        """Path and query, written anew from what was understood."""
        if not self.query:
            return self.path
        return f"{self.path}?{urlencode(self.query, quote_via=quote)}"

    @property
    def kind(self) -> str:
        """What it is about, as a Role names it: `deployments.apps/scale`."""
        resource = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{resource}/{self.subresource}" if self.subresource else resource

    @property
    def object_path(self) -> str:
        """The path of the object itself, without a subresource."""
        return self.path.removesuffix(f"/{self.subresource}") if self.subresource else self.path

    def value(self, key: str) -> str:
        """The first value of a query key, or ""."""
        return next((value for name, value in self.query if name == key), "")

    def values(self, key: str) -> tuple[str, ...]:
        """Every value of a query key in order."""
        return tuple(value for name, value in self.query if name == key)

    def __str__(self) -> str:
        if self.verb == DISCOVER:
            return f"get {self.path}"
        what = f"{self.kind} {self.name}" if self.name else self.kind
        where = f" in {self.namespace}" if self.namespace else ""
        return f"{self.verb} {what}{where}"


def read(method: str, target: str, headers: Sequence[tuple[str, str]]) -> ClusterRequest | Refusal:
    """Understand a request line with its headers, or say why it is not sent on."""
    if method not in _METHODS:
        return Refusal(f"the method {method[:16]!r} is not sent on", "GET, POST, PUT, PATCH and DELETE are")
    if refusal := _refused_header(headers):
        return refusal
    path, _, raw_query = target.partition("?")
    query = _read_query(raw_query)
    if isinstance(query, Refusal):
        return query
    content_type = _header(headers, "content-type").partition(";")[0].strip().lower()
    upgrade = _header(headers, "upgrade").lower()
    plain = ClusterRequest(method, _METHODS[method], path, query, content_type=content_type, upgrade=upgrade)
    return _read_path(plain)


def _header(headers: Sequence[tuple[str, str]], name: str) -> str:
    return ", ".join(value for key, value in headers if key.lower() == name)


def _refused_header(headers: Sequence[tuple[str, str]]) -> Refusal | None:
    for key, value in headers:
        name = key.lower()
        # The API server also takes a bearer token as a WebSocket subprotocol.
        token = name == "sec-websocket-protocol" and "bearer" in value.lower()
        if token or name in _REFUSED_HEADERS or name.startswith(_REFUSED_PREFIXES):
            hint = "a step speaks with the agent's rights, as the method and the path that it writes"
            return Refusal(f"the header {key[:40]} is not sent on", hint)
    names = [key.lower() for key, _ in headers]
    for name in _JUDGED_HEADERS:
        if names.count(name) > 1:
            return Refusal(
                f"the header {name} stands there twice", "send it once: what is judged is what is sent"
            )
    return None


def _read_query(raw: str) -> tuple[tuple[str, str], ...] | Refusal:
    if not _QUERY.fullmatch(raw) or _BAD_ESCAPE.search(raw):
        return Refusal("the query could be read differently by the server", "%-encode it as a URL")
    pairs: list[tuple[str, str]] = []
    for part in raw.split("&") if raw else ():
        key, _, value = part.partition("=")
        try:
            decoded = unquote_to_bytes(value.replace("+", " ")).decode()
        except UnicodeDecodeError:
            return Refusal(f"the value of {key[:40]!r} is not UTF-8")
        if not key.isalnum():
            return Refusal(f"the query key {key[:40]!r} is not known", "leave it out")
        if key != "command" and (any(key == name for name, _ in pairs) or not decoded.isprintable()):
            return Refusal(f"the query key {key[:40]!r} could be read in two ways", "write it once")
        pairs.append((key, decoded))
    return tuple(pairs)


def _read_path(plain: ClusterRequest) -> ClusterRequest | Refusal:
    segments = plain.path.split("/")[1:]
    if not plain.path.startswith("/") or not all(map(_SEGMENT.fullmatch, segments)):
        hint = "write it without %-codes, `//`, `.` and `..` parts, and without a final slash"
        return Refusal(f"the path {plain.path[:200]!r} could be read differently by the server", hint)
    if _DISCOVERY.fullmatch(plain.path) and plain.method == "GET":
        return _known(replace(plain, verb=DISCOVER), DISCOVER)
    match segments:
        case ["api", "v1", *rest]:
            return _read_object(plain, "", rest)
        case ["apis", group, _, *rest]:
            return _read_object(plain, group, rest)
        case _:
            hint = "only objects under /api and /apis, and what tells which there are"
            return Refusal(f"{plain.method} {plain.path[:200]} is not sent on", hint)


def _read_object(plain: ClusterRequest, group: str, rest: Sequence[str]) -> ClusterRequest | Refusal:
    namespace = ""
    if len(rest) > 2 and rest[0] == "namespaces" and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    if not 0 < len(rest) < 4 or rest[0] in ("watch", "proxy", "redirect"):
        return Refusal(f"{plain.method} {plain.path[:200]} is not sent on", "name one object or one list")
    resource, name, subresource = (*rest, "", "")[:3]
    if subresource in _NEVER_SUBRESOURCES:
        return Refusal(f"{resource}/{subresource} is never sent on", "use exec or logs where they are priced")
    found = replace(plain, namespace=namespace, name=name, group=group)
    return _settle(replace(found, resource=resource, subresource=subresource))


def _settle(found: ClusterRequest) -> ClusterRequest | Refusal:
    """The verb as RBAC has it, and only query keys that this verb has."""
    if found.upgrade and not found.is_exec:
        return Refusal(f"an upgrade to {found.upgrade[:40]!r} on {found.kind}", "only exec has one")
    if found.is_exec:
        return _known(found, "exec")
    if found.verb != "get":
        if found.verb == "delete" and not found.name:
            found = replace(found, verb="deletecollection")
        return _known(found, "change")
    if found.subresource == "log":
        return _known(found, "log")
    return _settle_read(found)


def _settle_read(found: ClusterRequest) -> ClusterRequest | Refusal:
    said = found.values("watch")
    watch = said[0] if said else "false"
    # an empty value is true to the API server, and of several it may take another one than we do
    if len(said) > 1 or watch not in ("true", "1", "false", "0") or (watch in ("true", "1") and found.name):
        return Refusal(f"watch={watch[:16]} on {found.kind}", "watch a list, with watch=true")
    if not found.name:
        narrowed = _one_name(found.value("fieldSelector"))
        found = replace(found, verb="watch" if watch in ("true", "1") else "list", name=narrowed)
    return _known(found, "read")


def _one_name(selector: str) -> str:
    """The one name that a field selector leaves; its parts are joined by `and`."""
    if "\\" in selector:
        return ""
    names = [found.group(1) for part in selector.split(",") if (found := _ONE_NAME.fullmatch(part))]
    return names[0] if len(names) == 1 else ""


def _known(found: ClusterRequest, keys: str) -> ClusterRequest | Refusal:
    unknown = [key for key, _ in found.query if key not in _KNOWN_KEYS[keys]]
    if unknown:
        return Refusal(f"the query key {unknown[0]!r} is not known for {found}", "leave it out")
    return found
