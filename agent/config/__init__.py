"""`config.yaml`: one `load`, frozen sections, secrets only by reference, all problems told at once."""

from agent.config.addresses import is_loopback
from agent.config.loading import known_secrets, load, missing_secrets, parse, read
from agent.config.secrets import Secret, SecretReference, close_vault, open_vault
from agent.config.sections import Config

__all__ = [
    "Config",
    "Secret",
    "SecretReference",
    "close_vault",
    "is_loopback",
    "known_secrets",
    "load",
    "missing_secrets",
    "open_vault",
    "parse",
    "read",
]
