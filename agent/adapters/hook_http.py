"""One try of one post to a hook; its URL may be all that it takes to post there, so it is never shown."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from agent.adapters.http import Answer, VendorHttp

#: Nobody waits for what a hook has to say; this much is read for the words of a refusal.
_ANSWER_MAX_BYTES = 64 * 1024

_WORDS = ("error", "message", "detail", "title")


class HookHttp:
    """Posts JSON to one address; ServiceError with words if it was not taken."""

    def __init__(self, service: str, url: str, *, timeout_s: float, secrets: Sequence[str] = ()) -> None:
        parts = [part for part in re.split(r"[/?&=]", url.partition("://")[2]) if len(part) >= _SECRET_LENGTH]
        self._service = service
        self._http = VendorHttp(
            service,
            url,
            timeout_s=timeout_s,
            secrets=[url, *parts, *secrets],
            max_bytes=_ANSWER_MAX_BYTES,
        )

    def __repr__(self) -> str:
        return f"HookHttp({self._service!r}, '***')"

    def post(
        self, body: Mapping[str, object], headers: Mapping[str, str] | None = None, *, path: str = ""
    ) -> Answer:
        """Post once; the answer of a success."""
        answer = self._http.exchange("POST", path, body=body, headers=headers)
        if not answer.ok:
            raise self._http.failure(answer, "the post", _words_of(answer))
        return answer


#: A part of an address that is shorter is a word, and hides nothing.
_SECRET_LENGTH = 12


def _words_of(answer: Answer) -> str:
    data = answer.data or {}
    for name in _WORDS:
        said = data.get(name)
        if isinstance(said, Mapping):
            said = said.get("message")
        if isinstance(said, str) and said:
            return said
    return ""
