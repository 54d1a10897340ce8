"""Keeptrusts' API for incidents: configurations, escalations, events; and gateways and providers.

A gateway and a provider's status page are asked at addresses of the configuration, without the token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from urllib.parse import quote

from agent.adapters.http import Answer, VendorHttp
from agent.domain.errors import Reason, ServiceError

_NAME = "Keeptrusts"
#: A gateway that answers no health check within this is not healthy.
_HEALTH_TIMEOUT_S = 5.0


class KeeptrustsGateways:
    """Implements ports.bypasses.Configurations, and what else the typed actions ask."""

    def __init__(
        self,
        api_url: str,
        api_token: str,
        *,
        gateways: Mapping[str, str],
        status_pages: Mapping[str, str],
        timeout_s: float,
    ) -> None:
        headers = {"Authorization": f"Bearer {api_token}"}
        self._http = VendorHttp(_NAME, api_url, timeout_s=timeout_s, headers=headers, secrets=[api_token])
        look = partial(VendorHttp, timeout_s=min(timeout_s, _HEALTH_TIMEOUT_S))
        self._gateways = {name: look(f"gateway {name}", url) for name, url in gateways.items()}
        self._pages = {name: look(f"status page of {name}", url) for name, url in status_pages.items()}

    def current(self, configuration: str) -> str:
        """What is in force now."""
        path = f"/v1/configurations/{quote(configuration, safe='')}"
        return self._content(self._get(path), f"configuration {configuration}")

    def version(self, configuration: str, version: str) -> str:
        """The text of one version."""
        path = f"/v1/configurations/{quote(configuration, safe='')}/versions/{quote(version, safe='')}"
        return self._content(self._get(path), f"version {version} of configuration {configuration}")

    def put(self, configuration: str, content: str) -> None:
        """Make this the one that gateways fetch at their next sync."""
        path = f"/v1/configurations/{quote(configuration, safe='')}"
        answer = self._http.exchange("PUT", path, body={"content": content})
        if not answer.ok:
            raise self._http.failure(answer, f"PUT {path}", _words(answer))

    def pending(self) -> tuple[int, Sequence[Mapping[str, object]]]:
        """How many escalations wait, and the newest of them, newest first."""
        return self._counted(self._get("/v1/escalations", {"status": "pending"}), "/v1/escalations")

    def blocked(self, since: datetime) -> tuple[int, Sequence[Mapping[str, object]]]:
        """How many requests were blocked since then, and the newest of them."""
        params = {"outcome": "blocked", "since": since.strftime("%Y-%m-%dT%H:%M:%SZ")}
        return self._counted(self._get("/v1/events", params), "/v1/events")

    def health(self, gateway: str) -> Mapping[str, object]:
        """What the gateway says of itself; ServiceError if it is not healthy, or says nothing."""
        return _told(self._gateways[gateway], "/health")

    def provider_status(self, provider: str) -> Mapping[str, object]:
        """`indicator` (none, minor, major, critical) and `description` of the provider's status page."""
        http = self._pages[provider]
        status = _told(http, "/api/v2/status.json").get("status")
        if not isinstance(status, Mapping) or not isinstance(status.get("indicator"), str):
            raise ServiceError(
                http.service, Reason.BAD_ANSWER, "it answered without status.indicator", retryable=False
            )
        return {name: status.get(name) for name in ("indicator", "description")}

    def _get(self, path: str, params: Mapping[str, str] | None = None) -> Answer:
        answer = self._http.exchange("GET", path, params=params)
        if not answer.ok:
            raise self._http.failure(answer, f"GET {path}", _words(answer))
        return answer

    def _content(self, answer: Answer, what: str) -> str:
        data = (answer.data or {}).get("data")
        content = data.get("content") if isinstance(data, Mapping) else None
        if not isinstance(content, str):
            raise self._http.bad_answer(answer, what, "data.content")
        return content

    def _counted(self, answer: Answer, what: str) -> tuple[int, Sequence[Mapping[str, object]]]:
        body = answer.data or {}
        meta, rows = body.get("meta"), body.get("data")
        total = meta.get("total") if isinstance(meta, Mapping) else None
        if isinstance(total, bool) or not isinstance(total, int) or not isinstance(rows, list):
            raise self._http.bad_answer(answer, what, "meta.total and data")
        return total, [row for row in rows if isinstance(row, Mapping)]


def _told(http: VendorHttp, path: str) -> Mapping[str, object]:
    answer = http.exchange("GET", path)
    if not answer.ok:
        raise http.failure(answer, f"GET {path}", _words(answer))
    if answer.data is None:
        raise http.bad_answer(answer, f"GET {path}", "a JSON object")
    return answer.data


def _words(answer: Answer) -> str:
    error = (answer.data or {}).get("error")
    return str(error.get("message", "")) if isinstance(error, Mapping) else ""
