"""Whether a webhook's body was signed with one of our secrets: hex HMAC-SHA256, as many sources do it."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from agent.config.secrets import SecretReference

_HEADER_MAX = 8192


class Signature:
    """Checks signatures; the secrets are fetched once, and anew once none of the old ones fits."""

    def __init__(self, references: Sequence[SecretReference], *, prefix: str = "") -> None:
        self._references = references
        self._prefix = prefix.encode()
        self._secrets: Sequence[bytes] = ()

    def holds(self, signed: bytes, given: str) -> bool:
        """Whether one of the secrets signed these bytes."""
        if len(given) > _HEADER_MAX:
            return False
        offered = given.strip().encode("utf-8", "surrogatepass")
        if self._secrets and self._fits(signed, offered):
            return True
        self._secrets = [each.resolve().reveal().encode() for each in self._references]
        return self._fits(signed, offered)

    def _fits(self, signed: bytes, offered: bytes) -> bool:
        """All are compared, whichever fits: how long it takes tells nothing."""
        expected = [hmac.new(secret, signed, hashlib.sha256).hexdigest().encode() for secret in self._secrets]
        matches = [hmac.compare_digest(self._prefix + each, offered) for each in expected]
        return any(matches)
