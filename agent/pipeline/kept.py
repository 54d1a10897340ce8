"""The revision that an incident runs by, whatever the file says by now."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from agent.domain.runbook import Runbook
from agent.library import Parsed, parse
from agent.pipeline.context import Context
from agent.ports import Records


def kept_runbook(context: Context, runbook_id: str, revision: str) -> Runbook:
    """A revision that was kept when it was matched; two files of the same bytes are one revision."""
    return runbook_of(context.store, runbook_id, revision)


def runbook_of(store: Records, runbook_id: str, revision: str) -> Runbook:
    """The same for whoever has no more than the store."""
    path, text = store.revision_text(revision)
    runbook = _parsed(text, path, runbook_id)
    if runbook is None:
        raise TypeError(f"revision {revision[:12]} of {path} was a runbook when it was matched")
    return runbook


@lru_cache(maxsize=256)
def _parsed(text: str, path: str, runbook_id: str) -> Runbook | None:
    """The same few revisions are run again and again."""
    parsed = parse(text, path=path)
    return replace(parsed.runbook, id=runbook_id) if isinstance(parsed, Parsed) else None
