"""Prometheus, asked for one number (HTTP API, page "Querying": instant queries)."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping

from agent.adapters.http import Answer, VendorHttp
from agent.domain.probing import Unseen

#: What waits for a slow query a little longer than Prometheus itself: its own words say more than a timeout.
_LATER_THAN_IT_S = 1.0

_ANSWER_MAX_BYTES = 1 << 20


class Prometheus:
    """Implements ports.Metrics."""

    def __init__(
        self, url: str, *, token: str = "", username: str = "", password: str = "", timeout_s: float
    ) -> None:
        headers: dict[str, str] = {}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        elif username:
            pair = base64.b64encode(f"{username}:{password}".encode()).decode()
            headers["Authorization"] = f"Basic {pair}"
        self._timeout_s = timeout_s
        self._http = VendorHttp(
            "prometheus",
            url,
            timeout_s=timeout_s + _LATER_THAN_IT_S,
            headers=headers,
            secrets=(token, password, *headers.values()),
            max_bytes=_ANSWER_MAX_BYTES,
        )

    def value(self, query: str, *, timeout_s: float) -> float | Unseen:
        """The one number that the query has now; several series, or none, are no number."""
        asked = {"query": query, "timeout": f"{min(timeout_s, self._timeout_s):g}s"}
        answer = self._http.exchange("GET", "/api/v1/query", params=asked)
        said = answer.data or {}
        if answer.status in (400, 422):  # the query is wrong, or cannot be carried out: its own words say why
            return Unseen(f"Prometheus refuses the query: {_words(said) or answer.status}")
        if not answer.ok:
            raise self._http.failure(answer, "GET /api/v1/query", _words(said))
        data = said.get("data")
        if said.get("status") != "success" or not isinstance(data, Mapping):
            raise self._http.bad_answer(answer, "GET /api/v1/query", "a result")
        return self._number(answer, data)

    def _number(self, answer: Answer, data: Mapping[str, object]) -> float | Unseen:
        kind, result = data.get("resultType"), data.get("result")
        if kind not in ("scalar", "vector"):
            return Unseen(f"the query gives a {kind}, and one number is wanted")
        if not isinstance(result, list):
            raise self._http.bad_answer(answer, "GET /api/v1/query", "a result")
        if kind == "scalar":
            return _of_sample(result)
        if not result:
            return Unseen("the query finds no series; with `or vector(0)` behind it nothing counts as 0")
        if len(result) > 1:
            return Unseen(
                f"the query finds {len(result)} series, and one is wanted: put sum() or max() around it"
            )
        only = result[0]
        return _of_sample(only.get("value") if isinstance(only, Mapping) else None)

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()


def _of_sample(sample: object) -> float | Unseen:
    """`[1767587843.1, "57"]`"""
    text = sample[1] if isinstance(sample, list) and len(sample) == 2 else None
    try:
        value = float(text) if isinstance(text, str) else math.nan
    except ValueError:
        value = math.nan
    return value if math.isfinite(value) else Unseen(f"the query gives {text}, which is no number to compare")


def _words(said: Mapping[str, object]) -> str:
    return " ".join(str(said.get("error") or "").split())[:300]
