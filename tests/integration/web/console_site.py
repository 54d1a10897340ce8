"""Somebody before the console: a browser that is signed in, without the way through the sign-in page."""

from __future__ import annotations

import contextlib
import re
from typing import Any

from werkzeug.test import TestResponse

from agent.domain.sign_ins import Proof
from agent.escalations.settings import queueing_of
from agent.web import keys
from agent.web.identity import CSRF_FIELD, csrf_of
from agent.web.keys import Newcomer
from tests.integration.web.conftest import Site
from tests.unit.pipeline.conftest import runbook, step

PEOPLE: list[dict[str, Any]] = [
    {"name": "vera", "role": "viewer"},
    {"name": "rita", "role": "responder", "teams": ["on-call"]},
    {"name": "otto", "role": "responder", "teams": ["payments"]},
    {"name": "anna", "role": "approver"},
    {"name": "adam", "role": "admin"},
]

#: What nobody may ever see come alive, with a turn of the writing direction and a terminal's colour.
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'\u202etxt.exe\x1b[31mred"


class Visitor:
    """One person's browser."""

    def __init__(self, site: Site, name: str) -> None:
        person = site.config.person(name)
        assert person is not None
        self.secret = keys.open_session(site.store, Newcomer(person, Proof.PASSWORD, "127.0.0.1", "a test"))
        self._client = site.client.application.test_client()
        self._client.set_cookie("oncall_session", self.secret)

    def get(self, path: str, **headers: str) -> TestResponse:
        return self._client.get(f"/console{path}", headers=headers)

    def post(self, path: str, **form: str) -> TestResponse:
        return self._client.post(f"/console{path}", data={CSRF_FIELD: csrf_of(self.secret), **form})

    def post_without_token(self, path: str, **form: str) -> TestResponse:
        return self._client.post(f"/console{path}", data=form)


def with_people(site: Site) -> Site:
    site.settings["people"] = [dict(each) for each in PEOPLE]
    site.settings["audit"] = {"path": str(site.directory / "audit.jsonl")}
    site.store.queueing = queueing_of(site.config)
    return site


def waiting(site: Site, *, steps: str = "", title: str = "Redis connection timeout") -> str:
    """An incident that waits for an approval and is left so; its id."""
    site.world.configure(runbooks={"default_autonomy": "approve"})
    site.world.runbook(runbook(steps=steps or step(1, "redis-cli PING")))
    site.world.context.library.reload()
    site.world.answers("redis-cli PING", "PONG")
    return left_waiting(site, title=title)


class StillWaits(Exception):  # noqa: N818  (no error: how a run is left where it waits)
    """The run is left where it waits."""


def left_waiting(site: Site, *, title: str) -> str:
    def leave(_: str) -> bool:
        raise StillWaits

    site.world.on_wait = leave
    with contextlib.suppress(StillWaits):
        site.world.page(title=title, source_id=f"W{len(site.store.incidents())}")
    (row, *_) = site.store.waiting()
    return str(row["incident_id"])


def goes_on(site: Site, incident_id: str) -> None:
    """The run that was left waiting is taken up again, as after a wake-up."""
    site.world.on_wait = lambda _: False
    site.world.handle(incident_id)


def words_of(answer: TestResponse) -> str:
    """What a page says, without its marks."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text))
