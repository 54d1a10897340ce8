"""A storm of one alert is one incident: what is counted, and how often it is told."""

from __future__ import annotations

from dataclasses import dataclass

#: Each of the first ones is told; then only round counts are, so that a thousand are a dozen lines.
_EACH = 3
_ROUND = (1, 2, 5)


@dataclass(frozen=True, slots=True)
class Folding:
    """Whether the same alert is counted instead of worked on again, and told in a thread.

    `storm_s`: for so long after a page that is still open it wakes nobody again either.
    """

    same_alert: bool = True
    storm_s: float = 300.0
    is_told: bool = True


def is_worth_telling(count: int) -> bool:
    """Whether a thread hears of this one: the second, the third, the 5th, 10th, 20th, 50th, 100th, …"""
    if count <= _EACH:
        return True
    digits = str(count)
    return int(digits[0]) in _ROUND and not digits[1:].strip("0")
