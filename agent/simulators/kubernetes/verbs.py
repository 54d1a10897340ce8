"""What each verb does to the cluster: create, get, list, update, patch, delete, scale and evict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from agent.simulators.kubernetes.controllers import Controllers, disruptions
from agent.simulators.kubernetes.defaults import SCALABLE, admit, check_unchanged, check_version, complete
from agent.simulators.kubernetes.errors import (
    bad_request,
    conflict,
    disrupts_too_much,
    method_not_allowed,
    not_found,
)
from agent.simulators.kubernetes.kubelet import begin_deletion
from agent.simulators.kubernetes.objects import (
    BUDGETS,
    NAMESPACES,
    PODS,
    STORED,
    Json,
    Kind,
    Object,
    clone,
    is_terminating,
    labels_of,
    name_of,
    namespace_of,
    owned_by,
)
from agent.simulators.kubernetes.patches import APPLY_PATCH, patched
from agent.simulators.kubernetes.selectors import field_selector, label_selector, matches_selector
from agent.simulators.kubernetes.state import KubernetesState, Select


@dataclass(frozen=True, slots=True)
class Place:
    """What a path names."""

    kind: Kind
    namespace: str = ""
    name: str = ""
    subresource: str = ""


class Verbs:
    """The API's writes and reads on stored objects; `dry` writes are answered in full and then undone."""

    def __init__(self, state: KubernetesState, controllers: Controllers) -> None:
        self._state, self._controllers = state, controllers

    def get(self, place: Place) -> Object:
        """One object, or its scale."""
        found = self._state.get(place.kind, place.namespace, place.name)
        return _scale_of(place.kind, found) if place.subresource == "scale" else found

    def select(self, labels: str, fields: str) -> Select:
        """Both selectors as one question."""
        by_label, by_field = label_selector(labels), field_selector(fields)
        return lambda document: by_label(document) and by_field(document)

    def list(self, place: Place, select: Select) -> Object:
        """A list as it goes on the wire: its items do not repeat what kind they are."""
        with self._state.changed:
            found = self._state.objects(place.kind, place.namespace, select)
            version = str(self._state.version)
        items = [{key: value for key, value in each.items() if key not in _TYPE} for each in found]
        return {
            "kind": f"{place.kind.kind}List",
            "apiVersion": place.kind.api_version,
            "metadata": {"resourceVersion": version},
            "items": items,
        }

    def create(self, place: Place, document: Object, *, dry: bool) -> Object:
        """A new object."""
        new = admit(place.kind, document, place.namespace)
        return self._write(lambda: self._create(place, new), dry=dry)

    def update(self, place: Place, document: Object, *, dry: bool) -> Object:
        """PUT: the whole object, its scale or its status."""
        check_version(document)
        return self._write(lambda: self._replace(place, document), dry=dry)

    def patch(self, place: Place, patch: Json, content_type: str, *, dry: bool) -> Object:
        """PATCH in any of its forms."""
        return self._write(lambda: self._patch(place, patch, content_type), dry=dry)

    def delete(self, place: Place, options: Object, *, dry: bool) -> Object:
        """One object; a pod ends by and by, everything else at once."""
        return self._write(lambda: self._delete(place, options), dry=dry)

    def delete_all(self, place: Place, select: Select, options: Object, *, dry: bool) -> Object:
        """Every object that the selectors pick."""

        def remove() -> Object:
            gone = self.list(place, select)
            for each in gone["items"]:
                self._delete(Place(place.kind, namespace_of(each), name_of(each)), options)
            return gone

        return self._write(remove, dry=dry)

    def evict(self, place: Place, eviction: Object, *, dry: bool) -> Object:
        """A deletion that every PodDisruptionBudget must allow."""
        return self._write(lambda: self._evict(place, eviction), dry=dry)

    def _write(self, action: Callable[[], Object], *, dry: bool) -> Object:
        with self._state.changed:
            if dry:
                with self._state.rehearsal():
                    return action()
            result = action()
            self._controllers.settle()
            return result

    def _create(self, place: Place, new: Object) -> Object:
        if place.kind.namespaced and self._state.find(NAMESPACES, "", place.namespace) is None:
            raise not_found(NAMESPACES, place.namespace)
        return self._state.create(place.kind, new)

    def _replace(self, place: Place, document: Object) -> Object:
        before = self._state.get(place.kind, place.namespace, place.name)
        if place.subresource == "scale":
            return self._set_scale(place, before, document)
        check_unchanged(place.kind, before, document)
        new = _only_its_part(place, before, document)
        return self._state.update(place.kind, complete(place.kind, new))

    def _patch(self, place: Place, patch: Json, content_type: str) -> Object:
        before = self._state.find(place.kind, place.namespace, place.name)
        if before is None and content_type == APPLY_PATCH and not place.subresource:
            return self._create(place, admit(place.kind, dict(patch), place.namespace))
        before = self._state.get(place.kind, place.namespace, place.name)
        if place.subresource == "scale":
            scale = patched(_scale_of(place.kind, before), patch, content_type)
            return self._set_scale(place, before, scale)
        return self._replace(place, patched(before, patch, content_type))

    def _set_scale(self, place: Place, before: Object, scale: Object) -> Object:
        if place.kind not in SCALABLE:
            raise method_not_allowed()
        wanted = (scale.get("spec") or {}).get("replicas", 0)
        version = (scale.get("metadata") or {}).get("resourceVersion", "")
        if version not in {"", before["metadata"]["resourceVersion"]}:
            raise conflict(place.kind, place.name)
        new = {**before, "spec": {**before["spec"], "replicas": wanted}}
        return _scale_of(place.kind, self._state.update(place.kind, complete(place.kind, new)))

    def _delete(self, place: Place, options: Object) -> Object:
        found = self._state.get(place.kind, place.namespace, place.name)
        uid = (options.get("preconditions") or {}).get("uid", found["metadata"]["uid"])
        if uid != found["metadata"]["uid"]:
            raise conflict(place.kind, place.name)
        if place.kind == PODS and options.get("gracePeriodSeconds") != 0:
            if not is_terminating(found):
                begin_deletion(self._state, found, options.get("gracePeriodSeconds", 30))
            return self._state.get(PODS, place.namespace, place.name)
        if options.get("propagationPolicy") == "Orphan" or options.get("orphanDependents"):
            self._orphan(found)
        self._state.remove(place.kind, place.namespace, place.name)
        return found if place.kind == PODS else _deleted(place.kind, found)

    def _orphan(self, owner: Object) -> None:
        for kind in (each for each in STORED if each.namespaced):
            for document in self._state.objects(kind, namespace_of(owner), lambda it: owned_by(it, owner)):
                del document["metadata"]["ownerReferences"]
                self._state.update(kind, document)

    def _evict(self, place: Place, eviction: Object) -> Object:
        pod = self._state.get(PODS, place.namespace, place.name)
        for budget in self._state.peek(BUDGETS, place.namespace):
            if not matches_selector(budget["spec"].get("selector"), labels_of(pod)):
                continue
            allowed, healthy, needed, _ = disruptions(self._state, budget)
            if allowed < 1:
                raise disrupts_too_much(name_of(budget), healthy, needed)
        self._delete(place, eviction.get("deleteOptions") or {})
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


_TYPE = ("kind", "apiVersion")


def _only_its_part(place: Place, before: Object, document: Object) -> Object:
    """/status changes the status and nothing else; the object itself leaves it as it was."""
    parts = {each.name for each in place.kind.subresources}
    if place.subresource == "status":
        version = document["metadata"].get("resourceVersion", before["metadata"]["resourceVersion"])
        metadata = {**before["metadata"], "resourceVersion": version}
        return {**before, "metadata": metadata, "status": document.get("status", {})}
    if place.subresource:
        raise method_not_allowed()
    new = clone(document)
    if "status" in parts and "status" in before:
        new["status"] = before["status"]
    return new


def _scale_of(kind: Kind, document: Object) -> Object:
    if kind not in SCALABLE:
        raise method_not_allowed()
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    selector = document["spec"].get("selector", {}).get("matchLabels") or {}
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: document["metadata"][key] for key in kept},
        "spec": {"replicas": document["spec"]["replicas"]},
        "status": {
            "replicas": document.get("status", {}).get("replicas", 0),
            "selector": ",".join(f"{key}={value}" for key, value in sorted(selector.items())),
        },
    }


def _deleted(kind: Kind, document: Object) -> Object:
    about = {"name": name_of(document), "kind": kind.plural, "uid": document["metadata"]["uid"]}
    details = {**about, "group": kind.group} if kind.group else about
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def delete_options(body: object) -> Object:
    """The DeleteOptions in a body, which may be empty."""
    if body is None:
        return {}
    if not isinstance(body, dict):
        raise bad_request("the body of a DELETE is a DeleteOptions object")
    return body
