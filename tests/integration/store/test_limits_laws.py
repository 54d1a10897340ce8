"""What holds for the journal whatever is asked of it, in whatever order, and however attempts end."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.adapters.fake_clock import FakeClock
from agent.adapters.store import Store
from agent.domain.alert import Alert
from agent.domain.decisions import Attempt, AttemptEnd, Section
from agent.domain.effects import BlastRadius, Effect, EffectClass
from agent.domain.limits import Charge, Scope, WindowLimit
from agent.domain.records import AttemptKey, Begun

FLUSH = EffectClass.CACHE_OPERATION
HOUR = 3_600.0
SERVICES = ("shop", "search")
NAMESPACES = ("production", "staging", "*")

#: (incident, namespace, how many, does it end, is it told again after a crash, seconds until the next)
ASKS = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from(NAMESPACES),
        st.integers(0, 3),
        st.booleans(),
        st.booleans(),
        st.sampled_from([0, 1, 600, 1_800, 3_599, 3_600]),
    ),
    min_size=1,
    max_size=12,
)


class Taken:
    """What was really charged: (when, service, namespace, how many)."""

    def __init__(self) -> None:
        self.all: list[tuple[datetime, str, str, int]] = []

    def within(self, at: datetime, *, service: str = "", namespace: str = "") -> int:
        """The sum of the hour that ends here."""
        return sum(
            count
            for when, of_service, of_namespace, count in self.all
            if (at - when).total_seconds() < HOUR
            and service in ("", of_service)
            and (namespace == "" or of_namespace in (namespace, "*"))
        )


@settings(max_examples=60, deadline=None)
@given(asks=ASKS, per_incident=st.integers(0, 5), maxima=st.tuples(*[st.integers(0, 6)] * 3))
def test_no_hour_ever_holds_more_than_its_limit(
    migrated: Path,
    asks: list[tuple[int, str, int, bool, bool, int]],
    per_incident: int,
    maxima: tuple[int, int, int],
) -> None:
    scopes = (Scope.ALL, Scope.SERVICE, Scope.NAMESPACE)
    windows = tuple(
        WindowLimit(f"limits.{scope}", FLUSH, scope, HOUR, maximum)
        for scope, maximum in zip(scopes, maxima, strict=True)
    )
    with tempfile.TemporaryDirectory() as directory:
        clock, taken = FakeClock(), Taken()
        store = Store(f"sqlite:///{shutil.copy(migrated, directory)}", clock)
        incidents = [store.open_manual(Alert("manual", str(each), "cache")) for each in range(4)]
        for number, (which, namespace, count, ends, again, pause_s) in enumerate(asks, start=1):
            key = AttemptKey(incidents[which], Section.STEPS, 1, number)
            service = SERVICES[which % 2]
            charge = Charge(
                (Effect(FLUSH, "redis", count, namespace),),
                1,
                BlastRadius({FLUSH: per_incident}, max_commands=4),
                windows=windows,
                service=service,
            )
            if store.begin_attempt(key, title="Flush", charge=charge) == Begun():
                taken.all.append((clock.now(), service, namespace, count))
            if again:  # a restart in between: whatever comes of it, nothing more is charged
                assert store.begin_attempt(key, title="Flush", charge=replace(charge)) != Begun()
            if ends:
                store.end_attempt(key, Attempt(Section.STEPS, 1, number, AttemptEnd.FAILED))
            now = clock.now()
            assert taken.within(now) <= maxima[0]
            assert all(taken.within(now, service=each) <= maxima[1] for each in SERVICES)
            assert all(taken.within(now, namespace=each) <= maxima[2] for each in NAMESPACES[:2])
            assert store.charged(incidents[which]).get(FLUSH.value, 0) <= per_incident
            clock.sleep(pause_s)
        assert sum(store.charged(each).get(FLUSH.value, 0) for each in incidents) == sum(
            count for *_, count in taken.all
        )
        store.close()
