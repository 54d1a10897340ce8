"""A summary that a model writes: words alone. Every number in it must stand in the facts it was given."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field

from agent.domain.advice import NoAdvice, NoAdviceReason, Usage

#: A few sentences; whoever writes more was not asked for it.
MAX_CHARS = 1_500

_NUMBER = re.compile(r"[0-9]+(?:[.,:/-][0-9]+)*")

#: Numbers as words: whoever may not invent 40 may not invent forty either. "One" is mostly no number.
_WORDS = frozenset(
    (
        *("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
        *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"),
        *("thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety", "hundred", "hundreds"),
        *("thousand", "thousands", "million", "millions", "dozen", "dozens", "half", "twice", "double"),
        *("doubled", "tripled", "third", "quarter", "zero"),
    )
)
_WORD = re.compile(r"[a-z]+")


@dataclass(frozen=True, slots=True)
class ProseRequest:
    """What a summary is written from: JSON, redacted and cut already. It is data, whoever wrote it."""

    facts: str


@dataclass(frozen=True, slots=True)
class Prose:
    """A summary, and the model that wrote it."""

    text: str
    model: str
    usage: Usage = field(default_factory=Usage)


def checked_prose(request: ProseRequest, prose: Prose) -> Prose | NoAdvice:
    """The summary if it says no number that the facts do not; anything else is none at all."""
    text = " ".join("".join(each if each.isprintable() else " " for each in prose.text).split())
    if not text:
        return NoAdvice(NoAdviceReason.EMPTY, "it wrote nothing", prose.usage)
    if len(text) > MAX_CHARS:
        return NoAdvice(NoAdviceReason.BAD_ANSWER, "it wrote more than a summary", prose.usage)
    invented = numbers_in(text) - numbers_in(request.facts)
    if invented:
        return NoAdvice(NoAdviceReason.BAD_ANSWER, "it wrote a number that is not in the facts", prose.usage)
    return Prose(text, prose.model, prose.usage)


def numbers_in(text: str) -> frozenset[str]:
    """Every number in a text, in one spelling, also those in words."""
    plain = unicodedata.normalize("NFKC", text).lower()
    digits = "".join(str(unicodedata.digit(each)) if each.isdigit() else each for each in plain)
    found = (each.replace(",", "") for each in _NUMBER.findall(digits))
    return frozenset(found) | (_WORDS & set(_WORD.findall(plain)))
