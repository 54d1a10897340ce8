"""YAML inside a runbook: one plain mapping, read strictly and safely.

Anchors, aliases, tags, deep nesting and repeated keys are refused before anything is built.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import yaml
from yaml.constructor import SafeConstructor

from agent.library.problems import NotUnderstoodError

MAX_CHARS = 16_000
MAX_DEPTH = 6
_OPENING = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
_CLOSING = (yaml.MappingEndEvent, yaml.SequenceEndEvent)


class YamlError(NotUnderstoodError):
    """The YAML is not understood; `offset` counts lines from its first."""

    def __init__(self, message: str, fix: str = "", *, offset: int = 0) -> None:
        super().__init__(message, fix)
        self.offset = offset


def load_mapping(text: str) -> Mapping[str, object]:
    """The mapping that the text is; an empty text is an empty mapping."""
    if len(text) > MAX_CHARS:
        raise YamlError(f"more than {MAX_CHARS} characters of YAML", "make it shorter")
    try:
        value = _loaded(text)
    except yaml.MarkedYAMLError as error:
        offset = error.problem_mark.line if error.problem_mark is not None else 0
        raise YamlError(f"not valid YAML: {error.problem}", _HINT, offset=offset) from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        if isinstance(error, NotUnderstoodError):
            raise
        raise YamlError("not valid YAML, or a value that YAML cannot hold", _HINT) from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise YamlError("a mapping is needed", "write lines of the form key: value")
    return _with_text_keys(value)


_HINT = 'write lines of the form key: value, and put {{ name }} in quotes: "{{ name }}"'


def _loaded(text: str) -> object:
    """By the parser in C, ten times as fast; what it refuses, the one in Python judges and words."""
    if _FastLoader is not None:
        try:
            _check_events(text, _FastLoader)
            return yaml.load(text, _FastLoader)  # noqa: S506  (a SafeLoader that is stricter still)
        except (yaml.YAMLError, NotUnderstoodError, ValueError, OverflowError):
            pass
    _check_events(text, yaml.SafeLoader)
    return yaml.load(text, _StrictLoader)  # noqa: S506  (a SafeLoader that is stricter still)


def _check_events(text: str, loader: type[yaml.SafeLoader]) -> None:
    depth = 0
    for event in yaml.parse(text, loader):
        depth += isinstance(event, _OPENING) - isinstance(event, _CLOSING)
        line = event.start_mark.line if event.start_mark is not None else 0
        if depth > MAX_DEPTH:
            raise YamlError("YAML nested too deeply", "make it flat", offset=line)
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:
            raise YamlError("YAML anchors and aliases are not accepted", "write the value out", offset=line)
        if isinstance(event, (*_OPENING, yaml.ScalarEvent)) and event.tag not in (None, "!"):
            raise YamlError("YAML tags are not accepted", "write the plain value", offset=line)


def _with_text_keys(mapping: Mapping[object, object]) -> Mapping[str, object]:
    if not all(isinstance(key, str) for key in mapping):
        raise YamlError("a key that is not text", "write keys as plain words")
    return {str(key): value for key, value in mapping.items()}


class _NoDoubles(SafeConstructor):
    """PyYAML's takes the last of two equal keys silently; this one refuses."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value == "<<":
                raise YamlError("YAML merge keys are not accepted", "write the values out")
            if isinstance(key.value, str) and key.value in seen:
                raise YamlError(
                    f"the key {key.value} is written twice", "keep one of them", offset=key.start_mark.line
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep=deep)


class _StrictLoader(_NoDoubles, yaml.SafeLoader):
    """In Python, always there."""


#: In C; None where PyYAML was built without it.
_FastLoader: type[yaml.SafeLoader] | None = (
    type("_FastLoader", (_NoDoubles, yaml.CSafeLoader), {}) if hasattr(yaml, "CSafeLoader") else None
)
