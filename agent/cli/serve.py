"""`serve`: the daemon."""

from __future__ import annotations

import contextlib
import ctypes
import gc
from typing import Annotated

import typer

from agent.cli.output import DEFAULT_CONFIG, ConfigOption, load_config
from agent.domain.executor import Role
from agent.log import set_up_logging

RoleOption = Annotated[
    Role, typer.Option("--role", help="web: webhooks and API; worker: everything else; all: both.")
]

#: glibc's M_ARENA_MAX (malloc.h).
_HEAPS_AT_MOST = -8

#: So many more objects than were given back make one look at the youngest.
_YOUNG = 10_000


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def serve(config: ConfigOption = DEFAULT_CONFIG, role: RoleOption = Role.ALL) -> None:
        """Listen for pages and work on them until SIGTERM."""
        loaded = load_config(config, with_secrets=True)
        from agent.wiring import build, known_secrets  # builds the world: only when it is really served

        set_up_logging(secrets=known_secrets(loaded))

        keep_memory_together()
        daemon = build(loaded, role=role)
        daemon.start()
        _look_for_garbage_seldom()
        daemon.run_until_signalled()


def keep_memory_together() -> None:
    """All threads take memory from two heaps, not each from one of its own that keeps what others could use.

    They share one interpreter, so they hardly ever ask at once. Elsewhere than on glibc it stays as it is.
    """
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_HEAPS_AT_MOST, 2)


def _look_for_garbage_seldom() -> None:
    """What was loaded and built stays to the end: each look through it would hold up everybody.

    Nearly everything that comes later is given back as soon as nobody needs it, without a look.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 10, 5)
