"""The two protobuf bodies of a change that kubectl may send, Eviction and DeleteOptions, in one reading only.

Kubernetes wraps a message: `k8s\\0`, then an Unknown with its type and bytes; field numbers are those of
generated.proto in k8s.io/{apimachinery,api}. A field that is not known here must be empty, and none may stand
twice: what a server could read differently is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from agent.domain.command import Refusal

PROTOBUF: Final = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"
_NUMBER, _BYTES = 0, 2
_MOST = 1 << 63


@dataclass(frozen=True, slots=True)
class _Message:
    """Fields by number: texts, numbers, messages, lists of texts, and those that must be empty."""

    texts: Mapping[int, str] = field(default_factory=dict)
    numbers: Mapping[int, str] = field(default_factory=dict)
    parts: Mapping[int, tuple[str, _Message]] = field(default_factory=dict)
    lists: Mapping[int, str] = field(default_factory=dict)
    empty: frozenset[int] = frozenset()


class _OtherwiseReadError(ValueError):
    """It is damaged, or says what is not judged here."""


_TYPE_META = _Message({1: "apiVersion", 2: "kind"})
#: What is no pointer in Go (generateName, selfLink, uid, resourceVersion, …) is always sent, and empty here.
_OBJECT_META = _Message({1: "name", 3: "namespace"}, empty=frozenset({2, 4, 5, 6, 7, 8}))
_DELETE_OPTIONS = _Message(
    texts={4: "propagationPolicy"},
    numbers={1: "gracePeriodSeconds"},
    parts={2: ("preconditions", _Message({1: "uid", 2: "resourceVersion"}))},
    lists={5: "dryRun"},
)
_KINDS = {
    "Eviction": _Message(parts={1: ("metadata", _OBJECT_META), 2: ("deleteOptions", _DELETE_OPTIONS)}),
    "DeleteOptions": _DELETE_OPTIONS,
}


def decoded_protobuf(body: bytes) -> Mapping[str, object] | Refusal:
    """The object in the body in its JSON form."""
    try:
        return _envelope(body)
    except ValueError as error:
        return Refusal(f"the protobuf body is not one that is judged ({str(error)[:80]})", "send JSON")


def _envelope(body: bytes) -> Mapping[str, object]:
    if not body.startswith(_MAGIC):
        raise _OtherwiseReadError("it does not begin as Kubernetes' ones do")
    fields = list(_fields(body[len(_MAGIC) :]))
    by_number = dict(fields)
    if len(by_number) != len(fields) or not {1, 2} <= set(by_number) <= {1, 2, 3, 4}:
        raise _OtherwiseReadError("its envelope has other parts than a type and a message")
    if by_number.get(3) or by_number.get(4):
        raise _OtherwiseReadError("its message is encoded or typed once more")
    told = _read(_bytes(by_number[1]), _TYPE_META)
    kind = told.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise _OtherwiseReadError(f"it is a {str(kind)[:40]}")
    return {**told, **_read(_bytes(by_number[2]), _KINDS[kind])}


def _read(data: bytes, message: _Message) -> dict[str, object]:
    found: dict[str, object] = {}
    seen: set[int] = set()
    for number, value in _fields(data):
        if number in message.lists:
            name = message.lists[number]
            before = found.get(name)
            found[name] = [*(before if isinstance(before, list) else ()), _text(value)]
            continue
        if number in seen:
            raise _OtherwiseReadError(f"field {number} stands twice")
        seen.add(number)
        found |= _one(number, value, message)
    return found


def _one(number: int, value: int | bytes, message: _Message) -> dict[str, object]:
    if number in message.texts:
        text = _text(value)
        return {message.texts[number]: text} if text else {}
    if number in message.numbers:
        return {message.numbers[number]: _number(value)}
    if number in message.parts:
        name, part = message.parts[number]
        return {name: _read(_bytes(value), part)}
    if number in message.empty and not value:
        return {}
    raise _OtherwiseReadError(f"field {number} is not known")


def _text(value: int | bytes) -> str:
    text = _bytes(value).decode()
    if not text.isprintable():
        raise _OtherwiseReadError("a text has unprintable characters")
    return text


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise _OtherwiseReadError("a number stands where none is")
    return value


def _number(value: int | bytes) -> int:
    if not isinstance(value, int):
        raise _OtherwiseReadError("a number is none")
    return value


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    place = 0
    while place < len(data):
        tag, place = _varint(data, place)
        number, wire = tag >> 3, tag & 7
        if not number or wire not in (_NUMBER, _BYTES):
            raise _OtherwiseReadError(f"field {number} has the wire type {wire}")
        value, place = _varint(data, place)
        if wire == _NUMBER:
            yield number, value
            continue
        if value > len(data) - place:
            raise _OtherwiseReadError("it ends inside a field")
        yield number, data[place : place + value]
        place += value


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """Written in as few bytes as it can be; a negative number is not among what is judged."""
    value = shift = 0
    while place < len(data):
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if value >= _MOST:
            raise _OtherwiseReadError("a number is negative or too large")
        if byte & 0x80:
            continue
        if not byte and shift > 7:
            raise _OtherwiseReadError("a number is longer than it has to be")
        return value, place
    raise _OtherwiseReadError("it ends inside a number")
