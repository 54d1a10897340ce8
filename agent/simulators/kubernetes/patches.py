"""The three forms of PATCH: JSON patch, merge patch, and strategic merge patch for the built-in kinds."""

from __future__ import annotations

from collections.abc import Callable

from agent.simulators.kubernetes.errors import ApiError, bad_request, unsupported_media_type
from agent.simulators.kubernetes.objects import Json, Object, clone

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
_FORMS = (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH)

# Lists whose members are merged by a key (the API's patchMergeKey); every other list is replaced.
_MERGE_KEYS = {
    "addresses": ("type",),
    "conditions": ("type",),
    "containers": ("name",),
    "ephemeralContainers": ("name",),
    "env": ("name",),
    "hostAliases": ("ip",),
    "imagePullSecrets": ("name",),
    "initContainers": ("name",),
    "ownerReferences": ("uid",),
    "ports": ("containerPort", "port"),
    "secrets": ("name",),
    "taints": ("key",),
    "topologySpreadConstraints": ("topologyKey",),
    "volumeDevices": ("devicePath",),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
}
_MERGED_SETS = {"finalizers"}


def patched(document: Object, patch: Json, content_type: str) -> Object:
    """The object after the patch."""
    new = clone(document)
    match content_type:
        case "application/json-patch+json":
            return _json_patch(new, patch)
        case "application/merge-patch+json":
            return _as_object(_merge(new, patch))
        case "application/strategic-merge-patch+json" | "application/apply-patch+yaml":
            return _as_object(_strategic(new, patch))
    raise unsupported_media_type(content_type, _FORMS)


def _as_object(value: Json) -> Object:
    if not isinstance(value, dict):
        raise bad_request("the patch does not leave an object")
    return value


def _merge(target: Json, patch: Json) -> Json:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merge(result.get(key), value)
    return result


def _strategic(target: Json, patch: Json) -> Json:
    if not isinstance(patch, dict):
        return patch
    if patch.get("$patch") == "replace":
        return {key: value for key, value in patch.items() if key != "$patch"}
    result = dict(target) if isinstance(target, dict) else {}
    if kept := patch.get("$retainKeys"):
        result = {key: value for key, value in result.items() if key in kept}
    for key, value in patch.items():
        if key.startswith("$deleteFromPrimitiveList/"):
            name = key.partition("/")[2]
            result[name] = [each for each in result.get(name) or [] if each not in value]
        elif key.startswith("$"):
            continue
        elif value is None:
            result.pop(key, None)
        elif isinstance(value, list):
            result[key] = _strategic_list(key, result.get(key) or [], value)
        else:
            result[key] = _strategic(result.get(key), value)
    return result


def _strategic_list(name: str, target: list[Json], patch: list[Json]) -> list[Json]:
    if any(isinstance(each, dict) and each.get("$patch") == "replace" for each in patch):
        return [each for each in patch if each.get("$patch") != "replace"]
    if name in _MERGED_SETS:
        return [*target, *(each for each in patch if each not in target)]
    members = [each for each in [*target, *patch] if isinstance(each, dict)]
    key = next((key for key in _MERGE_KEYS.get(name, ()) if any(key in each for each in members)), None)
    return patch if key is None else _merge_members(key, target, patch)


def _merge_members(key: str, target: list[Json], patch: list[Json]) -> list[Json]:
    result = list(target)
    for member in patch:
        at = next((i for i, each in enumerate(result) if each.get(key) == member.get(key)), None)
        if member.get("$patch") == "delete":
            result = [each for each in result if each.get(key) != member.get(key)]
        elif at is None:
            result.append(_strategic({}, member))
        else:
            result[at] = _strategic(result[at], member)
    return result


def _json_patch(document: Object, patch: Json) -> Object:
    """RFC 6902."""
    if not isinstance(patch, list):
        raise bad_request("a JSON patch is a list of operations")
    holder: Object = {"": document}
    for operation in patch:
        _apply(holder, operation)
    return _as_object(holder[""])


def _apply(holder: Object, operation: Object) -> None:
    path = _pointer(operation.get("path", ""))
    match operation.get("op"):
        case "add":
            _place(holder, path, clone({"it": operation.get("value")})["it"], insert=True)
        case "replace":
            _find(holder, path)
            _place(holder, path, clone({"it": operation.get("value")})["it"], insert=False)
        case "remove":
            _take(holder, path)
        case "move":
            _place(holder, path, _take(holder, _pointer(operation["from"])), insert=True)
        case "copy":
            _place(holder, path, clone({"it": _find(holder, _pointer(operation["from"]))})["it"], insert=True)
        case "test":
            if _find(holder, path) != operation.get("value"):
                raise _unprocessable(f"testing path {operation['path']!r} value failed")
        case other:
            raise bad_request(f"unexpected kind: {other!r} is no JSON patch operation")


def _pointer(text: str) -> list[str]:
    return ["", *(part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:])]


def _unprocessable(message: str) -> ApiError:
    return ApiError(
        422, "Invalid", f"the server rejected our request due to an error in our request: {message}"
    )


def _step(here: Json, part: str) -> Json:
    try:
        return here[int(part)] if isinstance(here, list) else here[part]
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise _unprocessable(f"the path has no {part!r}") from error


def _find(holder: Object, path: list[str]) -> Json:
    here: Json = holder
    for part in path:
        here = _step(here, part)
    return here


def _place(holder: Object, path: list[str], value: Json, *, insert: bool) -> None:
    parent, last = _find(holder, path[:-1]), path[-1]
    if isinstance(parent, dict):
        parent[last] = value
    elif last == "-":
        parent.append(value)
    elif insert:
        parent.insert(int(last), value)
    else:
        parent[int(last)] = value


def _take(holder: Object, path: list[str]) -> Json:
    value, parent = _find(holder, path), _find(holder, path[:-1])
    remove: Callable[[Json], Json] = parent.pop
    remove(int(path[-1]) if isinstance(parent, list) else path[-1])
    return value
