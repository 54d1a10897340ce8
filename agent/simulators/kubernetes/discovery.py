"""What the API server has: versions, groups and resources, in the old form and in the aggregated one."""

from __future__ import annotations

from agent.simulators.kubernetes.objects import KINDS, Kind, Object, Subresource

VERSION: Object = {
    "major": "1",
    "minor": "32",
    "gitVersion": "v1.32.4",
    "gitCommit": "0000000000000000000000000000000000000000",
    "gitTreeState": "clean",
    "buildDate": "2025-04-22T16:02:27Z",
    "goVersion": "go1.23.6",
    "compiler": "gc",
    "platform": "linux/amd64",
}
_AGGREGATED = "as=APIGroupDiscoveryList"
_GROUPS = tuple(dict.fromkeys(kind.group for kind in KINDS if kind.group))


def discover(path: str, accept: str) -> tuple[Object, str] | None:
    """The answer to a discovery path and its content type; None when it is no such path."""
    parts = [part for part in path.split("/") if part]
    aggregated = _AGGREGATED in accept
    match parts:
        case ["api"] | ["apis"] if aggregated:
            return _aggregated(_GROUPS if parts == ["apis"] else ("",), accept)
        case ["api"]:
            return _plain({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
        case ["apis"]:
            groups = [_group(each) for each in _GROUPS]
            return _plain({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
        case ["apis", group] if group in _GROUPS:
            return _plain({"kind": "APIGroup", "apiVersion": "v1", **_group(group)})
        case ["api", "v1"]:
            return _plain(_resource_list("", "v1"))
        case ["apis", group, "v1"] if group in _GROUPS:
            return _plain(_resource_list(group, f"{group}/v1"))
    return None


def _plain(document: Object) -> tuple[Object, str]:
    return document, "application/json"


def _group(group: str) -> Object:
    version = {"groupVersion": f"{group}/v1", "version": "v1"}
    return {"name": group, "versions": [version], "preferredVersion": version}


def _resource_list(group: str, version: str) -> Object:
    resources: list[Object] = []
    for kind in (each for each in KINDS if each.group == group):
        resources.append(_resource(kind))
        resources.extend(_subresource(kind, each) for each in kind.subresources)
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources}


def _resource(kind: Kind) -> Object:
    return {
        "name": kind.plural,
        "singularName": kind.kind.lower(),
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": list(kind.verbs),
        **({"shortNames": list(kind.short)} if kind.short else {}),
        **({"categories": ["all"]} if kind.in_all else {}),
    }


def _subresource(kind: Kind, part: Subresource) -> Object:
    other = {} if part.group == kind.group else {"group": part.group, "version": part.version}
    return {
        "name": f"{kind.plural}/{part.name}",
        "singularName": "",
        "namespaced": kind.namespaced,
        **other,
        "kind": part.kind,
        "verbs": list(part.verbs),
    }


def _aggregated(groups: tuple[str, ...], accept: str) -> tuple[Object, str]:
    version = "v2" if "v=v2;" in accept else "v2beta1"
    items = [
        {
            "metadata": {"name": group, "creationTimestamp": None} if group else {"creationTimestamp": None},
            "versions": [
                {
                    "version": "v1",
                    "resources": [_aggregated_resource(each) for each in KINDS if each.group == group],
                    "freshness": "Current",
                }
            ],
        }
        for group in groups
    ]
    body: Object = {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{version}",
        "metadata": {},
        "items": items,
    }
    return body, f"application/json;g=apidiscovery.k8s.io;v={version};{_AGGREGATED}"


def _aggregated_resource(kind: Kind) -> Object:
    parts = [
        {
            "subresource": each.name,
            "responseKind": {"group": each.group, "version": each.version, "kind": each.kind},
            "verbs": list(each.verbs),
        }
        for each in kind.subresources
    ]
    return {
        "resource": kind.plural,
        "responseKind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.kind.lower(),
        "verbs": list(kind.verbs),
        **({"shortNames": list(kind.short)} if kind.short else {}),
        **({"categories": ["all"]} if kind.in_all else {}),
        **({"subresources": parts} if parts else {}),
    }
