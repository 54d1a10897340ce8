"""`Expected output:` → checks, and the judgement of an output.

    "OK"                      the trimmed output is exactly this
    contains "…"              not contains "…"
    matches /…/               not matches /…/
    < 20                      the trimmed output is one number (<, <=, >, >=, ==, !=)
    exit code 0
    json .redis == "connected"    json .items[0].ready == true    json .count < 5

Joined by `and` and `or`; `and` binds tighter: `a and b or c` holds if a and b hold, or if c holds.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from agent.domain.expectation import (
    Both,
    Check,
    Either,
    Equals,
    ExitCode,
    Expectation,
    JsonPath,
    Judgement,
    NumberCompares,
    OutputContains,
    OutputMatches,
)
from agent.library import json_paths, regexes
from agent.library.problems import NotUnderstoodError
from agent.library.values import QUOTES, read_pattern, read_quoted, shown

MAX_CHARS = 2_000
MAX_CHECKS = 30
_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
_OPERATOR = re.compile(r"(<=|>=|==|!=|<|>) *")
_NUMBER = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?")
_KEYWORD = re.compile(r"(not +|does +not +)?(contains?|match(?:es)?)(?![A-Za-z]) *", re.IGNORECASE)
_EXIT_CODE = re.compile(r"exit +code +(?:is +|== *)?([0-9]{1,3})(?![0-9A-Za-z.])", re.IGNORECASE)
_JSON = re.compile(r"json +(?=[.\[])", re.IGNORECASE)
_JOIN = re.compile(r" *\b(and|or)\b *", re.IGNORECASE)
_FORMS = 'write "text", contains "text", matches /pattern/, exit code 0, json .path == "text" or < 20'
_LONGEST_NUMBER = 64
_LONGEST_SHOWN = 200


@lru_cache(maxsize=2_000)  # the same few stand in every runbook
def parse(text: str) -> Expectation:
    """What the line means; NotUnderstoodError says what is wrong with it."""
    if len(text) > MAX_CHARS:
        raise NotUnderstoodError(f"longer than {MAX_CHARS} characters", "make it shorter")
    line = text.strip()
    alternatives: list[list[Check]] = [[]]
    position = checks = 0
    while True:
        check, position = _check(line, position)
        _check_repeated(check, alternatives)
        alternatives[-1].append(check)
        checks += 1
        if position == len(line):
            break
        position = _joined(line, position, alternatives)
    if checks > MAX_CHECKS:
        raise NotUnderstoodError(f"more than {MAX_CHECKS} checks", "make it shorter")
    return Expectation(line, _either([_both(checks_) for checks_ in alternatives]))


def judge(expectation: Expectation | None, *, exit_code: int | None, stdout: str) -> Judgement:
    """Whether a command did what its step expects, and in words why (not).

    Without an expectation the exit code must be 0. With one, an exit code other than 0 still fails,
    unless the expectation speaks of the exit code itself: a command that fails while it prints the
    right word has failed. Each alternative of an `or` is held to this on its own. A command that
    has no exit code (it was ended, or never ran) never holds.
    """
    if exit_code is None:
        return Judgement(False, "the command did not end by itself, so it has no exit code")
    if expectation is None:
        return _exit_code_is(0, exit_code)
    return _judged(expectation.check, _Output(exit_code, stdout))


@dataclass(frozen=True, slots=True)
class _Output:
    exit_code: int
    text: str


def _judged(check: Check, output: _Output) -> Judgement:
    if isinstance(check, Either):
        return _any_of([_judged(part, output) for part in check.parts])
    judgement = _holds(check, output)
    if judgement.holds and output.exit_code != 0 and not _speaks_of_exit_code(check):
        return Judgement(False, f"{judgement.reason}, but the exit code is {output.exit_code}")
    return judgement


def _holds(check: Check, output: _Output) -> Judgement:
    match check:
        case Equals(text):
            return _equals(text, output.text)
        case OutputContains(text, negated):
            return _found(text in output.text, negated, f"contain “{text}”", "contains " + f"“{text}”")
        case OutputMatches(pattern, negated):
            # the newline that ends an output is nobody's text: `/^[01]$/` means the line that people see
            found = regexes.is_found(pattern, output.text.strip())
            return _found(found, negated, f"match /{pattern}/", f"matches /{pattern}/")
        case ExitCode(code):
            return _exit_code_is(code, output.exit_code)
        case JsonPath():
            return _json(check, output.text)
        case NumberCompares(sign, value):
            return _number(sign, value, output.text)
        case Both(parts):
            return _all_of([_holds(part, output) for part in parts])
        case Either(parts):
            return _any_of([_judged(part, output) for part in parts])


def _speaks_of_exit_code(check: Check) -> bool:
    if isinstance(check, Both | Either):
        return any(_speaks_of_exit_code(part) for part in check.parts)
    return isinstance(check, ExitCode)


def _all_of(judgements: list[Judgement]) -> Judgement:
    failed = [judgement.reason for judgement in judgements if not judgement.holds]
    reasons = failed or [judgement.reason for judgement in judgements]
    return Judgement(not failed, " and ".join(reasons))


def _any_of(judgements: list[Judgement]) -> Judgement:
    held = next((judgement for judgement in judgements if judgement.holds), None)
    return held or Judgement(False, " and ".join(judgement.reason for judgement in judgements))


def _exit_code_is(wanted: int, actual: int) -> Judgement:
    if wanted == actual:
        return Judgement(True, f"the exit code is {actual}")
    return Judgement(False, f"the exit code is {actual}, expected {wanted}")


def _equals(text: str, output: str) -> Judgement:
    trimmed = output.strip()
    if trimmed == text.strip():
        return Judgement(True, f"the output is {shown(trimmed)}")
    actual = shown(trimmed) if trimmed else "empty"
    return Judgement(False, f"the output is {actual}, expected {shown(text)}")


def _found(found: bool, negated: bool, infinitive: str, present: str) -> Judgement:
    words = f"the output {present}" if found else f"the output does not {infinitive}"
    suffix = ", which it must not" if found and negated else ""
    return Judgement(found != negated, words + suffix)


def _json(check: JsonPath, output: str) -> Judgement:
    path = json_paths.written(check.path)
    try:
        actual = json_paths.value_at(output, check.path)
    except NotUnderstoodError as error:
        return Judgement(False, error.message)
    holds = _json_compares(check.operator, actual, check.value)
    wanted = f"{check.operator} {json.dumps(check.value)}"
    words = f"{path} is {_json_shown(actual)}"
    return Judgement(holds, words if holds else f"{words}, expected {wanted}")


def _json_shown(value: object) -> str:
    return shown(value) if isinstance(value, str) else json.dumps(value)[:_LONGEST_SHOWN]


def _json_compares(sign: str, actual: object, wanted: object) -> bool:
    """Numbers compare as numbers; everything else is equal only if it is of one kind and equal."""
    if json_paths.is_number(actual) and json_paths.is_number(wanted):
        return _COMPARE[sign](actual, wanted)
    equal = type(actual) is type(wanted) and actual == wanted
    return {"==": equal, "!=": not equal}.get(sign, False)


def _number(sign: str, wanted: float, output: str) -> Judgement:
    trimmed = output.strip()
    if len(trimmed) > _LONGEST_NUMBER or _NUMBER.fullmatch(trimmed) is None:
        return Judgement(
            False, f"the output is {shown(trimmed) if trimmed else 'empty'}, expected one number"
        )
    holds = _COMPARE[sign](float(trimmed), wanted)
    words = f"the output is {trimmed}"
    return Judgement(holds, words if holds else f"{words}, expected {sign} {wanted:g}")


def _check_repeated(check: Check, alternatives: list[list[Check]]) -> None:
    """`contains "a" and "b"` reads as two texts to contain, but a text alone means equality."""
    before = [earlier for checks in alternatives for earlier in checks]
    if isinstance(check, Equals) and before and isinstance(before[-1], OutputContains):
        raise NotUnderstoodError(
            f"{shown(check.text)} alone would mean that the output equals it",
            'repeat the word: contains "a" and contains "b"',
        )


def _both(checks: list[Check]) -> Check:
    return checks[0] if len(checks) == 1 else Both(tuple(checks))


def _either(alternatives: list[Check]) -> Check:
    return alternatives[0] if len(alternatives) == 1 else Either(tuple(alternatives))


def _joined(line: str, position: int, alternatives: list[list[Check]]) -> int:
    found = _JOIN.match(line, position)
    if found is None:
        raise NotUnderstoodError(f"unexpected {shown(line[position:])}", "join two checks with `and` or `or`")
    if found[1].lower() == "or":
        alternatives.append([])
    return found.end()


def _check(line: str, position: int) -> tuple[Check, int]:
    """The check that begins here, and the position after it."""
    if line[position : position + 1] in QUOTES and position < len(line):
        text, end = read_quoted(line, position)
        return Equals(text), end
    if found := _KEYWORD.match(line, position):
        return _text_check(line, found)
    if found := _EXIT_CODE.match(line, position):
        return ExitCode(int(found[1])), found.end()
    if found := _JSON.match(line, position):
        return _json_check(line, found.end())
    if found := _OPERATOR.match(line, position):
        value, end = _read_number(line, found.end())
        return NumberCompares(found[1], value), end
    rest = line[position:]
    raise NotUnderstoodError(
        f"{shown(rest)} is not an expectation" if rest else "an expectation is missing", _FORMS
    )


def _text_check(line: str, found: re.Match[str]) -> tuple[Check, int]:
    start, negated = found.end(), found[1] is not None
    following = line[start : start + 1]
    if found[2].lower().startswith("match"):
        if following != "/":
            raise NotUnderstoodError(f"after {found[2]}, a /pattern/ is needed", "write matches /pattern/")
        pattern, end = read_pattern(line, start)
        return OutputMatches(pattern, negated), end
    if not following or following not in QUOTES:
        raise NotUnderstoodError(f"after {found[2]}, a quoted text is needed", 'write contains "text"')
    text, end = read_quoted(line, start)
    if not text:
        raise NotUnderstoodError("every output contains an empty text", "write what the output must contain")
    return OutputContains(text, negated), end


def _json_check(line: str, position: int) -> tuple[Check, int]:
    path, position = json_paths.read(line, position)
    found = _OPERATOR.match(line, len(line) - len(line[position:].lstrip(" ")))
    if found is None:
        raise NotUnderstoodError("after the JSON path, a comparison is needed", 'write json .path == "text"')
    value, end = _read_json_literal(line, found.end())
    if found[1] not in ("==", "!=") and not json_paths.is_number(value):
        raise NotUnderstoodError(
            f"{found[1]} compares numbers only", "use == or !=, or compare with a number"
        )
    return JsonPath(path, found[1], value), end


_WORDS: Mapping[str, bool | None] = {"true": True, "false": False, "null": None}
_WORD = re.compile(r"(true|false|null)(?![A-Za-z0-9_])")


def _read_json_literal(line: str, position: int) -> tuple[str | float | bool | None, int]:
    if line[position : position + 1] in QUOTES and position < len(line):
        return read_quoted(line, position)
    if found := _WORD.match(line, position):
        return _WORDS[found[1]], found.end()
    number, end = _read_number(line, position)
    return int(number) if number.is_integer() else number, end


def _read_number(line: str, position: int) -> tuple[float, int]:
    found = _NUMBER.match(line, position)
    if (
        found is None
        or len(found[0]) > _LONGEST_NUMBER
        or line[found.end() : found.end() + 1] not in ("", " ")
    ):
        raise NotUnderstoodError(
            f"{shown(line[position:])} is not a number",
            'compare with a plain number; put texts in quotes: "text"',
        )
    return float(found[0]), found.end()
