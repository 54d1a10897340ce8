"""What the Messages API refuses, and what is left of a request when it is accepted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

#: The versions that clients send: the current one, and that of clients before 2.0.
VERSIONS = frozenset({"2026-10-21", "2023-06-01"})
MODELS = (
    "claude-haiku-4-5",
    "claude-haiku-5-5",
    "claude-sonnet-5",
    "claude-sonnet-5-5",
    "claude-opus-5",
    "claude-opus-5-5",
)
#: "Request exceeds the maximum size": 32 MB for the Messages API.
MAX_BYTES = 32 * 1024 * 1024
# Structured outputs: what constrains values beyond enums is not supported in a schema.
_UNSUPPORTED = frozenset({"minimum", "maximum", "minLength", "maxLength", "pattern", "oneOf", "multipleOf"})
_KNOWN = frozenset(
    (
        *("model", "max_tokens", "messages", "system", "output_config", "tools", "tool_choice"),
        *("metadata", "stop_sequences", "thinking", "service_tier", "stream"),
    )
)


class RefusedError(Exception):
    """The API answers with an error."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        self.status = status
        self.kind = kind
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Asked:
    """An accepted request: the texts, and the schema that the answer is held to."""

    model: str
    system: str
    text: str
    schema: Mapping[str, object]
    tool: str = ""

    @property
    def candidates(self) -> tuple[str, ...]:
        """What the schema lets `candidate` be."""
        return self.choices("candidate")

    @property
    def parameters(self) -> tuple[str, ...]:
        """The parameter names that it asks for."""
        return tuple(_properties(_properties(self.schema).get("parameters")))

    def choices(self, *path: str) -> tuple[str, ...]:
        """The enum at a path of properties; empty if any text may stand there."""
        found: object = self.schema
        for name in path:
            found = _properties(found).get(name)
        enum = found.get("enum") if isinstance(found, Mapping) else None
        return tuple(str(each) for each in enum) if isinstance(enum, Sequence) else ()


def _properties(schema: object) -> Mapping[str, object]:
    found = schema.get("properties") if isinstance(schema, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def check_headers(headers: Mapping[str, str], api_key: str) -> None:
    """The key in either header that clients use, and a version."""
    lower = {name.lower(): value for name, value in headers.items()}
    given = lower.get("x-api-key") or lower.get("authorization", "").removeprefix("Bearer ")
    if given != api_key:
        raise RefusedError(401, "authentication_error", "invalid x-api-key")
    if "anthropic-version" not in lower:
        raise _invalid("anthropic-version: header is required")
    if lower["anthropic-version"] not in VERSIONS:
        raise _invalid(f"anthropic-version: {lower['anthropic-version']} is not a valid version")


def read_request(body: object, models: Sequence[str]) -> Asked:
    """The request understood, or why the API would refuse it."""
    if not isinstance(body, dict):
        raise _invalid("the body is no JSON object")
    unknown = sorted(body.keys() - _KNOWN)
    if unknown:
        raise _invalid(f"{unknown[0]}: Extra inputs are not permitted")
    model, limit = body.get("model"), body.get("max_tokens")
    if not isinstance(model, str):
        raise _invalid("model: Field required")
    if model not in models:
        raise RefusedError(404, "not_found_error", f"model: {model}")
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise _invalid("max_tokens: Input should be a positive integer")
    tool, schema = _form(body)
    _check_schema(schema)
    return Asked(model, _plain_text(body.get("system", "")), _messages(body.get("messages")), schema, tool)


def _messages(value: object) -> str:
    if not isinstance(value, list) or not value:
        raise _invalid("messages: at least one message is required")
    texts = []
    for message in value:
        if not isinstance(message, dict) or message.get("role") not in {"user", "assistant"}:
            raise _invalid("messages: role must be user or assistant")
        text = _plain_text(message.get("content"))
        if not text.strip():
            raise _invalid("messages: text content blocks must be non-empty")
        texts.append(text)
    return "\n".join(texts)


def _plain_text(content: object) -> str:
    """A text, or the texts of its blocks."""
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    return "\n".join(str(block.get("text", "")) for block in blocks if isinstance(block, dict))


def _form(body: Mapping[str, object]) -> tuple[str, Mapping[str, object]]:
    """(tool, schema) of the structured answer: output_config.format, or one forced strict tool."""
    config = body.get("output_config")
    if isinstance(config, dict) and isinstance(config.get("format"), dict):
        form = config["format"]
        if form.get("type") != "json_schema" or not isinstance(form.get("schema"), dict):
            raise _invalid("output_config.format: must be a json_schema with a schema")
        return "", form["schema"]
    tools, choice = body.get("tools"), body.get("tool_choice")
    name = choice.get("name") if isinstance(choice, dict) else None
    for tool in tools if isinstance(tools, list) else []:
        if isinstance(tool, dict) and tool.get("name") == name and isinstance(tool.get("input_schema"), dict):
            return str(name), tool["input_schema"] if tool.get("strict") else {}
    return "", {}


def _check_schema(schema: Mapping[str, object]) -> None:
    for each in _schemas(schema):
        unsupported = sorted(_UNSUPPORTED & each.keys())
        if unsupported:
            raise _invalid(f"output_config.format.schema: {unsupported[0]} is not supported")
        if each.get("type") == "object" and each.get("additionalProperties") is not False:
            raise _invalid("output_config.format.schema: additionalProperties must be false")


def _schemas(schema: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    yield schema
    for each in _properties(schema).values():
        if isinstance(each, Mapping):
            yield from _schemas(each)


def _invalid(message: str) -> RefusedError:
    return RefusedError(400, "invalid_request_error", message)
