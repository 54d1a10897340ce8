"""Decision events: once each, counted for a window, asked for by the documented queries, gone when old."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from markdown_it import MarkdownIt

from agent.adapters.archiver import Archiver
from agent.adapters.database import stamp
from agent.adapters.fake_clock import FakeClock
from agent.adapters.store import Store
from agent.adapters.store_schema_events import policy_evaluations
from agent.config import parse
from agent.domain.decision_event import DecisionEvent, PolicyEvaluation

PAGE = Path(__file__).parent.parent.parent.parent / "docs/postmortems.md"


def events(now: datetime) -> list[DecisionEvent]:
    """Three minutes: two users blocked by two policies, one of them wrongly."""
    made = [
        ("anna", "blocked", "pii"),
        ("anna", "blocked", "broad"),
        ("ben", "blocked", "broad"),
        ("ben", "allowed", ""),
    ]
    return [
        DecisionEvent(
            f"evt-{minute}-{number}",
            now + timedelta(minutes=minute, seconds=number),
            decision,
            user=user,
            team="health",
            was_wrong=policy == "pii",
            evaluations=(PolicyEvaluation(policy, decision),) if policy else (),
        )
        for minute in range(3)
        for number, (user, decision, policy) in enumerate(made)
    ]


def test_they_are_kept_once_and_counted_within_their_window(store: Store, clock: FakeClock) -> None:
    now = clock.now().replace(second=0)
    assert store.keep_events(events(now)) == 12
    assert store.keep_events(events(now)[:5]) == 0
    found = store.governance(now, now + timedelta(minutes=1, seconds=59))
    assert found is not None
    assert (found.total, found.blocked, found.wrong, found.users, found.teams) == (8, 6, 2, 2, 1)
    assert [(each.at, each.total, each.blocked) for each in found.minutes] == [
        (now, 4, 3), (now + timedelta(minutes=1), 4, 3),
    ]  # fmt: skip
    assert [(each.name, each.blocked) for each in found.policies] == [("broad", 4), ("pii", 2)]
    assert [(each.name, each.blocked) for each in found.top_users] == [("anna", 4), ("ben", 2)]
    assert store.governance(now - timedelta(hours=2), now - timedelta(hours=1)) is None


def test_the_documented_queries_say_the_same_as_the_post_mortem(store: Store, clock: FakeClock) -> None:
    now = clock.now().replace(second=0)
    store.keep_events(events(now))
    until = now + timedelta(minutes=1, seconds=59)
    queries = [each.content for each in MarkdownIt().parse(PAGE.read_text()) if each.info == "sql"]
    window = {"since": stamp(now), "until": stamp(until)}
    with store.database.reading() as connection:
        minutes, policies, users = (
            [tuple(row) for row in connection.execute(sa.text(query.rstrip().rstrip(";")), window)]
            for query in queries
        )
    found = store.governance(now, until)
    assert found is not None
    assert minutes == [
        (f"{each.at:%Y-%m-%dT%H:%M}", name, many)
        for each in found.minutes
        for name, many in sorted(each.decisions.items())
    ]
    assert policies == [(each.name, each.blocked) for each in found.policies]
    assert users == [(each.name, each.blocked) for each in found.top_users]


def test_they_leave_when_they_are_old_and_nothing_of_them_stays(
    store: Store, clock: FakeClock, tmp_path: Path
) -> None:
    store.keep_events(events(clock.now()))
    clock.sleep(89 * 86_400)
    settings = {"database": {"url": store.database.url}, "retention": {"archive": str(tmp_path / "archive")}}
    archiver = Archiver(store, parse(settings, path="config.yaml"))
    archiver.run()
    window = (clock.now() - timedelta(days=100), clock.now())
    assert store.governance(*window) is not None
    clock.sleep(2 * 86_400)
    archiver.run()
    assert store.governance(*window) is None
    with store.database.reading() as connection:
        assert connection.execute(sa.select(policy_evaluations)).all() == []
