"""PagerDuty's REST API as the desk where an incident is kept: read it, acknowledge, note, resolve.

Every method is one try. A write looks first at what is there, so that it is safe to repeat and so that
nothing is undone: PagerDuty reopens a resolved incident when it is told `acknowledged`
(reference "Update an incident", PUT /incidents/{id}).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from agent.adapters.http import Answer, VendorHttp
from agent.adapters.json_view import child, clean, items_at, text_at
from agent.adapters.pagerduty_facts import facts_of
from agent.domain.errors import Reason, ServiceError
from agent.ports import SourceFacts

_ACCEPT = "application/vnd.pagerduty+json;version=2"
#: 25 alerts with bodies of up to 512 KB each still fit into one answer that we read.
_PAGE = 25
#: Alerts beyond these are not looked at; an incident can gather many hundreds.
_ALERTS_MAX = 200
#: Our own bound for one note; PagerDuty states none.
_NOTE_MAX = 20_000
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
#: "Incident Already Resolved", "Incident Already Acknowledged" (reference "Errors").
_ALREADY = {1001, 1002}


class PagerDutyDesk:
    """Reads and changes incidents in PagerDuty in the name of `from_email`."""

    def __init__(self, api_url: str, api_token: str, from_email: str, timeout_s: float = 5.0) -> None:
        token = api_token.strip()
        self._from_email = from_email.strip()
        self._own_id = ""
        self._http = VendorHttp(
            "pagerduty",
            api_url,
            timeout_s=timeout_s,
            headers={
                "Accept": _ACCEPT,
                "Authorization": f"Token token={token}",
                "From": self._from_email,
            },
            secrets=(token,),
        )

    def __repr__(self) -> str:
        return f"PagerDutyDesk({self._http!r}, from_email={self._from_email!r})"

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def facts(self, source_id: str) -> SourceFacts:
        """The incident and its alerts: severity, labels, details."""
        return facts_of(self._incident(source_id), self._alerts(source_id))

    def acknowledge(self, source_id: str) -> str:
        """Tell PagerDuty that it is being worked on; a resolved incident is left as it is."""
        before = self._incident(source_id)
        if text_at(before, "status") == "resolved":
            return ""
        after = self._change(source_id, {"status": "acknowledged"})
        acknowledgers = _acknowledgers(after)
        if self._own_id in acknowledgers:
            return self._own_id
        joined = acknowledgers - _acknowledgers(before)
        if len(joined) == 1:
            return self._if_own(joined.pop())
        unchanged = text_at(before, "status") == "acknowledged"
        return "" if joined or unchanged else self._if_own(_last_changed_by(after))

    def note(self, source_id: str, text: str) -> None:
        """Add a note unless one with the same text is there."""
        content = _note_text(text)
        path = f"{_path_of(source_id)}/notes"
        notes = items_at(self._part("GET", path, "notes"), "notes")
        if content and all(_note_text(text_at(each, "content")) != content for each in notes):
            self._part("POST", path, "note", body={"note": {"content": content}})

    def resolve(self, source_id: str, resolution: str) -> str:
        """Close it; what is closed stays as it is."""
        if text_at(self._incident(source_id), "status") == "resolved":
            return ""
        change = {"status": "resolved", "resolution": _note_text(resolution)}
        after = self._change(source_id, {key: value for key, value in change.items() if value})
        return self._if_own(_last_changed_by(after))

    def own_user_id(self) -> str:
        """The user that our writes are counted for, or "" if PagerDuty does not tell."""
        if not self._own_id:
            self._own_id = self._user_of_token() or self._user_of_email()
        return self._own_id

    def _user_of_token(self) -> str:
        """Only a user's own token has a "me"; an account's key is answered 400."""
        answer = self._ask("GET", "/users/me")
        if answer.status in {400, 403, 404}:
            return ""
        return text_at(self._checked(answer, "GET /users/me"), "user", "id")

    def _user_of_email(self) -> str:
        answer = self._ask("GET", "/users", params={"query": self._from_email, "limit": "100"})
        if answer.status in {400, 403, 404}:
            return ""
        users = items_at(self._checked(answer, "GET /users"), "users")
        wanted = self._from_email.casefold()
        return next((text_at(u, "id") for u in users if text_at(u, "email").casefold() == wanted), "")

    def _incident(self, source_id: str) -> object:
        path = _path_of(source_id)
        answer = self._ask("GET", path)
        incident = child(self._checked(answer, f"GET {path}"), "incident")
        if not isinstance(incident, Mapping):
            raise self._http.bad_answer(answer, f"GET {path}", "an incident")
        return incident

    def _part(
        self, method: str, path: str, name: str, *, body: Mapping[str, object] | None = None
    ) -> Mapping[str, object]:
        """An answer that holds what it should: a proxy's 200 is no proof that a note was taken."""
        answer = self._ask(method, path, body=body)
        data = self._checked(answer, f"{method} {path}")
        if name not in data:
            raise self._http.bad_answer(answer, f"{method} {path}", f'"{name}"')
        return data

    def _alerts(self, source_id: str) -> Sequence[object]:
        alerts: list[object] = []
        while len(alerts) < _ALERTS_MAX:
            params = {"limit": str(_PAGE), "offset": str(len(alerts))}
            page = self._call("GET", f"{_path_of(source_id)}/alerts", params=params)
            alerts.extend(found := items_at(page, "alerts"))
            if child(page, "more") is not True or not found:
                break
        return alerts

    def _change(self, source_id: str, change: Mapping[str, str]) -> object:
        """The incident after the change, or None if it was already so."""
        path = _path_of(source_id)
        answer = self._ask("PUT", path, body={"incident": {"type": "incident_reference", **change}})
        if answer.status == 400 and _is_already_so(answer):
            return None
        changed = child(self._checked(answer, f"PUT {path}"), "incident")
        if not isinstance(changed, Mapping):
            raise self._http.bad_answer(answer, f"PUT {path}", "an incident")
        return changed

    def _if_own(self, user_id: str) -> str:
        """Never a colleague's id: theirs would make their takeover look like our own echo."""
        return user_id if not self._own_id or user_id == self._own_id else ""

    def _call(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None
    ) -> Mapping[str, object]:
        return self._checked(self._ask(method, path, params=params), f"{method} {path}")

    def _ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
    ) -> Answer:
        return self._http.exchange(method, path, params=params, body=body)

    def _checked(self, answer: Answer, what: str) -> Mapping[str, object]:
        if not answer.ok:
            raise self._http.failure(answer, what, _words_of(answer))
        if answer.data is None:
            raise self._http.bad_answer(answer, what, "a JSON object")
        return answer.data


def _path_of(source_id: str) -> str:
    if not _ID.fullmatch(source_id):
        raise ServiceError(
            "pagerduty",
            Reason.NOT_FOUND,
            f"{source_id[:80]!r} is no incident id of PagerDuty; nothing was asked",
            retryable=False,
        )
    return f"/incidents/{quote(source_id, safe='')}"


def _note_text(text: str) -> str:
    trimmed = clean(text).replace("\r\n", "\n").strip()
    return trimmed if len(trimmed) <= _NOTE_MAX else trimmed[: _NOTE_MAX - 1] + "…"


def _words_of(answer: Answer) -> str:
    """PagerDuty's own words: message, code and details."""
    code = child(answer.data, "error", "code")
    parts = [
        text_at(answer.data, "error", "message"),
        f"code {code}" if isinstance(code, int) else "",
        *(each for each in items_at(answer.data, "error", "errors") if isinstance(each, str)),
    ]
    return ", ".join(filter(None, parts))


def _is_already_so(answer: Answer) -> bool:
    words = _words_of(answer).casefold()
    told = "already resolved" in words or "already acknowledged" in words
    return told or child(answer.data, "error", "code") in _ALREADY


def _acknowledgers(incident: object) -> set[str]:
    entries = items_at(incident, "acknowledgements")
    users = (child(each, "acknowledger") for each in entries)
    return {text_at(user, "id") for user in users if _is_user(user)} - {""}


def _last_changed_by(incident: object) -> str:
    actor = child(incident, "last_status_change_by")
    return text_at(actor, "id") if _is_user(actor) else ""


def _is_user(actor: object) -> bool:
    return text_at(actor, "type") in {"user", "user_reference"}
