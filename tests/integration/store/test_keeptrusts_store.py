"""Beginnings and ends of Keeptrusts' escalations, all at once, on both databases: one each, and over."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from agent.adapters.store import Store
from agent.config import parse
from agent.domain.keeptrusts import KeeptrustsEscalation, KeeptrustsResolution, item_id
from agent.domain.outbox import Channel, ClearPage, PageHuman
from agent.domain.queue import QueueFilter, QueueStatus
from agent.escalations.settings import queueing_of
from agent.pipeline import keeptrusts
from agent.pipeline.keeptrusts import KeeptrustsDesk, Taken
from agent.pipeline.queueing import QueueDesk
from agent.safety.redaction import Redactor

CONFIG = parse({"keeptrusts": {}, "pagerduty": {"routing_key": {"env": "KEY"}}}, path="config.yaml")
IDS = [f"esc_{number}" for number in range(6)]


def desk_of(store: Store) -> KeeptrustsDesk:
    queue = QueueDesk(store, Redactor([]), queueing_of(CONFIG))
    assert CONFIG.keeptrusts is not None
    return KeeptrustsDesk(store, queue, CONFIG, CONFIG.keeptrusts)


def begin(store: Store, escalation_id: str) -> Taken:
    told = KeeptrustsEscalation(escalation_id, "phi-detection", "block")
    return keeptrusts.created(desk_of(store), told, {}, now=store.clock.now())


def end(store: Store, escalation_id: str) -> Taken:
    over = KeeptrustsResolution(escalation_id, "allow")
    return keeptrusts.resolved(desk_of(store), over, now=store.clock.now())


def test_all_at_once_each_is_there_once_and_over(store: Store) -> None:
    deeds = [(deed, each) for each in IDS for deed in (begin, end, begin, end)]
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(deed, store, each) for deed, each in deeds]
        taken = [future.result(timeout=60) for future in futures]
    for (deed, each), outcome in zip(deeds, taken, strict=True):
        if outcome is Taken.CONTENDED:  # answered 503, so it is sent again
            deed(store, each)
    settled = store.queue_page(QueueFilter(settled=True)).items
    assert {each.id: each.status for each in settled} == {item_id(each): QueueStatus.RESOLVED for each in IDS}
    assert store.queue_page(QueueFilter()).items == []
    letters = store.next_letters(Channel.PAGER, 100)
    assert Counter((each.incident_id, type(each.message)) for each in letters) == {
        (item_id(each), kind): 1 for each in IDS for kind in (PageHuman, ClearPage)
    }
    for each in IDS:
        kinds = [type(letter.message) for letter in letters if letter.incident_id == item_id(each)]
        assert kinds == [PageHuman, ClearPage]


def test_an_early_end_is_there_until_its_beginning_comes(store: Store) -> None:
    assert [end(store, "esc_1"), end(store, "esc_1")] == [Taken.EARLY, Taken.KNOWN]
    assert store.keeptrusts_early("esc_1") == KeeptrustsResolution("esc_1", "allow")
    assert [begin(store, "esc_1"), begin(store, "esc_1"), end(store, "esc_1")] == [
        Taken.OVER,
        Taken.KNOWN,
        Taken.KNOWN,
    ]
    assert store.keeptrusts_early("esc_1") is None
    kinds = [event.key for event in store.timeline("esc-kt-esc_1")]
    assert kinds == ["queue-over-early", "queue-received", "queue-closed-at-keeptrusts"]
