"""One try of one HTTP call to a vendor, and what its failure means.

There are no retries in here: the outbox and the callers decide by `retryable` and `retry_after_s`.
What a vendor says about a failure is never shown as it is: an echoed key is cut out first.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlencode, urlsplit

from agent.adapters.exchange import Exchange, NoAnswer, RawAnswer, Trouble
from agent.domain.errors import Reason, ServiceError

#: Longer waits than an hour are not believed: the sender looks again by then.
LONGEST_WAIT_S = 3600.0
#: A full page of alerts can hold 25 bodies of 512 KB each; nothing longer is read.
ANSWER_MAX_BYTES = 16 * 1024 * 1024
_WORDS_MAX = 300
_REASONS = {
    Trouble.TIMEOUT: Reason.TIMEOUT,
    Trouble.UNREACHABLE: Reason.UNREACHABLE,
    Trouble.CUT_OFF: Reason.UNREACHABLE,
    Trouble.NOT_HTTP: Reason.UNREACHABLE,
    Trouble.TOO_LONG: Reason.BAD_ANSWER,
    Trouble.UNSENDABLE: Reason.REJECTED,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the vendor answered; `data` is the JSON object in the body, or None if it held none."""

    status: int
    headers: Mapping[str, str]
    data: Mapping[str, object] | None

    @property
    def ok(self) -> bool:
        """Whether the status says that it was done."""
        return 200 <= self.status < 300


class VendorHttp:
    """Talks to one vendor: one try a call, no redirects, bounded in time and size, silent about keys."""

    def __init__(
        self,
        service: str,
        base_url: str,
        *,
        timeout_s: float,
        headers: Mapping[str, str] | None = None,
        secrets: Sequence[str] = (),
        max_bytes: int = ANSWER_MAX_BYTES,
    ) -> None:
        self.service = service
        self._secrets = tuple(secret for secret in secrets if secret)
        self._base_url = base_url.rstrip("/")
        self._host = urlsplit(base_url).netloc.rpartition("@")[2]
        self._headers = {"User-Agent": "oncall-agent", **_sendable(service, headers or {})}
        self._exchange = Exchange(base_url, timeout_s=timeout_s, max_bytes=max_bytes)

    def __repr__(self) -> str:
        return f"VendorHttp({self.service!r}, host={self._host!r})"

    def close(self) -> None:
        """Give the connections back."""
        self._exchange.close()

    def exchange(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Ask once; gives the answer whatever its status, ServiceError if there was none."""
        sent = {**self._headers, **(headers or {})}
        content = None
        if body is not None:
            sent["Content-Type"] = "application/json"
            content = json_bytes(body)
        query = f"?{urlencode(params)}" if params else ""
        outcome = self._exchange.send(method, self._base_url + path + query, headers=sent, content=content)
        if isinstance(outcome, NoAnswer):
            raise self._unanswered(f"{method} {path}", outcome)
        return Answer(outcome.status, outcome.headers, _object_in(outcome))

    def failure(self, answer: Answer, what: str, words: str) -> ServiceError:
        """The error for an answer that is no success; `words` are the vendor's own."""
        reason, retryable = classify(answer.status)
        told = self._told(words)
        return ServiceError(
            self.service,
            reason,
            f"{what} was answered {answer.status}" + (f" ({told})" if told else "") + _advice(answer.status),
            retryable=retryable,
            retry_after_s=retry_after_s(answer.headers) if retryable else None,
        )

    def bad_answer(self, answer: Answer, what: str, expected: str) -> ServiceError:
        """The error for a success that does not hold what it should; asking again may help."""
        return ServiceError(
            self.service,
            Reason.BAD_ANSWER,
            f"{what} was answered {answer.status} without {expected}; "
            f"check that {self._host} is the vendor and no proxy answers for it",
            retryable=True,
        )

    def _unanswered(self, what: str, outcome: NoAnswer) -> ServiceError:
        trouble = outcome.trouble
        where = f": {self._host}" if trouble is Trouble.UNREACHABLE else ""
        return ServiceError(
            self.service,
            _REASONS[trouble],
            f"{what}{where} {outcome.words}",
            retryable=trouble is not Trouble.UNSENDABLE,
        )

    def _told(self, words: str) -> str:
        for secret in self._secrets:
            words = words.replace(secret, "***")
        printable = " ".join("".join(c if c.isprintable() else " " for c in words).split())
        return printable if len(printable) <= _WORDS_MAX else printable[: _WORDS_MAX - 1] + "…"


def classify(status: int) -> tuple[Reason, bool]:
    """What a status that is no success means, and whether asking again can help."""
    if status in {401, 403}:
        return Reason.AUTH, False
    if status == 404:
        return Reason.NOT_FOUND, False
    if status == 408:
        return Reason.TIMEOUT, True
    if status == 429:
        return Reason.RATE_LIMITED, True
    if status >= 500:
        return Reason.SERVER_ERROR, True
    if status >= 400:
        return Reason.REJECTED, status in {409, 425}
    return Reason.BAD_ANSWER, True


def retry_after_s(headers: Mapping[str, str], *, now: datetime | None = None) -> float | None:
    """How long the vendor asks to wait: Retry-After (seconds or a date), else ratelimit-reset (seconds)."""
    lower = {name.lower(): value.strip() for name, value in headers.items()}
    for value in (lower.get("retry-after"), lower.get("ratelimit-reset")):
        wait = None if not value else _wait_of(value, now or datetime.now(UTC))
        if wait is not None:
            return min(max(wait, 0.0), LONGEST_WAIT_S)
    return None


def json_bytes(value: Mapping[str, object]) -> bytes:
    """Compact JSON in UTF-8; the values are clean already."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _wait_of(value: str, now: datetime) -> float | None:
    try:
        seconds = float(value)
    except ValueError:
        return _seconds_until(value, now)
    return seconds if math.isfinite(seconds) else None


def _seconds_until(value: str, now: datetime) -> float | None:
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, IndexError, OverflowError):
        return None
    aware = at if at.tzinfo else at.replace(tzinfo=UTC)
    return (aware - now).total_seconds()


def _object_in(answer: RawAnswer) -> Mapping[str, object] | None:
    try:
        data = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def _advice(status: int) -> str:
    if status in {401, 403}:
        return "; check the key and what it is allowed to do"
    if 300 <= status < 400:
        return "; redirects are not followed, check the base URL in the configuration"
    return ""


def _sendable(service: str, headers: Mapping[str, str]) -> Mapping[str, str]:
    """A key with a line break or a foreign letter is no header; told here without showing it."""
    for name, value in headers.items():
        if not (value.isascii() and value.isprintable()):
            raise ServiceError(
                service,
                Reason.AUTH,
                f"the value for the header {name} holds a line break or a character outside ASCII; "
                "write the key or address anew in the configuration",
                retryable=False,
            )
    return headers
