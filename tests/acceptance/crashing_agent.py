"""The daemon's process, made to die at one point: `install` is called in it before the agent begins.

Nothing of the product knows of this. Every method that writes something down and every method of a vendor's
port is wrapped; the environment says where the process ends by SIGKILL, or which file the points are told to:

    CRASH_AT='store.record[match]:after'     CRASH_TRACE=/tmp/points.txt
"""

from __future__ import annotations

import functools
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import agent.delivery.chat
from tests.acceptance import crash_points
from tests.acceptance.crash_points import Boundary

#: What this thread is in the middle of: only the outermost of nested calls is a boundary.
_inside = threading.local()


def reached(boundary: str, side: str) -> None:
    """The process is at this point now."""
    point = f"{boundary}:{side}"
    trace = os.environ.get("CRASH_TRACE")
    if trace:
        with Path(trace).open("a") as file:
            file.write(f"{point}\n")
    if point == os.environ.get("CRASH_AT"):
        os.kill(os.getpid(), signal.SIGKILL)


def wrapped(name: str, boundary: Boundary, method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def crossing(*args: Any, **kwargs: Any) -> Any:
        tag = boundary.tag(*args, **kwargs)
        if tag is None or getattr(_inside, "name", ""):
            return method(*args, **kwargs)
        _inside.name = name
        try:
            label = f"{name}{tag}"
            reached(label, "before")
            value = method(*args, **kwargs)
            if boundary.happened(value):
                reached(label, "after")
            return value
        finally:
            _inside.name = ""

    return crossing


def free(name: str, boundary: Boundary, method: Callable[..., Any]) -> Callable[..., Any]:
    """Like `wrapped`, for what other boundaries lie inside of."""

    @functools.wraps(method)
    def crossing(*args: Any, **kwargs: Any) -> Any:
        label = f"{name}{boundary.tag(*args, **kwargs)}"
        reached(label, "before")
        value = method(*args, **kwargs)
        if boundary.happened(value):
            reached(label, "after")
        return value

    return crossing


def install() -> None:
    """Wrap every boundary of this process."""
    crash_points.remember_kinds()
    for each in crash_points.boundaries():
        wrap = free if each.boundary.encloses else wrapped
        setattr(each.owner, each.method, wrap(each.name, each.boundary, getattr(each.owner, each.method)))
    # not the pace of the outside world: what is asked here is where the process dies
    agent.delivery.chat._POST_EVERY_S = agent.delivery.chat._UPDATE_EVERY_S = 0.01
