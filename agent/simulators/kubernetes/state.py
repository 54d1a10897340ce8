"""The simulated cluster's objects: versions, conflicts, and a log that watches read from."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from agent.simulators.kubernetes.errors import ApiError, already_exists, conflict, not_found
from agent.simulators.kubernetes.objects import (
    STORED,
    Kind,
    Object,
    clone,
    name_of,
    namespace_of,
    new_uid,
    timestamp,
)

_LOG_LENGTH = 20_000  # far more than one test or demonstration writes


@dataclass(frozen=True, slots=True)
class Change:
    """One write: what was there before, and what is there now."""

    version: int
    kind: Kind
    before: Object | None
    after: Object | None


Select = Callable[[Object], bool]


def everything(_: Object) -> bool:
    """Selects all."""
    return True


class KubernetesState:
    """Every object of the cluster. What is handed out is a copy; what is handed in is kept as a copy."""

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.version = 1000
        self.closed = False
        self._objects: dict[Kind, dict[tuple[str, str], Object]] = {kind: {} for kind in STORED}
        self._log: deque[Change] = deque(maxlen=_LOG_LENGTH)

    def find(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """The object, or None."""
        with self.changed:
            found = self._objects[kind].get((namespace, name))
            return None if found is None else clone(found)

    def get(self, kind: Kind, namespace: str, name: str) -> Object:
        """The object; a Status 404 if there is none."""
        found = self.find(kind, namespace, name)
        if found is None:
            raise not_found(kind, name)
        return found

    def objects(self, kind: Kind, namespace: str = "", select: Select = everything) -> list[Object]:
        """The objects of a namespace (all of them for an empty one) in the order of their names."""
        with self.changed:
            found = sorted(self._objects[kind].items(), key=lambda item: item[0])
            inside = (each for key, each in found if not namespace or key[0] == namespace)
            return [clone(each) for each in inside if select(each)]

    def peek(self, kind: Kind, namespace: str = "") -> list[Object]:
        """As `objects`, but the objects themselves: only to be read, never to be changed."""
        with self.changed:
            return [each for key, each in self._objects[kind].items() if not namespace or key[0] == namespace]

    def create(self, kind: Kind, document: Object) -> Object:
        """Keep a new object; uid, times and versions are ours."""
        with self.changed:
            key = namespace_of(document), name_of(document)
            if key in self._objects[kind]:
                raise already_exists(kind, key[1])
            new = clone(document)
            new["metadata"].update(uid=new_uid(), creationTimestamp=timestamp())
            new["metadata"].setdefault("labels", None)
            if new["metadata"]["labels"] is None:
                del new["metadata"]["labels"]
            if "spec" in new:
                new["metadata"]["generation"] = 1
            new.update(apiVersion=kind.api_version, kind=kind.kind)
            return self._write(kind, None, new)

    def update(self, kind: Kind, document: Object) -> Object:
        """Replace an object; nothing happens when nothing differs. A stale resourceVersion is a Conflict."""
        with self.changed:
            before = self.get(kind, namespace_of(document), name_of(document))
            new = clone(document)
            if new["metadata"].get("resourceVersion", "") not in {"", before["metadata"]["resourceVersion"]}:
                raise conflict(kind, name_of(document))
            self._keep_identity(before, new)
            if new == before:
                return new
            if new.get("spec") != before.get("spec") and "generation" in before["metadata"]:
                new["metadata"]["generation"] = before["metadata"]["generation"] + 1
            return self._write(kind, before, new)

    def remove(self, kind: Kind, namespace: str, name: str) -> Object:
        """Take an object away for good, and give what it was."""
        with self.changed:
            before = self.get(kind, namespace, name)
            self._write(kind, before, None)
            return before

    def changes_after(self, version: int) -> list[Change]:
        """What was written since; a Status 410 when the log does not go back so far."""
        with self.changed:
            if self._log and version < self._log[0].version - 1 and len(self._log) == _LOG_LENGTH:
                raise ApiError(410, "Expired", f"too old resource version: {version}")
            return [each for each in self._log if each.version > version]

    def wait(self, version: int, timeout_s: float) -> bool:
        """Wait until something newer than `version` is there; False when time or the server ended first."""
        with self.changed:
            self.changed.wait_for(lambda: self.closed or self.version > version, timeout_s)
            return self.version > version

    def close(self) -> None:
        """End every wait."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """What is written inside is undone at the end, unseen by anybody: a dry run."""
        with self.changed:
            objects = {kind: dict(each) for kind, each in self._objects.items()}
            log, version = self._log.copy(), self.version
            try:
                yield
            finally:
                self._objects, self._log, self.version = objects, log, version

    def _keep_identity(self, before: Object, new: Object) -> None:
        for key in ("uid", "creationTimestamp", "resourceVersion", "generation"):
            if key in before["metadata"]:
                new["metadata"][key] = before["metadata"][key]
        new.update(apiVersion=before["apiVersion"], kind=before["kind"])

    def _write(self, kind: Kind, before: Object | None, after: Object | None) -> Object:
        self.version += 1
        shown = after if after is not None else clone(before or {})
        shown["metadata"]["resourceVersion"] = str(self.version)
        key = namespace_of(shown), name_of(shown)
        if after is None:
            del self._objects[kind][key]
        else:
            self._objects[kind][key] = after
        self._log.append(Change(self.version, kind, before if after is not None else shown, after))
        self.changed.notify_all()
        return clone(shown)
