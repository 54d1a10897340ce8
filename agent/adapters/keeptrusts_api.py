"""Keeptrusts' API: a human's answer to an escalation goes there, and with it the response that was held.

Known from the published pages alone: `POST /v1/escalations/{id}/resolve` with `resolution` and `notes`. What
a second resolve is answered they do not say; whatever says "already" means that it is done.
"""

from __future__ import annotations

from urllib.parse import quote

from agent.adapters.http import Answer, VendorHttp
from agent.adapters.json_view import clean, text_at

_CONFLICT, _REFUSED = 409, (400, 422)
_NOTES_MAX = 10_000


class KeeptrustsApi:
    """Implements ports.Keeptrusts."""

    def __init__(self, api_url: str, token: str, timeout_s: float = 5.0) -> None:
        plain = token.strip()
        headers = {"Authorization": f"Bearer {plain}"}
        self._http = VendorHttp("keeptrusts", api_url, timeout_s=timeout_s, headers=headers, secrets=(plain,))

    def __repr__(self) -> str:
        return f"KeeptrustsApi({self._http!r})"

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def resolve(self, escalation_id: str, resolution: str, notes: str) -> bool:
        """Settle it there; False if it was settled there already."""
        body = {"resolution": clean(resolution), "notes": clean(notes)[:_NOTES_MAX]}
        path = f"/v1/escalations/{quote(clean(escalation_id), safe='')}/resolve"
        answer = self._http.exchange("POST", path, body=body)
        if answer.ok:
            return True
        words = _words_of(answer)
        if answer.status == _CONFLICT or (answer.status in _REFUSED and "already" in words.casefold()):
            return False
        raise self._http.failure(answer, f"POST {path}", words)

    def pending(self) -> int:
        """How many escalations wait there: the cheapest question that needs the token."""
        answer = self._http.exchange("GET", "/v1/escalations", params={"status": "pending", "limit": "0"})
        what = "GET /v1/escalations"
        if not answer.ok:
            raise self._http.failure(answer, what, _words_of(answer))
        meta = answer.data.get("meta") if answer.data is not None else None
        total = meta.get("total") if isinstance(meta, dict) else None
        if not isinstance(total, int) or isinstance(total, bool):
            raise self._http.bad_answer(answer, what, "meta.total")
        return total


def _words_of(answer: Answer) -> str:
    data = answer.data
    return text_at(data, "error", "message") or text_at(data, "error") or text_at(data, "message")
