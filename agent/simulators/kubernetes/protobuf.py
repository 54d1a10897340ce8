"""The few protobuf bodies that kubectl sends: reviews, evictions, delete options, and objects of RBAC.

Kubernetes wraps them: `k8s\\0`, then an Unknown message with the type and the raw bytes. Field numbers are
those of the API's generated.proto files.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.simulators.kubernetes.errors import bad_request, unsupported_media_type
from agent.simulators.kubernetes.objects import Object

CONTENT_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    form: str = "text"  # text, number, flag, raw, or a message
    message: _Message | None = None
    many: bool = False


@dataclass(frozen=True, slots=True)
class _Message:
    fields: dict[int, _Field] = field(default_factory=dict)


def _part(name: str, message: _Message) -> _Field:
    return _Field(name, "message", message)


_TYPE_META = _Message({1: _Field("apiVersion"), 2: _Field("kind")})
_UNKNOWN = _Message({1: _part("typeMeta", _TYPE_META), 2: _Field("raw", "raw")})
_OBJECT_META = _Message({1: _Field("name"), 2: _Field("generateName"), 3: _Field("namespace")})
_RESOURCE = _Message(
    {
        1: _Field("namespace"),
        2: _Field("verb"),
        3: _Field("group"),
        4: _Field("version"),
        5: _Field("resource"),
        6: _Field("subresource"),
        7: _Field("name"),
    }
)
_PATH = _Message({1: _Field("path"), 2: _Field("verb")})
_SELF_ACCESS = _Message({1: _part("resourceAttributes", _RESOURCE), 2: _part("nonResourceAttributes", _PATH)})
_ACCESS = _Message(
    {
        1: _part("resourceAttributes", _RESOURCE),
        2: _part("nonResourceAttributes", _PATH),
        3: _Field("user"),
        4: _Field("groups", many=True),
    }
)
_DELETE_OPTIONS = _Message(
    {
        1: _Field("gracePeriodSeconds", "number"),
        3: _Field("orphanDependents", "flag"),
        4: _Field("propagationPolicy"),
        5: _Field("dryRun", many=True),
    }
)
_RULE = _Message(
    {
        1: _Field("verbs", many=True),
        2: _Field("apiGroups", many=True),
        3: _Field("resources", many=True),
        4: _Field("resourceNames", many=True),
        5: _Field("nonResourceURLs", many=True),
    }
)
_SUBJECT = _Message({1: _Field("kind"), 2: _Field("apiGroup"), 3: _Field("name"), 4: _Field("namespace")})
_ROLE_REF = _Message({1: _Field("apiGroup"), 2: _Field("kind"), 3: _Field("name")})
_ROLE = _Message({1: _part("metadata", _OBJECT_META), 2: _Field("rules", "message", _RULE, many=True)})
_BINDING = _Message(
    {
        1: _part("metadata", _OBJECT_META),
        2: _Field("subjects", "message", _SUBJECT, many=True),
        3: _part("roleRef", _ROLE_REF),
    }
)
_ONLY_META = _Message({1: _part("metadata", _OBJECT_META)})


def _review(spec: _Message) -> _Message:
    return _Message({1: _part("metadata", _OBJECT_META), 2: _part("spec", spec)})


_KNOWN = {
    "SelfSubjectAccessReview": _review(_SELF_ACCESS),
    "SubjectAccessReview": _review(_ACCESS),
    "LocalSubjectAccessReview": _review(_ACCESS),
    "SelfSubjectRulesReview": _review(_Message({1: _Field("namespace")})),
    "SelfSubjectReview": _ONLY_META,
    "Namespace": _ONLY_META,
    "ServiceAccount": _ONLY_META,
    "Role": _ROLE,
    "ClusterRole": _ROLE,
    "RoleBinding": _BINDING,
    "ClusterRoleBinding": _BINDING,
    "Eviction": _Message({1: _part("metadata", _OBJECT_META), 2: _part("deleteOptions", _DELETE_OPTIONS)}),
    "DeleteOptions": _DELETE_OPTIONS,
}


def decode(body: bytes) -> Object:
    """The object in the body, as its JSON form."""
    if not body.startswith(_MAGIC):
        raise bad_request("the protobuf body does not begin with the bytes of the Kubernetes envelope")
    envelope = _read(body[len(_MAGIC) :], _UNKNOWN)
    kind = envelope.get("typeMeta", {}).get("kind", "")
    if kind not in _KNOWN:
        raise unsupported_media_type(f"{CONTENT_TYPE} of {kind}", ["application/json", "application/yaml"])
    return {**envelope["typeMeta"], **_read(envelope.get("raw", b""), _KNOWN[kind])}


def _read(data: bytes, message: _Message) -> Object:
    result: Object = {}
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        value, at = _value(data, at, tag & 7)
        known = message.fields.get(tag >> 3)
        if known is not None:
            _keep(result, known, value)
    return result


def _keep(result: Object, known: _Field, value: int | bytes) -> None:
    read = _interpret(known, value)
    if known.many:
        result.setdefault(known.name, []).append(read)
    elif read != "":
        result[known.name] = read


def _interpret(known: _Field, value: int | bytes) -> object:
    if isinstance(value, int) is not (known.form in {"number", "flag"}):
        raise bad_request(f"the protobuf body has the wrong wire type for {known.name}")
    if isinstance(value, int):
        return bool(value) if known.form == "flag" else value
    if known.message is not None:
        return _read(value, known.message)
    return value if known.form == "raw" else value.decode("utf-8", "replace")


def _value(data: bytes, at: int, wire: int) -> tuple[int | bytes, int]:
    match wire:
        case 0:
            return _varint(data, at)
        case 1 | 5:
            end = at + (8 if wire == _FIXED64 else 4)
            return data[at:end], end
        case 2:
            length, at = _varint(data, at)
            if at + length > len(data):
                raise bad_request("the protobuf body ends inside a field")
            return data[at : at + length], at + length
    raise bad_request(f"the protobuf body has the unknown wire type {wire}")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data):
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at
    raise bad_request("the protobuf body ends inside a number")
