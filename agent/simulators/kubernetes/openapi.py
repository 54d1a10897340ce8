"""The little of OpenAPI that `kubectl create -f` looks for: that the server checks fields itself."""

from __future__ import annotations

from agent.simulators.kubernetes.objects import STORED, Kind, Object

_PREFIX = "/openapi/v3"


def openapi(path: str) -> Object | None:
    """The index, or the document of one group; None for any other path."""
    documents = {_root(kind).strip("/"): kind for kind in STORED}
    if path == _PREFIX:
        paths = {root: {"serverRelativeURL": f"{_PREFIX}/{root}"} for root in documents}
        return {"paths": paths}
    root = path.removeprefix(f"{_PREFIX}/")
    return _document(root) if root in documents else None


def _root(kind: Kind) -> str:
    return f"/apis/{kind.api_version}" if kind.group else f"/api/{kind.version}"


def _document(root: str) -> Object:
    mine = [kind for kind in STORED if _root(kind).strip("/") == root]
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.32.4"},
        "paths": {_path(kind): {"patch": _patch(kind), "parameters": _parameters(kind)} for kind in mine},
        "components": {"schemas": {}},
    }


def _path(kind: Kind) -> str:
    inside = "/namespaces/{namespace}" if kind.namespaced else ""
    return f"{_root(kind)}{inside}/{kind.plural}/{{name}}"


def _parameters(kind: Kind) -> list[Object]:
    names = ["name", "namespace"] if kind.namespaced else ["name"]
    return [{"name": each, "in": "path", "required": True, "schema": {"type": "string"}} for each in names]


def _patch(kind: Kind) -> Object:
    names = ("dryRun", "fieldManager", "fieldValidation", "force")
    return {
        "operationId": f"patch{kind.kind}",
        "parameters": [{"name": each, "in": "query", "schema": {"type": "string"}} for each in names],
        "responses": {"200": {"description": "OK"}},
        "x-kubernetes-action": "patch",
        "x-kubernetes-group-version-kind": {
            "group": kind.group,
            "version": kind.version,
            "kind": kind.kind,
        },
    }
