"""The secrets that prove where something is from: one that is replaced where it is kept needs no restart."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agent.config.secrets import SecretReference


class KeptSecrets:
    """Fetched when first asked for, and anew once none of those at hand fits."""

    def __init__(self, references: Sequence[SecretReference]) -> None:
        self._references = references
        self._at_hand: Sequence[str] = ()

    def fit(self, proves: Callable[[Sequence[str]], bool]) -> bool:
        """Whether the secrets, in the order of their references, prove it; ValueError if one is gone."""
        if self._at_hand and proves(self._at_hand):
            return True
        self._at_hand = [each.resolve().reveal() for each in self._references]
        return proves(self._at_hand)
