"""Whether a webhook is from its source: by basic auth or a bearer token, over any body."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping, Sequence

from agent.adapters.kept_secrets import KeptSecrets
from agent.config.secrets import SecretReference
from agent.config.sources import ProvedBySecret
from agent.ports.sources import NotGenuine

_HEADER_MAX = 8192


class Proof:
    """What the configuration asks for."""

    def __init__(self, section: ProvedBySecret, *, key: str) -> None:
        self._section = section
        self._key = key
        given = (section.bearer_token, section.password)
        self._references = [reference for reference in given if reference is not None]
        self._secrets = KeptSecrets(self._references)

    def missing(self, headers: Mapping[str, str]) -> NotGenuine | None:
        """What is missing, in words that name no secret; None if it proves where it is from."""
        given = headers.get("authorization", "")
        if not given:
            return None if self._section.allow_unsigned_webhooks else NotGenuine(self._wanted())
        if len(given) > _HEADER_MAX:
            return NotGenuine("the Authorization header is too long")
        return None if self._secrets.fit(lambda kept: self._fits(given, kept)) else NotGenuine(self._wanted())

    def _fits(self, given: str, kept: Sequence[str]) -> bool:
        secrets = dict(zip(self._references, kept, strict=True))
        scheme, _, rest = given.partition(" ")
        match scheme.casefold():
            case "bearer":
                return _is_secret(secrets, self._section.bearer_token, rest.strip())
            case "basic":
                username, password = _name_and_password(rest.strip())
                # both are compared whatever the first says: how long it takes tells nothing
                fits = (
                    _same(username, self._section.username),
                    _is_secret(secrets, self._section.password, password),
                )
                return all(fits)
            case _:
                return False

    def _wanted(self) -> str:
        if not self._references:
            return (
                f"{self._key} names no secret, so nothing proves that this is from there; set bearer_token, "
                "or username and password, or allow_unsigned_webhooks: true"
            )
        return f"the Authorization header is missing or does not fit {self._key}"


def _is_secret(secrets: Mapping[SecretReference, str], reference: SecretReference | None, given: str) -> bool:
    return reference is not None and _same(given, secrets[reference])


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(
        given.encode("utf-8", "surrogatepass"), wanted.encode("utf-8", "surrogatepass")
    )


def _name_and_password(encoded: str) -> tuple[str, str]:
    try:
        text = base64.b64decode(encoded, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return "", ""
    name, _, password = text.partition(":")
    return name, password
