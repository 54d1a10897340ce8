"""The section `limits`: how much may happen across incidents, and how many at a time."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import AfterValidator, Field

from agent.config.base import Count, Positive, Section
from agent.domain.effects import EffectClass
from agent.domain.limits import Scope, WindowLimit
from agent.domain.remembering import once_each


def _effect_limits(value: Mapping[str, int]) -> Mapping[str, int]:
    effect_names(tuple(value))
    return value


def effect_names(value: tuple[str, ...]) -> tuple[str, ...]:
    """The plural names of effect classes, checked."""
    known = {f"{effect.value}s" for effect in EffectClass if effect is not EffectClass.READ}
    unknown = sorted(set(value) - known)
    if unknown:
        near = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; known: {', '.join(sorted(known))}"
        raise ValueError(f"{unknown[0]} is no effect class{hint}")
    return value


EffectLimits = Annotated[Mapping[str, Count], AfterValidator(_effect_limits)]
EffectNames = Annotated[tuple[str, ...], AfterValidator(effect_names)]


class Window(Section):
    """How many effects of each class within the last hour and the last 24 hours."""

    per_hour: EffectLimits = Field(default_factory=dict)
    per_day: EffectLimits = Field(default_factory=dict)


class Limits(Window):
    """Limits across incidents: in all, and for each service, namespace and cluster by itself."""

    per_service: Window = Window()
    per_namespace: Window = Window()
    per_cluster: Window = Window()
    one_at_a_time: EffectNames = ("rollouts",)
    one_at_a_time_per_service: bool = True
    concurrent_incidents: Positive = 32
    backlog: Positive = 10_000

    @once_each(most=8)
    def windows(self) -> tuple[WindowLimit, ...]:
        """Every limit across incidents, each by its own key path."""
        return (
            *_windows(self, "limits", Scope.ALL),
            *_windows(self.per_service, "limits.per_service", Scope.SERVICE),
            *_windows(self.per_namespace, "limits.per_namespace", Scope.NAMESPACE),
            *_windows(self.per_cluster, "limits.per_cluster", Scope.CLUSTER),
        )

    @once_each(most=8)
    def exclusive(self) -> frozenset[EffectClass]:
        """The effect classes that run one at a time in a namespace."""
        return frozenset(_effect_class(name) for name in self.one_at_a_time)


def _windows(window: Window, path: str, scope: Scope) -> Iterator[WindowLimit]:
    for key, window_s, limits in (
        ("per_hour", 3_600, window.per_hour),
        ("per_day", 86_400, window.per_day),
    ):
        for name, maximum in limits.items():
            yield WindowLimit(f"{path}.{key}.{name}", _effect_class(name), scope, window_s, maximum)


def _effect_class(name: str) -> EffectClass:
    return EffectClass(name.removesuffix("s"))
