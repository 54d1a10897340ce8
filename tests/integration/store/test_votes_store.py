"""Several people's yes becomes one decision, once, whoever races, on both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier

from agent.adapters.audit_chain import Intact, verify_chain
from agent.adapters.store import Store
from agent.domain.approvals import STEP_BY_STEP, Counted, TooLate, Vote
from agent.domain.incident import Entry, EventKind
from agent.domain.people import Person, Role
from agent.domain.records import Decision
from agent.escalations.entering import Queueing

HASH = "ab" * 32


def a_vote(store: Store, person: str = "alice") -> Vote:
    return Vote(HASH, person, f"{person} (by Slack)", store.clock.now())


def voted(store: Store, vote: Vote, *, needed: int = 2) -> Counted | TooLate:
    entry = Entry(f"vote-{vote.person}", EventKind.VOTED, f"👍 {vote.by}", actor=vote.by)
    return store.vote("inc-1", vote, needed=needed, entry=entry)


def test_the_last_yes_is_the_decision_that_wakes_the_run(store: Store) -> None:
    assert voted(store, a_vote(store)) == Counted(1, is_new=True)
    assert store.decision("inc-1", HASH) is None
    assert not store.untold_decisions()
    assert voted(store, a_vote(store, "bob")) == Counted(2, is_new=True)
    decision = store.decision("inc-1", HASH)
    assert decision is not None
    assert (bool(decision.approved), decision.by) == (True, "alice (by Slack) and bob (by Slack)")
    assert [incident for incident, _ in store.untold_decisions()] == ["inc-1"]


def test_a_person_counts_once_and_is_told_once(store: Store) -> None:
    voted(store, a_vote(store))
    assert voted(store, replace(a_vote(store), by="alice (by console)")) == Counted(1, is_new=False)
    assert [each.key for each in store.timeline("inc-1")] == ["vote-alice"]
    assert [each.by for each in store.votes("inc-1", HASH)] == ["alice (by Slack)"]


def test_a_yes_to_another_plan_counts_for_that_one_alone(store: Store) -> None:
    voted(store, a_vote(store))
    assert voted(store, replace(a_vote(store, "bob"), plan_hash="cd" * 32)) == Counted(1, is_new=True)
    assert store.decision("inc-1", HASH) is None


def test_after_a_no_every_yes_comes_too_late(store: Store) -> None:
    voted(store, a_vote(store))
    assert store.decide("inc-1", Decision(HASH, False, "carol", store.clock.now()))
    assert voted(store, a_vote(store, "bob")) == TooLate()
    assert [each.person for each in store.votes("inc-1", HASH)] == ["alice"]


def test_the_yes_of_somebody_who_may_not_approve_any_more_does_not_count(store: Store) -> None:
    def people(**roles: Role) -> None:
        store.queueing = Queueing(people=tuple(Person(name, role) for name, role in roles.items()))

    people(alice=Role.APPROVER, bob=Role.ADMIN, carol=Role.APPROVER)
    voted(store, a_vote(store))
    voted(store, a_vote(store, "dora@example.com"), needed=9)  # by a group, as single sign-on names them
    people(bob=Role.ADMIN, carol=Role.APPROVER)
    assert voted(store, a_vote(store, "bob"), needed=3) == Counted(2, is_new=True)
    assert [each.person for each in store.votes("inc-1", HASH)] == ["bob", "dora@example.com"]
    people(bob=Role.RESPONDER, carol=Role.APPROVER)
    assert voted(store, a_vote(store, "carol"), needed=3) == Counted(2, is_new=True)
    assert store.decision("inc-1", HASH) is None
    people(Alice=Role.APPROVER, bob=Role.RESPONDER, carol=Role.APPROVER)
    assert voted(store, a_vote(store, "carol"), needed=3) == Counted(3, is_new=False)
    decision = store.decision("inc-1", HASH)
    assert decision is not None
    assert "bob" not in decision.by


def test_one_who_wants_it_step_by_step_is_enough(store: Store) -> None:
    voted(store, a_vote(store))
    voted(store, replace(a_vote(store), step_by_step=True))
    voted(store, a_vote(store, "bob"))
    decision = store.decision("inc-1", HASH)
    assert decision is not None
    assert decision.choice == STEP_BY_STEP


def test_the_decision_is_as_old_as_its_last_yes(store: Store) -> None:
    voted(store, a_vote(store))
    late = store.clock.now() + timedelta(seconds=60)
    voted(store, replace(a_vote(store, "bob"), at=late))
    decision = store.decision("inc-1", HASH)
    assert decision is not None
    assert decision.at == late


def test_many_at_once_make_one_decision(store: Store) -> None:
    together = Barrier(6)

    def one(number: int) -> Counted | TooLate:
        together.wait()
        return voted(store, a_vote(store, f"person-{number % 3}"), needed=3)

    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(one, range(6)))
    new = [each for each in results if isinstance(each, Counted) and each.is_new]
    assert sorted(each.yeses for each in new) == [1, 2, 3]
    assert len(store.timeline("inc-1")) == 3
    decision = store.decision("inc-1", HASH)
    assert decision is not None
    assert decision.by.count("person-") == 3
    assert isinstance(verify_chain(list(store.audit_entries())), Intact)
