"""Webhooks are stored together, each gets what became of it, and nobody waits longer than a source does."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import pytest

from agent.adapters.fake_clock import FakeClock
from agent.adapters.store import Store
from agent.domain.alert import Alert
from agent.domain.errors import StoreError
from agent.domain.source_event import Acceptance, Accepted, EventType, SourceEvent
from agent.web.reception import Reception
from agent.web.webhooks import Desk, Post
from tests.integration.web.conftest import Site, signature, triggered
from tests.integration.web.test_web_edges import metrics

ALERT = Alert("pagerduty", "P1", "Redis connection timeout", service="api-gateway")
TRIGGERED = SourceEvent("pagerduty", "d-1", EventType.TRIGGERED, "incident.triggered", "P1", alert=ALERT)


def trigger(number: int) -> SourceEvent:
    alert = replace(ALERT, source_id=f"P{number}")
    return replace(TRIGGERED, delivery_id=f"d-{number}", source_id=f"P{number}", alert=alert)


def signed(data: object) -> tuple[bytes, dict[str, str]]:
    body = json.dumps(data).encode()
    return body, {"x-pagerduty-signature": signature(body)}


class Gated:
    """The real store behind a gate: while it is shut, it hangs as a disk does that does not answer."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.batches: list[int] = []
        self.inside = threading.Event()
        self.open = threading.Event()
        self.open.set()

    def accept_all(
        self, webhooks: Sequence[tuple[SourceEvent, str]], *, backlog: int | None, within_s: float | None
    ) -> Sequence[Accepted]:
        self.batches.append(len(webhooks))
        self.inside.set()
        self.open.wait(10)
        return self._store.accept_all(webhooks, backlog=backlog, within_s=within_s)

    def shut(self) -> None:
        self.inside.clear()
        self.open.clear()


@pytest.fixture
def gated(store: Store) -> Gated:
    return Gated(store)


def take_behind_the_gate(
    gated: Gated, reception: Reception, webhooks: Sequence[tuple[SourceEvent, str]]
) -> list[Future[Accepted]]:
    """The first is being stored when the others come, and they stand in line together."""
    gated.shut()
    with ThreadPoolExecutor(len(webhooks)) as pool:
        futures = [pool.submit(reception.take, *webhooks[0])]
        assert gated.inside.wait(10)
        futures += [pool.submit(reception.take, *each) for each in webhooks[1:]]
        until = time.monotonic() + 10
        while reception._line.qsize() < len(webhooks) - 1 and time.monotonic() < until:
            time.sleep(0.001)
        gated.open.set()
    return futures


def test_webhooks_that_come_together_are_stored_together(store: Store, gated: Gated) -> None:
    reception = Reception(gated, backlog=100)
    futures = take_behind_the_gate(gated, reception, [(trigger(number), "{}") for number in range(10)])
    taken = [future.result() for future in futures]
    assert {each.acceptance for each in taken} == {Acceptance.NEW_INCIDENT}
    assert gated.batches == [1, 9]
    assert {each.incident_id for each in taken} == {incident.id for incident in store.incidents()}


def test_one_that_cannot_be_stored_does_not_take_the_others_with_it(store: Store, gated: Gated) -> None:
    """Half a character: no database takes it. It never gets so far, but what else might?"""
    reception = Reception(gated, backlog=100)
    webhooks = [(trigger(number), "{}") for number in range(5)]
    webhooks[3] = (trigger(3), "\ud800")
    outcomes = [future.exception() for future in take_behind_the_gate(gated, reception, webhooks)]
    assert [type(error) for error in outcomes] == [type(None)] * 3 + [UnicodeEncodeError, type(None)]
    assert {incident.alert.source_id for incident in store.incidents()} == {"P0", "P1", "P2", "P4"}


def test_five_deliveries_of_one_trigger_in_one_transaction_are_one_incident(
    store: Store, gated: Gated
) -> None:
    reception = Reception(gated, backlog=100)
    webhooks = [(replace(TRIGGERED, delivery_id=f"d-{number}"), "{}") for number in range(5)]
    taken = [future.result() for future in take_behind_the_gate(gated, reception, webhooks)]
    assert [each.acceptance for each in taken] == [Acceptance.NEW_INCIDENT] + [Acceptance.KNOWN_INCIDENT] * 4
    assert {each.incident_id for each in taken} == {store.incidents()[0].id}


def test_a_store_that_hangs_is_told_in_time_and_at_once_from_then_on(gated: Gated, store: Store) -> None:
    reception = Reception(gated, backlog=100, answer_within_s=0.1)
    gated.shut()
    begin = time.monotonic()
    with pytest.raises(StoreError, match="did not answer within"):
        reception.take(trigger(1), "{}")
    with pytest.raises(StoreError, match="does not answer"):
        reception.take(trigger(2), "{}")
    assert time.monotonic() - begin < 1
    gated.open.set()
    assert reception_after(reception, trigger(1)).acceptance is Acceptance.DUPLICATE
    assert reception_after(reception, trigger(2)).acceptance is Acceptance.NEW_INCIDENT
    assert len(store.incidents()) == 2


def reception_after(reception: Reception, event: SourceEvent) -> Accepted:
    """As its source does: sent again until it is taken."""
    until = time.monotonic() + 10
    while True:
        try:
            return reception.take(event, "{}")
        except StoreError:
            assert time.monotonic() < until
            time.sleep(0.01)


def test_who_stood_behind_those_that_the_store_did_not_take_waits_no_longer(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, asked = Desk(site.parts), []
    first, second = (Post("pagerduty", *signed(triggered(each))) for each in ("P1", "P2"))

    def locked(self: Store, webhooks: Sequence[tuple[SourceEvent, str]], **_: object) -> Sequence[Accepted]:
        asked.append(len(webhooks))
        raise StoreError("locked")

    with monkeypatch.context() as held:
        held.setattr(Store, "accept_all", locked)
        assert [answer.status for answer in desk.answer_all([first])] == [503]
    (answer,) = desk.answer_all([second])
    assert (answer.status, answer.again_s, answer.body["outcome"]) == (503, 2, "store down")
    assert asked == [1]
    (answer,) = desk.answer_all([replace(second, since=time.monotonic())])
    assert answer.status == 202


def test_a_thread_that_could_not_be_begun_is_begun_by_the_next(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    reception = Reception(store, backlog=100)

    def none_left(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", none_left)
        with pytest.raises(RuntimeError):
            reception.take(trigger(1), "{}")
    assert reception.take(trigger(2), "{}").acceptance is Acceptance.NEW_INCIDENT


def test_another_process_that_keeps_the_database_is_a_503_within_two_seconds(site: Site) -> None:
    assert site.webhook(triggered("P1")).status_code == 202
    path = site.store.database.url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        begin = time.monotonic()
        answer = site.webhook(triggered("P2"))
        assert time.monotonic() - begin < 2
        other.execute("ROLLBACK")
    assert (answer.status_code, answer.get_json()["outcome"]) == (503, "store down")
    assert int(answer.headers["Retry-After"]) > 0
    assert site.notified == 1
    assert site.webhook(triggered("P2")).status_code == 202
    assert metrics(site)['oncall_webhooks_total{outcome="store_down",source="pagerduty"}'] == 1


@pytest.fixture
def full(site: Site, clock: FakeClock) -> Site:
    """Two incidents may wait, and two do."""
    site.settings["limits"] = {"backlog": 2}
    assert site.webhook(triggered("P1")).status_code == 202
    assert site.webhook(triggered("P2")).status_code == 202
    return site


def test_over_the_backlog_a_new_incident_is_503_with_words_and_is_not_stored(full: Site) -> None:
    answer = full.webhook(triggered("P3"))
    assert answer.status_code == 503
    assert answer.get_json() == {
        "received": False,
        "outcome": "backlog full",
        "error": "2 incidents wait for their turn already (limits.backlog); send it again later",
    }
    assert int(answer.headers["Retry-After"]) > 0
    assert len(full.store.incidents()) == 2
    assert full.notified == 2
    assert metrics(full)['oncall_webhooks_total{outcome="backlog_full",source="pagerduty"}'] == 1


def test_over_the_backlog_what_belongs_to_a_known_incident_is_taken(full: Site) -> None:
    assert full.webhook(triggered("P1")).get_json()["outcome"] == "duplicate"
    again = full.webhook(triggered("P1"), **{"X-Webhook-Id": "another"})
    assert again.get_json()["outcome"] == "known incident"
    resolved = full.webhook(triggered("P1", event_type="incident.resolved"))
    assert resolved.get_json()["outcome"] == "stored"
    assert full.webhook(triggered("P9", event_type="service.updated")).status_code == 202


def test_once_there_is_room_again_it_is_taken(full: Site, clock: FakeClock) -> None:
    assert full.webhook(triggered("P3")).status_code == 503
    first = full.store.incidents(source_id="P1")[0]
    full.store.begin_run(first.id, "main")
    clock.sleep(1)
    assert full.webhook(triggered("P3")).get_json()["outcome"] == "accepted"
    assert full.webhook(triggered("P4")).status_code == 503


def test_what_waits_since_before_a_restart_counts(full: Site, clock: FakeClock) -> None:
    again = Site(full.world, full.directory)
    again.store = Store(full.store.database.url, clock)
    again.settings["limits"] = {"backlog": 2}
    assert again.webhook(triggered("P3")).status_code == 503
    again.store.close()


def test_a_secret_that_was_replaced_in_its_file_is_taken_without_a_restart(site: Site) -> None:
    assert site.webhook(triggered("P1")).status_code == 202
    site.secret("webhook", "the-new-secret")
    assert site.webhook(triggered("P2"), secret="the-new-secret").status_code == 202
    assert site.webhook(triggered("P3")).status_code == 401
