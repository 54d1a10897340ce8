"""The secrets that prove where something is from, as they are kept outside of the agent."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.adapters.kept_secrets import KeptSecrets
from agent.config.secrets import SecretReference


def test_a_secret_that_still_fits_is_not_fetched_again(tmp_path: Path) -> None:
    kept = tmp_path / "secret"
    kept.write_text("first")
    secrets = KeptSecrets([SecretReference(file=str(kept))])
    assert secrets.fit(lambda at_hand: at_hand == ["first"])
    kept.unlink()
    assert secrets.fit(lambda at_hand: at_hand == ["first"])


def test_one_that_was_replaced_where_it_is_kept_fits_without_a_restart(tmp_path: Path) -> None:
    kept = tmp_path / "secret"
    kept.write_text("first")
    secrets = KeptSecrets([SecretReference(file=str(kept))])
    assert not secrets.fit(lambda at_hand: at_hand == ["second"])
    kept.write_text("second")
    assert secrets.fit(lambda at_hand: at_hand == ["second"])
    assert not secrets.fit(lambda at_hand: at_hand == ["first"])


def test_one_that_is_gone_is_told_in_words_and_proves_nothing(tmp_path: Path) -> None:
    secrets = KeptSecrets([SecretReference(file=str(tmp_path / "gone"))])
    with pytest.raises(ValueError, match="does not exist"):
        secrets.fit(lambda _: True)


def test_no_secret_at_all_is_asked_too_and_fits_nothing_by_itself() -> None:
    assert not KeptSecrets([]).fit(bool)
