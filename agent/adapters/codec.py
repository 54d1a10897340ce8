"""Domain values as JSON and back; unions carry the name of their case in `_type`."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from cattrs.preconf.json import make_converter
from cattrs.strategies import configure_tagged_union

from agent.adapters.packing import pack, unpack
from agent.domain.decisions import Ambiguous, Completed, Matched, NoMatch, StandDown, Stopped
from agent.domain.expectation import (
    Both,
    Either,
    Equals,
    ExitCode,
    JsonPath,
    NumberCompares,
    OutputContains,
    OutputMatches,
)
from agent.domain.outbox import Message

T = TypeVar("T")

_converter = make_converter()
_converter.register_structure_hook_func(lambda of_type: of_type is object, lambda value, _: value)
for _union in (
    Matched | NoMatch | Ambiguous,
    Completed | Stopped | StandDown,
    Message,
    Equals | OutputContains | OutputMatches | ExitCode | JsonPath | NumberCompares | Both | Either,
):
    configure_tagged_union(_union, _converter)


#: What most steps return.
_PLAIN = {None: "null", True: "true", False: "false"}

_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


def to_data(value: object, of_type: object = None) -> Any:
    """A value as what json.dumps takes; a union's value needs `of_type`."""
    return _converter.unstructure(value, unstructure_as=of_type)


def from_data(data: object, of_type: Any) -> Any:
    """What `to_data` made, as a value again."""
    return _converter.structure(data, of_type)


def dump(value: object, of_type: object = None) -> str:
    """A value as canonical JSON: the same value is always the same text."""
    plain = _PLAIN.get(value) if value is None or value is True or value is False else None
    return _encode(to_data(value, of_type)) if plain is None else plain


def packed(value: object, of_type: object = None) -> str:
    """The same as it is kept where it may be long."""
    return pack(dump(value, of_type))


def load(text: str, of_type: Any) -> Any:
    """What `dump` or `packed` made, as a value again."""
    return from_data(loads(text), of_type)


def loads(text: str) -> Any:
    """JSON that may be packed, as data."""
    return json.loads(unpack(text))
