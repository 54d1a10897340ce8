"""Another agent by HTTP: what is posted says who posts it and is signed (`domain/signing.py`)."""

from __future__ import annotations

from collections.abc import Mapping

from agent.adapters.hook_http import HookHttp
from agent.adapters.http import json_bytes
from agent.domain.handoffs import SENDER
from agent.domain.signing import DELIVERY, SIGNATURE, sign
from agent.ports import Clock


class HandoffHttp:
    """Implements ports.OtherAgent; `own` is what the other end calls us."""

    def __init__(
        self,
        name: str,
        url: str,
        secret: str,
        clock: Clock,
        *,
        own: str,
        token: str = "",
        timeout_s: float = 5.0,
    ) -> None:
        self._http = HookHttp(f"agent {name}", url, timeout_s=timeout_s, secrets=[secret, token])
        self._name = name
        self._secret = secret
        self._token = token
        self._own = own
        self._clock = clock

    def __repr__(self) -> str:
        return f"HandoffHttp({self._name!r}, '***')"

    def post(self, path: str, body: Mapping[str, object], *, key: str) -> None:
        """Sign it and post it once."""
        at = int(self._clock.now().timestamp())
        headers = {
            SENDER: self._own,
            DELIVERY: key,
            SIGNATURE: sign(self._secret, json_bytes(body), at=at),
        }
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        self._http.post(body, headers, path=path)
