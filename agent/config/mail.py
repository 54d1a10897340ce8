"""`mail:` in `config.yaml`: the server that takes e-mail for routing rules."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from agent.config.addresses import is_loopback
from agent.config.base import Seconds, Section
from agent.config.secrets import SecretReference


class Mail(Section):
    """The server that takes e-mail; unencrypted only where it never leaves this machine."""

    host: Annotated[str, Field(min_length=1, max_length=255)]
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str = ""
    password: SecretReference | None = None
    sender: Annotated[str, Field(min_length=3, max_length=320)] = "oncall-agent@example.com"
    timeout_s: Seconds = 10.0

    @model_validator(mode="after")
    def _is_safe(self) -> Mail:
        if self.security == "none" and not is_loopback(self.host):
            raise ValueError("security: none is for a loopback host only; write starttls or tls")
        if bool(self.username) != (self.password is not None):
            raise ValueError("give both username and password, or neither")
        return self
