"""Who is who as rows, on both databases: only hashes, limits that hold under a race, all in the chain."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest

from agent.adapters.audit_chain import Intact, verify_chain
from agent.adapters.fake_clock import FakeClock
from agent.adapters.store import Store
from agent.domain.incident import Entry, EventKind
from agent.domain.people import Person, Role
from agent.domain.sign_ins import Proof, Session, SignInLimits, TooMany
from agent.web import keys
from agent.web.identity import digest

ALICE = Person("alice", Role.APPROVER, "alice@example.com")
BOB = Person("bob", Role.VIEWER)
LIMITS = SignInLimits(pair=3, address=6, account=9)


def session_of(store: Store, person: Person = ALICE) -> tuple[str, Session]:
    secret = keys.open_session(store, keys.Newcomer(person, Proof.OIDC, "192.0.2.1", "a browser", ("sre",)))
    found = store.session_by(digest(secret))
    assert found is not None
    return secret, found


def test_a_session_is_found_by_what_the_browser_brings_and_by_nothing_else(
    store: Store, clock: FakeClock
) -> None:
    secret, session = session_of(store)
    assert session == Session(
        session.id, "alice", Proof.OIDC, clock.now(), clock.now(), "alice@example.com", ("sre",),
        "192.0.2.1", "a browser",
    )  # fmt: skip
    for wrong in (secret, session.id, "", digest("")):
        assert store.session_by(wrong) is None


def test_a_session_is_ended_once_and_by_its_owner_alone(store: Store) -> None:
    secret, session = session_of(store)
    assert not keys.end_session(store, session.id, BOB, why="ended it")
    assert keys.end_session(store, session.id, ALICE, why="ended it")
    assert not keys.end_session(store, session.id, ALICE, why="ended it")
    found = store.session_by(digest(secret))
    assert found is not None
    assert found.ended_at is not None
    assert [each.key for each in store.timeline(session.id)] == ["signed-in", "ended"]


def test_a_new_password_ends_the_owners_sessions_and_no_other(store: Store) -> None:
    session_of(store)
    session_of(store)
    session_of(store, BOB)
    assert keys.set_password(store, ALICE, "a lantern in the fog", by="root") == 2
    assert (len(store.sessions_of("alice")), len(store.sessions_of("bob"))) == (0, 1)


def test_when_somebody_was_last_there_is_kept_to_the_minute(store: Store, clock: FakeClock) -> None:
    _, session = session_of(store)
    clock.sleep(59)
    store.session_seen(session, clock.now())
    assert store.last_seen()["alice"] == session.created_at
    clock.sleep(1)
    store.session_seen(session, clock.now())
    assert store.last_seen()["alice"] == clock.now() == store.sessions_of("alice")[0].seen_at


def test_a_session_that_ended_comes_to_no_new_life(store: Store, clock: FakeClock) -> None:
    secret, session = session_of(store)
    keys.end_session(store, session.id, ALICE, why="signed out")
    clock.sleep(60)
    store.session_seen(session, clock.now())
    found = store.session_by(digest(secret))
    assert found is not None
    assert found.ended_at is not None
    assert found.seen_at == session.seen_at


def test_ended_sessions_are_forgotten_after_a_week_and_the_audit_log_keeps_them(
    store: Store, clock: FakeClock
) -> None:
    secret, session = session_of(store)
    keys.end_session(store, session.id, ALICE, why="signed out")
    clock.sleep(8 * 86_400)
    session_of(store)
    assert store.session_by(digest(secret)) is None
    assert len(store.timeline(session.id)) == 2
    assert isinstance(verify_chain(store.audit_entries()), Intact)


def test_a_session_that_nobody_ended_is_forgotten_once_it_cannot_count(
    store: Store, clock: FakeClock
) -> None:
    secret, _ = session_of(store)
    clock.sleep(32 * 86_400)
    session_of(store)
    assert store.session_by(digest(secret)) is None


def test_a_token_is_found_by_its_secret_and_revoked_once(store: Store, clock: FakeClock) -> None:
    until = clock.now() + timedelta(days=1)
    token, secret = keys.create_token(store, ALICE, Role.ADMIN, name="job", expires_at=until, by="root")
    assert token.role is Role.APPROVER
    assert store.token_by(digest(secret)) == token
    assert store.token_by(secret) is None
    assert not keys.revoke_token(store, token.id, by="bob", person=BOB)
    assert keys.revoke_token(store, token.id, by="root")
    assert not keys.revoke_token(store, token.id, by="root")
    (found,) = store.tokens()
    assert not found.counts(clock.now())
    assert [each.key for each in store.timeline(token.id)] == ["made", "revoked"]


def test_what_is_set_forgotten_and_set_again_stands_in_the_chain_each_time(
    store: Store, clock: FakeClock
) -> None:
    for _ in range(2):
        keys.set_password(store, ALICE, "a lantern in the fog", by="root")
        clock.sleep(1)
        assert keys.forget(store, "alice", by="root")
        clock.sleep(1)
    assert not keys.forget(store, "alice", by="root")
    assert len(store.timeline("person-alice")) == 4
    assert store.people_with_password() == frozenset()


@pytest.mark.parametrize(
    ("tries", "allowed"),
    [
        ([("a", "1")] * 5, 3),
        ([(f"n{n}", "1") for n in range(9)], 6),
        ([("a", f"{n}") for n in range(12)], 9),
    ],
)
def test_each_of_the_three_limits_counts(
    store: Store, clock: FakeClock, tries: list[tuple[str, str]], allowed: int
) -> None:
    outcomes = [store.begin_sign_in(account, address, clock.now(), LIMITS) for account, address in tries]
    assert [isinstance(each, str) for each in outcomes] == [True] * allowed + [False] * (len(tries) - allowed)
    assert outcomes[-1] == TooMany(clock.now() + LIMITS.window)
    clock.sleep(LIMITS.window.total_seconds())
    assert isinstance(store.begin_sign_in(*tries[0], clock.now(), LIMITS), str)


def test_tries_of_one_moment_are_no_more_than_the_limit(store: Store, clock: FakeClock) -> None:
    racers = 8
    barrier = Barrier(racers)

    def begin(_: int) -> bool:
        barrier.wait()
        return isinstance(store.begin_sign_in("a", "1", clock.now(), LIMITS), str)

    with ThreadPoolExecutor(racers) as pool:
        assert sum(pool.map(begin, range(racers))) == LIMITS.pair


def test_whoever_knows_it_starts_to_count_anew_from_their_address_alone(
    store: Store, clock: FakeClock
) -> None:
    for address in ("1", "2"):
        for _ in range(LIMITS.pair):
            store.begin_sign_in("a", address, clock.now(), LIMITS)
    store.sign_in_worked("a", "1")
    assert isinstance(store.begin_sign_in("a", "1", clock.now(), LIMITS), str)
    assert isinstance(store.begin_sign_in("a", "2", clock.now(), LIMITS), TooMany)


def test_a_start_is_taken_once_by_its_browser_and_only_so_many_wait(store: Store, clock: FakeClock) -> None:
    def keep(name: str) -> None:
        store.keep_sign_in_start(
            name, "b", {"nonce": name}, now=clock.now(), until=clock.now() + timedelta(minutes=10)
        )

    keep("one")
    assert store.take_sign_in_start("one", "another", clock.now()) is None
    assert store.take_sign_in_start("one", "b", clock.now()) == {"nonce": "one"}
    assert store.take_sign_in_start("one", "b", clock.now()) is None
    keep("two")
    clock.sleep(600)
    assert store.take_sign_in_start("two", "b", clock.now()) is None


def test_an_entry_of_access_is_one_of_the_chain(store: Store) -> None:
    assert keys.tell_burst(store, "a" * 32, "192.0.2.1", name="alice", until=store.clock.now())
    assert not keys.tell_burst(store, "a" * 32, "192.0.2.1", name="alice", until=store.clock.now())
    (event,) = store.timeline(keys.SIGN_INS)
    assert event.kind is EventKind.ACCESS
    assert isinstance(verify_chain(store.audit_entries()), Intact)
    assert store.record(keys.SIGN_INS, [Entry("x", EventKind.ACCESS, "x")])
