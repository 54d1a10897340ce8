"""A team's incidents of the past from PagerDuty's REST API, page by page, patient with its limits.

960 requests a minute are allowed for one key (reference "Rate Limits"); a page holds at most 100 incidents,
and offset plus limit is at most 10,000 (reference "Pagination"); one range spans at most 6 months.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from agent.adapters.history_file import past_of, time_of
from agent.adapters.http import Answer, VendorHttp
from agent.adapters.json_view import child, items_at, text_at
from agent.domain.errors import Reason, ServiceError
from agent.domain.history import PastAlert

_ACCEPT = "application/vnd.pagerduty+json;version=2"
_PAGE = 100
_DEPTH_MAX = 10_000
_RANGE_MAX = timedelta(days=150)
_ALERTS = 25
_TRIES = 6
_WAIT_MAX_S = 60.0


class PagerDutyHistory:
    """Reads and changes nothing. `wait` is how it waits before it asks again."""

    def __init__(
        self, api_url: str, api_token: str, *, wait: Callable[[float], None], timeout_s: float = 10.0
    ) -> None:
        token = api_token.strip()
        self._wait = wait
        self._http = VendorHttp(
            "pagerduty",
            api_url,
            timeout_s=timeout_s,
            headers={"Accept": _ACCEPT, "Authorization": f"Token token={token}"},
            secrets=(token,),
        )

    def __repr__(self) -> str:
        return f"PagerDutyHistory({self._http!r})"

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def incidents(self, since: datetime, until: datetime, *, with_alerts: bool = True) -> Iterator[PastAlert]:
        """Every incident that was created in this time, the oldest first.

        Without its alerts (one more request for each) an incident has no severity, labels and details.
        """
        seen: set[str] = set()
        for begin, end in _ranges(since, until):
            for incident in self._created(begin, end):
                of_id = text_at(incident, "id")
                if not of_id or of_id in seen:
                    continue
                seen.add(of_id)
                yield past_of(incident, self._alerts(of_id) if with_alerts else [])

    def _created(self, begin: datetime, end: datetime) -> Iterator[object]:
        """Beyond the deepest page it goes on from the last incident's time; doubles are the caller's."""
        offset = 0
        while True:
            params = {"since": _stamp(begin), "until": _stamp(end), "sort_by": "created_at:asc"}
            page = self._get("/incidents", {**params, "limit": str(_PAGE), "offset": str(offset)})
            found = items_at(page, "incidents")
            yield from found
            offset += len(found)
            if child(page, "more") is not True or not found:
                return
            if offset + _PAGE > _DEPTH_MAX:
                begin, offset = self._after(found, begin), 0

    def _after(self, found: Sequence[object], begin: datetime) -> datetime:
        last = time_of(child(found[-1], "created_at"))
        if last is None or last <= begin:
            raise ServiceError(
                "pagerduty",
                Reason.BAD_ANSWER,
                f"GET /incidents gave {_DEPTH_MAX} incidents and no later time to go on from; "
                "ask for a shorter time with --since",
                retryable=False,
            )
        return last

    def _alerts(self, incident_id: str) -> list[object]:
        """The first ones: an incident can gather many hundreds that say the same."""
        path = f"/incidents/{quote(incident_id, safe='')}/alerts"
        return list(items_at(self._get(path, {"limit": str(_ALERTS)}), "alerts"))

    def _get(self, path: str, params: Mapping[str, str]) -> Mapping[str, object]:
        for turn in range(1, _TRIES):
            try:
                return self._get_once(path, params)
            except ServiceError as error:
                if not error.retryable:
                    raise
                self._wait(min(error.retry_after_s or 2.0**turn, _WAIT_MAX_S))
        return self._get_once(path, params)

    def _get_once(self, path: str, params: Mapping[str, str]) -> Mapping[str, object]:
        answer: Answer = self._http.exchange("GET", path, params=params)
        if not answer.ok:
            raise self._http.failure(answer, f"GET {path}", text_at(answer.data, "error", "message"))
        if answer.data is None:
            raise self._http.bad_answer(answer, f"GET {path}", "a JSON object")
        return answer.data


def _ranges(since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    while since < until:
        end = min(since + _RANGE_MAX, until)
        yield since, end
        since = end


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
