"""Watch: a stream of changes, one JSON line each, that a selector's point of view turns into
ADDED, MODIFIED and DELETED.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from agent.simulators.kubernetes.objects import Kind, Object, namespace_of
from agent.simulators.kubernetes.state import Change, KubernetesState, Select

_LOOK_S = 0.5  # how often a quiet stream asks whether the server is being stopped


@dataclass(frozen=True, slots=True)
class Watch:
    """One client's watch: what it wants to see, and how each object is shown to it."""

    kind: Kind
    namespace: str
    select: Select
    show: Callable[[Object], Object]
    timeout_s: float


def stream(state: KubernetesState, watch: Watch, start: str) -> Iterator[bytes]:
    """The lines, until the time is over or the server stops. Without a start: what is there comes first."""
    yield b""  # the HTTP server sends its headers with the first piece, and clients wait for them
    version = int(start or 0)
    if version == 0:
        with state.changed:
            version, found = state.version, state.objects(watch.kind, watch.namespace, watch.select)
        for each in found:
            yield _line("ADDED", watch.show(each))
    end = time.monotonic() + watch.timeout_s
    while not state.closed and (left := end - time.monotonic()) > 0:
        if not state.wait(version, min(left, _LOOK_S)):
            continue
        for change in state.changes_after(version):
            version = change.version
            yield from _seen(watch, change)


def _seen(watch: Watch, change: Change) -> Iterator[bytes]:
    if change.kind != watch.kind:
        return
    was, is_now = _visible(watch, change.before), _visible(watch, change.after)
    if was and not is_now:
        gone = {**(change.after or change.before or {})}
        gone["metadata"] = {**gone["metadata"], "resourceVersion": str(change.version)}
        yield _line("DELETED", watch.show(gone))
    elif is_now and change.after is not None:
        yield _line("MODIFIED" if was else "ADDED", watch.show(change.after))


def _visible(watch: Watch, document: Object | None) -> bool:
    if document is None:
        return False
    inside = not watch.namespace or namespace_of(document) == watch.namespace
    return inside and watch.select(document)


def _line(kind: str, shown: Object) -> bytes:
    return json.dumps({"type": kind, "object": shown}).encode() + b"\n"
