"""Secrets by reference: what the configuration names, and the value that never shows itself."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from agent.config.addresses import vendor_url
from agent.domain.errors import ConfigError, ConfigProblem

#: Fetches what is kept outside of this machine; ValueError in words if it cannot.
Vault = Callable[["SecretReference"], str]
_vaults: list[Vault] = []
_fetched: dict[SecretReference, str] = {}


def open_vault(vault: Vault) -> None:
    """Fetch references to AWS through this from now on; a value is fetched once and kept until the end."""
    _vaults[:] = [vault]
    _fetched.clear()


def close_vault() -> None:
    """Forget how to fetch, and what was fetched."""
    _vaults.clear()
    _fetched.clear()


def _from_vault(reference: SecretReference) -> str:
    if not _vaults:
        raise ValueError(f"{reference.place()} is fetched by `serve` and `doctor` only")
    if reference not in _fetched:
        _fetched[reference] = _vaults[0](reference)
    return _fetched[reference]


class SecretReference(BaseModel):
    """Where a secret is kept: `{env: NAME}`, `{file: PATH}`, `{aws_ssm: NAME}` or `{aws_secret: NAME}`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    env: str | None = None
    file: str | None = None
    aws_ssm: str | None = None
    aws_secret: str | None = None

    @property
    def is_one(self) -> bool:
        """Whether exactly one place is named."""
        return len(self.model_fields_set) == 1

    def place(self) -> str:
        """The place in words, never the value."""
        kind = next(iter(self.model_fields_set), "nothing")
        return f"{kind} {getattr(self, kind, '')}"

    def resolve(self) -> Secret:
        """Fetch the value; ValueError in words if it is not there."""
        if self.env is not None:
            value = os.environ.get(self.env, "")
            if not value:
                raise ValueError(f"the environment variable {self.env} is not set")
        elif self.file is not None:
            path = Path(self.file)
            if not path.is_file():
                raise ValueError(f"the file {self.file} does not exist")
            value = path.read_text(encoding="utf-8").strip()
        else:
            value = _from_vault(self)
        if not value:
            raise ValueError(f"{self.place()} is empty")
        return Secret(value)


def checked_url(key_path: str, url: SecretReference | str) -> str:
    """The address, wherever it is kept; ConfigError, which does not show it, if it is not to be spoken to."""
    if isinstance(url, str):
        return url
    value = url.resolve().reveal()
    try:
        return vendor_url(value)
    except ValueError as error:
        raise ConfigError("config.yaml", [ConfigProblem(key_path, f"{url.place()}: {error}")]) from error


class Secret:
    """A secret's value; shows itself as *** everywhere but in `reveal()`."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value, for the one call that needs it."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__
