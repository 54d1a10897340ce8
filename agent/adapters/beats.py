"""Two ways to ask from outside whether the agent is well: its /ready, and the file of its heartbeat."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from agent.adapters.http import VendorHttp
from agent.domain.errors import ServiceError
from agent.domain.watching import Look, Silent, Well
from agent.ports import Clock

#: An answer of ours is a few hundred bytes.
_MAX_BYTES = 64 * 1024


class ReadyProbe:
    """Asks `/ready`: whether it answers at all, and whether it says that it can do its work."""

    def __init__(self, url: str, *, timeout_s: float) -> None:
        self._url = url
        self._http = VendorHttp("oncall-agent", url, timeout_s=timeout_s, max_bytes=_MAX_BYTES)

    def close(self) -> None:
        """Give the connection back."""
        self._http.close()

    def look(self) -> Look:
        """Ask once."""
        try:
            answer = self._http.exchange("GET", "")
        except ServiceError as error:
            return Silent(f"{self._url} does not answer ({error.reason.value})")
        data = answer.data or {}
        problems = _words(data.get("problems"))
        if answer.status == 200 and data.get("status") == "ready" and not problems:
            return Well()
        reason = "; ".join(problems) or str(
            data.get("reason") or "not as oncall-agent answers when it is well"
        )
        return Silent(f"{self._url} answers {answer.status}: {reason}")


@dataclass(frozen=True, slots=True)
class _Beat:
    at: datetime
    problems: tuple[str, ...]


class FileProbe:
    """Reads the heartbeat file. That a beat is new is seen by its change, whatever the clocks say."""

    def __init__(self, path: Path, clock: Clock, *, stale_after_s: float) -> None:
        self._path = path
        self._clock = clock
        self._stale_after_s = stale_after_s
        self._last: datetime | None = None
        self._changed_at = 0.0
        self._was_old = False

    def look(self) -> Look:
        """Read once."""
        try:
            beat = _beat_in(self._path)
        except OSError as error:
            return Silent(f"{self._path} cannot be read ({error.strerror or error})")
        except (ValueError, KeyError, TypeError):
            return Silent(f"{self._path} is no heartbeat file")
        if beat.problems:
            return Silent("; ".join(beat.problems))
        return self._first(beat) if self._last is None else self._next(beat)

    def _first(self, beat: _Beat) -> Look:
        """An old beat may be of the time before this machine was switched off: the next looks tell."""
        old_s = (self._clock.now() - beat.at).total_seconds()
        self._last, self._changed_at = beat.at, self._clock.monotonic()
        self._was_old = old_s > self._stale_after_s
        return Silent(f"its last beat is {old_s:.0f} s old") if self._was_old else Well()

    def _next(self, beat: _Beat) -> Look:
        monotonic = self._clock.monotonic()
        if beat.at != self._last:
            self._last, self._changed_at, self._was_old = beat.at, monotonic, False
            return Well()
        quiet_s = monotonic - self._changed_at
        if self._was_old:
            return Silent(f"no beat since {beat.at:%Y-%m-%d %H:%M:%S} UTC")
        if quiet_s <= self._stale_after_s:
            return Well()
        since = self._clock.now() - timedelta(seconds=quiet_s)
        return Silent(f"no beat since {beat.at:%Y-%m-%d %H:%M:%S} UTC", since)


def _beat_in(path: Path) -> _Beat:
    data = json.loads(path.read_text(encoding="utf-8"))
    at = datetime.fromisoformat(data["at"])
    if at.tzinfo is None:
        raise ValueError("a time without its zone")
    return _Beat(at, _words(data["problems"]))


def _words(value: object) -> tuple[str, ...]:
    return tuple(str(each) for each in value) if isinstance(value, list) else ()
