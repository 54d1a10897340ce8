"""Whether a webhook's body was signed with one of our secrets: hex HMAC-SHA256, as many sources do it."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from agent.adapters.kept_secrets import KeptSecrets
from agent.config.secrets import SecretReference

_HEADER_MAX = 8192


class Signature:
    """Checks signatures."""

    def __init__(self, references: Sequence[SecretReference], *, prefix: str = "") -> None:
        self._prefix = prefix.encode()
        self._secrets = KeptSecrets(references)

    def holds(self, signed: bytes, given: str) -> bool:
        """Whether one of the secrets signed these bytes."""
        if len(given) > _HEADER_MAX:
            return False
        offered = given.strip().encode("utf-8", "surrogatepass")
        return self._secrets.fit(lambda secrets: self._fits(signed, offered, secrets))

    def _fits(self, signed: bytes, offered: bytes, secrets: Sequence[str]) -> bool:
        """All are compared, whichever fits: how long it takes tells nothing."""
        expected = [
            hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest().encode() for secret in secrets
        ]
        matches = [hmac.compare_digest(self._prefix + each, offered) for each in expected]
        return any(matches)
