"""What the queue costs when it is long: `python -m bench.queue [open] [settled]`, on SQLite.

A page of 50 (first, in the middle, filtered), one claim, a look of the SLA clock, the report of a year; and
the console's own pages as a signed-in person gets them, from the request to the last byte of HTML.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient

from agent.adapters.database import stamp
from agent.adapters.fake_clock import FakeClock
from agent.adapters.store import Store
from agent.adapters.store_schema_queue import escalations
from agent.config import parse
from agent.domain.people import Actor, Person, Role, Via
from agent.domain.queue import Action, QueueFilter, Rank
from agent.domain.sign_ins import Proof
from agent.escalations.entering import Queueing
from agent.library import Library
from agent.pipeline import queueing
from agent.pipeline.queueing import QueueDesk
from agent.pipeline.sla_clock import SlaClock
from agent.reports.sla import as_json
from agent.safety.redaction import Redactor
from agent.web import keys, queue_views
from agent.web.app import WebParts, create_app
from agent.web.keys import Newcomer

_BATCH = 5_000
_TIMES = 20
_RANKS = tuple(Rank)


def rows(count: int, now: datetime, *, settled: bool) -> Iterator[dict[str, Any]]:
    """Escalations of a year; open ones are within their time."""
    chance = random.Random(7)
    for number in range(count):
        rank = chance.randrange(len(_RANKS))
        created = now - timedelta(seconds=chance.randrange(86_400 * 365 if settled else 600))
        took_s = chance.expovariate(1 / 3_600)
        row = {
            "incident_id": f"{'done' if settled else 'open'}-{number}", "trigger": "no_match", "reason": "x",
            "severity": "error", "dedup_key": "", "summary": "", "status": "resolved" if settled else "open",
            "created_at": stamp(created), "title": f"Case {number}", "rank": _RANKS[rank].value,
            "rank_order": rank, "amber_at": stamp(now + timedelta(hours=1)),
            "deadline": stamp(now + timedelta(hours=2)), "rule": "rest", "target": "team:on-call",
            "policy_rule": f"rule-{number % 40}", "consumer": f"consumer-{number % 900}", "service": "shop",
            "next_at": None if settled else stamp(now + timedelta(hours=1)), "settled_at": None, "action": "",
            "settled_by": "", "ack_s": None, "settle_s": None, "was_kept": None,
        }  # fmt: skip
        if settled:
            row |= {
                "settled_at": stamp(created + timedelta(seconds=took_s)),
                "action": chance.choice(tuple(Action)).value,
                "settled_by": f"reviewer-{number % 30}",
                "ack_s": took_s / 3,
                "settle_s": took_s,
                "was_kept": took_s < 3_600,
            }
        yield row


def fill(store: Store, count: int, *, settled: bool) -> None:
    """In batches, as fast as it goes."""
    found = list(rows(count, store.clock.now(), settled=settled))
    for start in range(0, count, _BATCH):
        with store.database.writing() as connection:
            connection.execute(escalations.insert(), found[start : start + _BATCH])


def measured(name: str, do: Callable[[], object]) -> None:
    """One line of the table: the median and the slowest."""
    times = []
    for _ in range(_TIMES):
        begun = time.perf_counter()
        do()
        times.append((time.perf_counter() - begun) * 1_000)
    print(f"| {name} | {statistics.median(times):.1f} | {max(times):.1f} |")


def signed_in(store: Store) -> FlaskClient:
    """Somebody's browser, before the whole web face."""
    config = parse({"people": [{"name": "someone", "role": "responder"}]}, path="config.yaml")
    ready = threading.Event()
    ready.set()
    library = Library(tempfile.mkdtemp())
    app = create_app(WebParts(config, store, library, Redactor([]), notify=lambda: None, ready=ready))
    person = config.person("someone")
    assert person is not None
    client = app.test_client()
    session = keys.open_session(store, Newcomer(person, Proof.PASSWORD, "127.0.0.1", "bench"))
    client.set_cookie("oncall_session", session)
    return client


def page(client: FlaskClient, path: str) -> None:
    """One page, whole."""
    answer = client.get(f"/console{path}")
    assert answer.status_code == 200, answer.text[:500]


def main() -> None:
    """Fill, ask, tell."""
    is_open, is_settled = (int(text) for text in (*sys.argv[1:], "10000", "100000")[:2])
    with tempfile.TemporaryDirectory() as directory:
        clock = FakeClock()
        store = Store(f"sqlite:///{Path(directory)}/oncall.db", clock)
        store.migrate()
        fill(store, is_settled, settled=True)
        fill(store, is_open, settled=False)
        desk = QueueDesk(store, Redactor([]), Queueing())
        someone = Actor(Person("someone", Role.RESPONDER), Via.API)
        now, year_ago = clock.now(), clock.now() - timedelta(days=365)
        middle = store.queue_page(QueueFilter(limit=max(1, is_open // 2))).next
        numbers = iter(range(is_open))
        print(f"{is_open} open, {is_settled} settled\n")
        print("| what | median ms | slowest ms |\n|---|---|---|")
        measured("first page", lambda: queue_views.page(store, QueueFilter(), now))
        measured("a page in the middle", lambda: queue_views.page(store, QueueFilter(after=middle), now))
        measured("words in the title", lambda: queue_views.page(store, QueueFilter(text="case 99"), now))
        measured("settled, newest first", lambda: queue_views.page(store, QueueFilter(settled=True), now))
        measured(
            "a claim", lambda: queueing.claim(desk, f"esc-open-{next(numbers)}", someone, now=clock.now())
        )
        measured("a look of the SLA clock", SlaClock(desk, clock).tick)
        measured("the report of a year", lambda: as_json(store.queue_report(year_ago, now)))
        client = signed_in(store)
        for path in ("/queue", "/queue?q=case+99", "/mine", "/", "/queue/esc-open-77"):
            measured(f"console {path}", partial(page, client, path))
        store.close()


if __name__ == "__main__":
    main()
