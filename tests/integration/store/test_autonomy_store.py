"""What a runbook earned is kept with what it was earned by, whoever races, on both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

from agent.adapters.audit_chain import Intact, verify_chain
from agent.adapters.store import Store
from agent.domain.autonomy import Bounds, FileChanged, LevelGiven, Ran, RunEnded, Standing
from agent.domain.incident import Entry, EventKind
from agent.domain.outbox import Channel, ChatLine
from agent.domain.records import Changes
from agent.domain.runbook import Autonomy

AUTO = Bounds("h1", Autonomy.AUTO, Autonomy.AUTO, Autonomy.APPROVE)


def ended(store: Store, number: int, ran: Ran = Ran.SUCCEEDED, *, in_chat: bool = False) -> bool:
    event = RunEnded(
        "redis", AUTO, f"inc-{number}", ran, "why it failed", 3, demotes_stated=True, in_chat=in_chat
    )
    entry = Entry("end", EventKind.NOTE, "the end")
    return store.record(f"inc-{number}", [entry], changes=Changes(earned=event))


def standing(store: Store) -> Standing:
    found = store.autonomy_of("redis")
    assert found is not None
    return found


def test_a_record_begins_with_the_first_run_and_comes_back_as_it_was_kept(store: Store) -> None:
    assert store.autonomy_of("redis") is None
    ended(store, 1)
    found = standing(store)
    assert (found.level, found.in_a_row, found.effects) == (None, 1, "h1")
    assert [(each.incident_id, each.ran, each.at) for each in found.evidence] == [
        ("inc-1", Ran.SUCCEEDED, store.clock.now())
    ]
    assert list(store.all_autonomy()) == [found]


def test_an_end_that_was_told_before_counts_once(store: Store) -> None:
    assert ended(store, 1)
    assert not ended(store, 1)
    assert standing(store).in_a_row == 1


def test_a_demotion_stands_in_the_chain_and_in_the_thread_of_the_incident(store: Store) -> None:
    ended(store, 1, Ran.FAILED, in_chat=True)
    assert standing(store).level is Autonomy.APPROVE
    assert [each.kind for each in store.timeline("inc-1")] == [EventKind.NOTE, EventKind.AUTONOMY]
    (letter,) = store.next_letters(Channel.CHAT, 10)
    assert isinstance(letter.message, ChatLine)
    assert letter.message.text.startswith("⬇️ redis runs alone no more")
    assert isinstance(verify_chain(list(store.audit_entries())), Intact)


def test_a_humans_word_is_kept_with_the_reason_and_told(store: Store) -> None:
    ended(store, 1, Ran.FAILED)
    store.give_level("inc-1", LevelGiven("redis", AUTO, Autonomy.AUTO, "alice", "mended"), in_chat=True)
    found = standing(store)
    assert (found.level, found.by, found.why) == (Autonomy.AUTO, "alice", "mended")
    assert [each.actor for each in store.timeline("inc-1")][-1] == "alice"


def test_a_changed_file_has_no_record(store: Store) -> None:
    ended(store, 1)
    changed = FileChanged("redis", replace(AUTO, effects="h2"))
    entry = Entry("autonomy-file", EventKind.SYSTEM, "changed")
    store.record("inc-2", [entry], changes=Changes(earned=changed))
    found = standing(store)
    assert (found.effects, found.level, found.in_a_row, found.evidence) == ("h2", Autonomy.APPROVE, 0, ())
    ended(store, 3, Ran.FAILED)
    assert standing(store).evidence == ()


def test_none_of_many_ends_at_once_is_lost(store: Store) -> None:
    together = Barrier(8)

    def end(number: int) -> bool:
        together.wait()
        return ended(store, number, Ran.FAILED if number == 3 else Ran.SUCCEEDED)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(end, range(8)))
    found = standing(store)
    assert found.level is Autonomy.APPROVE
    assert {each.incident_id for each in found.evidence} == {f"inc-{number}" for number in range(8)}
