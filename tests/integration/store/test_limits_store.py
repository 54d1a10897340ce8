from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agent.adapters.fake_clock import FakeClock
from agent.adapters.store import Store
from agent.domain.alert import Alert
from agent.domain.command import Refusal
from agent.domain.decisions import Attempt, AttemptEnd, Section
from agent.domain.effects import BlastRadius, Effect, EffectClass
from agent.domain.limits import Busy, Charge, Scope, WindowLimit
from agent.domain.records import AttemptKey, BeginAttempt, Begun

FLUSH = Effect(EffectClass.CACHE_OPERATION, "redis", 1, "production")
ROLLOUT = Effect(EffectClass.ROLLOUT, "deployment/api", 1, "production")
READ = Effect(EffectClass.READ, "redis")
PLENTY = BlastRadius(dict.fromkeys(EffectClass, 1000))
HOUR, DAY = 3_600, 86_400


def flushes(scope: Scope, maximum: int, window_s: int = HOUR) -> WindowLimit:
    path = "limits" if scope is Scope.ALL else f"limits.per_{scope}"
    name = "per_hour" if window_s == HOUR else "per_day"
    return WindowLimit(
        f"{path}.{name}.cache_operations", EffectClass.CACHE_OPERATION, scope, window_s, maximum
    )


class Journal:
    """Begins and ends attempts of as many incidents as one likes."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.incidents: dict[str, str] = {}
        self.numbers: dict[str, int] = {}

    def incident(self, name: str) -> str:
        if name not in self.incidents:
            self.incidents[name] = self.store.open_manual(Alert("manual", name, name))
        return self.incidents[name]

    def key(self, name: str, number: int) -> AttemptKey:
        return AttemptKey(self.incident(name), Section.STEPS, 1, number)

    def begin(self, name: str, *effects: Effect, **charge: Any) -> BeginAttempt:
        """One more attempt of the incident."""
        number = self.numbers[name] = self.numbers.get(name, 0) + 1
        asked = Charge(effects, len(effects), PLENTY, runbook=f"fix-{name}", lasts_s=60)
        return self.store.begin_attempt(self.key(name, number), title="Fix", charge=replace(asked, **charge))

    def end(self, name: str) -> None:
        """Its last attempt is over."""
        number = self.numbers[name]
        ended = Attempt(Section.STEPS, 1, number, AttemptEnd.SUCCEEDED)
        self.store.end_attempt(self.key(name, number), ended)


@pytest.fixture
def journal(store: Store) -> Journal:
    return Journal(store)


def refused(outcome: BeginAttempt) -> str:
    assert isinstance(outcome, Refusal), outcome
    return str(outcome)


def test_a_limit_of_the_last_hour_holds_across_incidents_and_names_who_used_it(journal: Journal) -> None:
    windows = (flushes(Scope.ALL, 3),)
    journal.begin("a", replace(FLUSH, count=2), windows=windows)
    journal.begin("b", FLUSH, windows=windows)
    a, b = journal.incident("a"), journal.incident("b")
    assert refused(journal.begin("c", FLUSH, windows=windows)) == (
        f"limits.per_hour.cache_operations is 3: 3 used in the last hour by fix-a ({a}: 2), fix-b ({b}: 1), "
        "this attempt asks for 1 more; "
        "it holds across incidents: look at what else is going on before you raise it"
    )


def test_one_incident_that_used_a_limit_up_is_named_alone(journal: Journal) -> None:
    windows = (flushes(Scope.ALL, 1),)
    journal.begin("a", FLUSH, windows=windows)
    words = refused(journal.begin("b", FLUSH, windows=windows))
    assert f"1 used in the last hour by fix-a ({journal.incident('a')}), this" in words


def test_at_most_three_are_named(journal: Journal) -> None:
    windows = (flushes(Scope.ALL, 4),)
    for name in "abcd":
        journal.begin(name, FLUSH, windows=windows)
    words = refused(journal.begin("e", FLUSH, windows=windows))
    assert words.count("fix-") == 3
    assert " and others, this attempt" in words


def test_a_window_moves_on_with_the_clock(journal: Journal, clock: FakeClock) -> None:
    windows = (flushes(Scope.ALL, 1), flushes(Scope.ALL, 2, DAY))
    assert journal.begin("a", FLUSH, windows=windows) == Begun()
    clock.sleep(HOUR - 1)
    assert "limits.per_hour" in refused(journal.begin("b", FLUSH, windows=windows))
    clock.sleep(1)
    assert journal.begin("c", FLUSH, windows=windows) == Begun()
    clock.sleep(HOUR)
    assert "limits.per_day.cache_operations is 2: 2 used in the last day by" in refused(
        journal.begin("d", FLUSH, windows=windows)
    )


def test_a_clock_that_was_set_back_gives_nothing_back(journal: Journal, clock: FakeClock) -> None:
    windows = (flushes(Scope.ALL, 1),)
    journal.begin("a", FLUSH, windows=windows)
    clock.step_back(2 * HOUR)
    refused(journal.begin("b", FLUSH, windows=windows))


def test_a_limit_of_a_service_leaves_other_services_alone(journal: Journal) -> None:
    windows = (flushes(Scope.SERVICE, 1),)
    journal.begin("a", FLUSH, windows=windows, service="shop")
    assert journal.begin("b", FLUSH, windows=windows, service="search") == Begun()
    words = refused(journal.begin("c", FLUSH, windows=windows, service="shop"))
    assert words.startswith("limits.per_service.per_hour.cache_operations is 1: 1 used in the last hour")
    assert "for service shop by fix-a" in words


def test_incidents_without_a_service_share_one_limit(journal: Journal) -> None:
    windows = (flushes(Scope.SERVICE, 1),)
    journal.begin("a", FLUSH, windows=windows)
    assert "for service (none)" in refused(journal.begin("b", FLUSH, windows=windows))


def test_a_limit_of_a_namespace_leaves_others_and_other_clusters_alone(journal: Journal) -> None:
    windows = (flushes(Scope.NAMESPACE, 1),)
    journal.begin("a", FLUSH, windows=windows, cluster="eu")
    assert journal.begin("b", replace(FLUSH, namespace="staging"), windows=windows, cluster="eu") == Begun()
    assert journal.begin("c", FLUSH, windows=windows, cluster="us") == Begun()
    words = refused(journal.begin("d", FLUSH, windows=windows, cluster="eu"))
    assert "in namespace production by fix-a" in words


def test_what_reaches_every_namespace_counts_for_each(journal: Journal) -> None:
    windows = (flushes(Scope.NAMESPACE, 1),)
    journal.begin("a", replace(FLUSH, namespace="*"), windows=windows)
    refused(journal.begin("b", FLUSH, windows=windows))
    refused(journal.begin("c", replace(FLUSH, namespace="*"), windows=windows))


def test_one_attempt_is_held_to_each_namespaces_share(journal: Journal) -> None:
    windows = (flushes(Scope.NAMESPACE, 1),)
    both = (FLUSH, replace(FLUSH, namespace="staging"))
    assert journal.begin("a", *both, windows=windows) == Begun()
    refused(journal.begin("b", FLUSH, replace(FLUSH, namespace="*"), windows=(flushes(Scope.NAMESPACE, 2),)))


def test_a_limit_of_a_cluster_leaves_other_clusters_alone(journal: Journal) -> None:
    windows = (flushes(Scope.CLUSTER, 1),)
    journal.begin("a", FLUSH, windows=windows, cluster="eu")
    assert journal.begin("b", FLUSH, windows=windows, cluster="us") == Begun()
    assert "in cluster eu by fix-a" in refused(journal.begin("c", FLUSH, windows=windows, cluster="eu"))


def test_a_refused_attempt_uses_nothing(journal: Journal) -> None:
    windows = (flushes(Scope.ALL, 1),)
    refused(journal.begin("a", replace(FLUSH, count=2), windows=windows))
    assert journal.begin("b", FLUSH, windows=windows) == Begun()


def test_a_limit_is_asked_beforehand_without_using_it(journal: Journal) -> None:
    asked = Charge((FLUSH,), 1, PLENTY, windows=(flushes(Scope.ALL, 1),))
    assert journal.store.over_a_window(asked) is None
    assert journal.begin("a", FLUSH, windows=asked.windows) == Begun()
    assert isinstance(journal.store.over_a_window(asked), Refusal)


def test_more_commands_than_the_runbook_allows_are_refused(journal: Journal) -> None:
    three = replace(PLENTY, max_commands=3)
    assert journal.begin("a", READ, READ, limits=three) == Begun()
    words = refused(journal.begin("a", READ, READ, limits=three))
    assert words.startswith("max_commands is 3: 2 used by this incident, this attempt asks for 2 more")
    assert journal.begin("a", READ, limits=three) == Begun()
    assert journal.begin("b", READ, READ, READ, limits=three) == Begun()


def test_commands_that_are_begun_again_after_a_restart_count_again(journal: Journal) -> None:
    asked = Charge((READ,), 2, replace(PLENTY, max_commands=4))
    key = journal.key("a", 1)
    assert journal.store.begin_attempt(key, title="Look", charge=asked) == Begun()
    assert journal.store.begin_attempt(key, title="Look", charge=asked) == Begun()
    assert isinstance(journal.store.begin_attempt(key, title="Look", charge=asked), Refusal)


def test_two_rollouts_in_one_namespace_never_run_at_once(journal: Journal) -> None:
    only = frozenset({EffectClass.ROLLOUT})
    assert journal.begin("a", ROLLOUT, exclusive=only) == Begun()
    by = f"fix-a ({journal.incident('a')})"
    assert journal.begin("b", ROLLOUT, exclusive=only) == Busy(EffectClass.ROLLOUT, "production", by)
    assert journal.store.attempts(journal.incident("b")) == []
    assert journal.store.charged(journal.incident("b")) == {}
    journal.end("a")
    assert journal.begin("b", ROLLOUT, exclusive=only) == Begun()


def test_rollouts_elsewhere_and_other_effects_do_not_wait(journal: Journal) -> None:
    only = frozenset({EffectClass.ROLLOUT})
    journal.begin("a", ROLLOUT, exclusive=only, cluster="eu")
    assert journal.begin("b", replace(ROLLOUT, namespace="staging"), exclusive=only, cluster="eu") == Begun()
    assert journal.begin("c", ROLLOUT, exclusive=only, cluster="us") == Begun()
    assert journal.begin("d", FLUSH, exclusive=only, cluster="eu") == Begun()
    everywhere = replace(ROLLOUT, namespace="*")
    assert isinstance(journal.begin("e", everywhere, exclusive=only, cluster="eu"), Busy)


def test_ones_own_unfinished_attempt_does_not_block(journal: Journal) -> None:
    only = frozenset({EffectClass.ROLLOUT})
    journal.begin("a", ROLLOUT, exclusive=only)
    assert journal.begin("a", ROLLOUT, exclusive=only) == Begun()


def test_an_attempt_that_nobody_ended_holds_its_place_only_for_its_own_time(
    journal: Journal, clock: FakeClock
) -> None:
    only = frozenset({EffectClass.ROLLOUT})
    journal.begin("a", ROLLOUT, exclusive=only, lasts_s=60)
    clock.sleep(60)
    assert isinstance(journal.begin("b", ROLLOUT, exclusive=only), Busy)
    clock.sleep(30)
    assert journal.begin("b", ROLLOUT, exclusive=only) == Begun()


def test_what_is_over_a_limit_is_refused_at_once_instead_of_waiting(journal: Journal) -> None:
    only = frozenset({EffectClass.ROLLOUT})
    journal.begin("a", ROLLOUT, exclusive=only)
    refused(journal.begin("b", ROLLOUT, exclusive=only, limits=BlastRadius()))


def test_a_charge_can_never_give_anything_back() -> None:
    with pytest.raises(ValueError, match="never gives anything back"):
        Charge((replace(FLUSH, count=-1),))
