"""`freeze:` in `config.yaml`: windows in which nothing is changed, or only with a human's yes.

{name: year end, mode: notify, starts: 2026-12-20 18:00, ends: 2027-01-04 06:00, timezone: Europe/Berlin}
{name: weekend,  mode: approve, starts: fri 16:00, ends: mon 08:00, timezone: Europe/Berlin}
{name: nights,   mode: approve, days: [mon, tue], starts: "22:00", ends: "06:00", services: [payments]}
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from agent.domain.freeze import (
    MINUTES_OF_A_DAY,
    MINUTES_OF_A_WEEK,
    FreezeMode,
    FreezeWindow,
    Once,
    Weekly,
    earliest,
    latest,
)

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DAY_OF = {name[:length]: day for day, name in enumerate(_DAYS) for length in (3, len(name))}

_CLOCK = re.compile(r"([01]?[0-9]|2[0-4]):([0-5][0-9])(?::00)?", re.ASCII)
_FORMS = "write 2026-12-20 18:00, fri 16:00, or (with days) 16:00"


@dataclass(frozen=True, slots=True)
class _Weekday:
    """A time of one weekday."""

    day: int
    minute: int


@dataclass(frozen=True, slots=True)
class _Clock:
    """A time of any day."""

    minute: int


_Moment = datetime | _Weekday | _Clock


def _as_text(value: object) -> object:
    """What YAML reads as something else is text again: 16:00 as a number to the base 60, dates as dates."""
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, date):
        problem = f"{value} has no time of day; write {value} 00:00 (a day begins then) or another time"
        raise ValueError(problem)  # noqa: TRY004  (pydantic tells ValueErrors with their key path)
    if isinstance(value, int) and not isinstance(value, bool) and 60 <= value <= MINUTES_OF_A_DAY:
        return f"{value // 60:02}:{value % 60:02}"
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no time; {_FORMS}")  # noqa: TRY004
    return value


def _moment(text: str) -> _Moment:
    words = text.lower().split()
    if len(words) == 1 and (clock := _CLOCK.fullmatch(words[0])):
        return _Clock(_minute(clock, text))
    if len(words) == 2 and words[0] in DAY_OF and (clock := _CLOCK.fullmatch(words[1])):
        return _Weekday(DAY_OF[words[0]], _minute(clock, text))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time; {_FORMS}") from None
    if ":" not in text:
        raise ValueError(f"{text!r} has no time of day; write one behind it, such as 18:00")
    return moment


def _minute(clock: re.Match[str], text: str) -> int:
    minute = int(clock[1]) * 60 + int(clock[2])
    if minute > MINUTES_OF_A_DAY:
        raise ValueError(f"{text!r} is no time; the last one of a day is 24:00")
    return minute


def _is_moment(text: str) -> str:
    _moment(text)
    return text


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        near = difflib.get_close_matches(name, available_timezones(), n=1)
        hint = f"did you mean {near[0]}?" if near else "write one such as Europe/Berlin"
        raise ValueError(f"{name!r} is no time zone that this machine knows; {hint}") from None


def zone_name(name: str) -> str:
    """The name of a time zone that this machine knows."""
    _zone(name)
    return name


def day_name(name: str) -> str:
    """The name of a day of the week."""
    if name.lower() not in DAY_OF:
        raise ValueError(f"{name!r} is no day of the week; write mon, tue, wed, thu, fri, sat or sun")
    return name.lower()


Moment = Annotated[str, BeforeValidator(_as_text), AfterValidator(_is_moment)]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class FreezeSection(BaseModel):
    """One window of the calendar: when, how strict, and what it is about; both lists empty: everything."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    mode: FreezeMode
    starts: Moment
    ends: Moment
    days: tuple[Annotated[str, AfterValidator(day_name)], ...] = ()
    timezone: Annotated[str, AfterValidator(zone_name)] = "UTC"
    services: tuple[Name, ...] = ()
    runbooks: tuple[Name, ...] = ()

    @model_validator(mode="after")
    def _makes_sense(self) -> FreezeSection:
        self.window()
        return self

    def window(self) -> FreezeWindow:
        """The entry as the pipeline asks it."""
        zone = _zone(self.timezone)
        return FreezeWindow(self.name, self.mode, self._when(zone), zone, self.services, self.runbooks)

    def _when(self, zone: ZoneInfo) -> Once | Weekly:
        starts, ends = _moment(self.starts), _moment(self.ends)
        if isinstance(starts, datetime) and isinstance(ends, datetime):
            self._without_days("a date")
            return _once(starts, ends, zone)
        if isinstance(starts, _Weekday) and isinstance(ends, _Weekday):
            self._without_days("a weekday")
            return _weekly(starts, ends, zone)
        if isinstance(starts, _Clock) and isinstance(ends, _Clock):
            if not self.days:
                raise ValueError("a time alone needs days; add days: [mon, tue], or write fri 16:00")
            return _daily(self.days, starts, ends, zone)
        raise ValueError(
            f"starts ({self.starts}) and ends ({self.ends}) are written in two ways; write both with a date, "
            "both with a weekday, or both as a time alone with days"
        )

    def _without_days(self, has: str) -> None:
        if self.days:
            raise ValueError(f"days goes with times alone; starts and ends already have {has}: remove days")


def _once(starts: datetime, ends: datetime, zone: ZoneInfo) -> Once:
    first = earliest(starts, zone) if starts.tzinfo is None else starts.astimezone(UTC)
    last = latest(ends, zone) if ends.tzinfo is None else ends.astimezone(UTC)
    if last <= first or (starts.tzinfo is None and ends.tzinfo is None and ends <= starts):
        raise ValueError(f"ends ({ends}) is not after starts ({starts}); exchange them")
    return Once(first, last)


def _weekly(starts: _Weekday, ends: _Weekday, zone: ZoneInfo) -> Weekly:
    lasts = (ends.day - starts.day) * MINUTES_OF_A_DAY + ends.minute - starts.minute
    if lasts % MINUTES_OF_A_WEEK == 0:
        raise ValueError("starts and ends are the same moment of the week; exchange or change one of them")
    return Weekly(frozenset({starts.day}), starts.minute, lasts % MINUTES_OF_A_WEEK, zone)


def _daily(days: tuple[str, ...], starts: _Clock, ends: _Clock, zone: ZoneInfo) -> Weekly:
    """An end that is not later than the start is one of the next day."""
    lasts = ends.minute - starts.minute
    if lasts in (0, -MINUTES_OF_A_DAY):
        raise ValueError("starts and ends are the same time; for a whole day write 00:00 and 24:00")
    if lasts < 0:
        lasts += MINUTES_OF_A_DAY
    return Weekly(frozenset(DAY_OF[day] for day in days), starts.minute, lasts, zone)
