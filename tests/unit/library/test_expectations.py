import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.domain.expectation import (
    Both,
    Either,
    Equals,
    ExitCode,
    Expectation,
    JsonPath,
    NumberCompares,
    OutputContains,
    OutputMatches,
)
from agent.library.expectations import judge, parse
from agent.library.problems import NotUnderstoodError

A, B, C = OutputContains("a"), OutputContains("b"), ExitCode(1)


@pytest.mark.parametrize(
    ("text", "check"),
    [
        ('"OK"', Equals("OK")),
        ("'OK'", Equals("OK")),
        ("“OK”", Equals("OK")),
        ('""', Equals("")),
        ('"a \\"b\\" \\\\ \\n"', Equals('a "b" \\ \n')),
        ('contains "a"', A),
        ('Contains "a"', A),
        ('not contains "a"', OutputContains("a", negated=True)),
        ('does not contain "a"', OutputContains("a", negated=True)),
        ("matches /a b/", OutputMatches("a b")),
        ("not matches /a\\/b/", OutputMatches("a/b", negated=True)),
        ("exit code 0", ExitCode(0)),
        ("Exit code is 137", ExitCode(137)),
        ("exit code == 2", ExitCode(2)),
        ("< 20", NumberCompares("<", 20)),
        (">=0.5", NumberCompares(">=", 0.5)),
        ("== -3", NumberCompares("==", -3)),
        ("!= 1e3", NumberCompares("!=", 1000)),
        ('json .redis == "connected"', JsonPath(("redis",), "==", "connected")),
        ("json .items[0].ready == true", JsonPath(("items", 0, "ready"), "==", True)),
        ("json .[0] != null", JsonPath((0,), "!=", None)),
        ("json [1] == 2", JsonPath((1,), "==", 2)),
        ('json ."a b"["c"].d-e < 5.5', JsonPath(("a b", "c", "d-e"), "<", 5.5)),
        ("json . == false", JsonPath((), "==", False)),
        ("json .count>=3", JsonPath(("count",), ">=", 3)),
        ('contains "a" and contains "b"', Both((A, B))),
        ('contains "a" or contains "b"', Either((A, B))),
        ('contains "a" AND contains "b" OR exit code 1', Either((Both((A, B)), C))),
        ('exit code 1 or contains "a" and contains "b"', Either((C, Both((A, B))))),
        ('"a" or "b"', Either((Equals("a"), Equals("b")))),
        ("> 1 and < 5", Both((NumberCompares(">", 1), NumberCompares("<", 5)))),
        ('contains "a and b"', OutputContains("a and b")),
    ],
)
def test_every_form_is_understood(text, check):
    assert parse(text) == Expectation(text, check)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "an expectation is missing"),
        ("OK", "is not an expectation"),
        ('not "OK"', "is not an expectation"),
        ('"OK', "never ends"),
        ('contains "a" and', "an expectation is missing"),
        ('and contains "a"', "is not an expectation"),
        ('(contains "a")', "is not an expectation"),
        ('contains "a" contains "b"', "unexpected “contains "),
        ('contains ""', "every output contains an empty text"),
        ("contains a", "a quoted text is needed"),
        ("contains", "a quoted text is needed"),
        ('matches "a"', "a /pattern/ is needed"),
        ("matches /(/", "not valid"),
        ("exit code", "is not an expectation"),
        ("exit code -1", "is not an expectation"),
        ("exit code 1.5", "is not an expectation"),
        ("exit code 1000", "is not an expectation"),
        ("< twenty", "is not a number"),
        ("< 20ms", "is not a number"),
        ("<", "is not a number"),
        ("< " + "9" * 80, "is not a number"),
        ("json .a", "a comparison is needed"),
        ("json .a = 1", "a comparison is needed"),
        ("json .a == b", "is not a number"),
        ("json .a == truely", "is not a number"),
        ('json .a < "b"', "compares numbers only"),
        ("json .a > true", "compares numbers only"),
        ("json .a..b == 1", "does not begin with a JSON path"),
        ("json .a[b] == 1", "does not begin with a JSON path"),
        ('json ["a == 1', "never ends"),
        ('json ["a" == 1', "lacks its ]"),
        ("json " + ".a" * 40 + " == 1", "does not begin with a JSON path"),
        ('contains "a" or "b"', "alone would mean that the output equals it"),
    ],
)
def test_what_is_not_understood_is_told(text, told):
    with pytest.raises(NotUnderstoodError) as caught:
        parse(text)
    assert told in caught.value.message


REDIS = json.dumps(
    {"redis": "connected", "n": 5, "big": 10**400, "ok": True, "items": [{"ready": False}], "no": None}
)


@pytest.mark.parametrize(
    ("text", "output", "holds", "reason"),
    [
        ('"OK"', "OK\n", True, "the output is “OK”"),
        ('"OK"', "  OK  ", True, "the output is “OK”"),
        ('"OK"', "ok", False, "the output is “ok”, expected “OK”"),
        ('"OK"', "", False, "the output is empty, expected “OK”"),
        ('"OK"', "NOT OK", False, "the output is “NOT OK”, expected “OK”"),
        ('contains "up"', "all up now", True, "the output contains “up”"),
        ('contains "up"', "UP", False, "the output does not contain “up”"),
        ('not contains "err"', "fine", True, "the output does not contain “err”"),
        ('not contains "err"', "err", False, "the output contains “err”, which it must not"),
        ("matches /^[0-9]+$/", "12", True, "the output matches /^[0-9]+$/"),
        ("matches /^[0-9]+$/", "x12", False, "the output does not match /^[0-9]+$/"),
        ("not matches /x/", "x", False, "the output matches /x/, which it must not"),
        ("exit code 0", "x", True, "the exit code is 0"),
        ("exit code 3", "x", False, "the exit code is 0, expected 3"),
        ("< 20", " 19.5\n", True, "the output is 19.5"),
        ("< 20", "20", False, "the output is 20, expected < 20"),
        ("< 20", "19%", False, "the output is “19%”, expected one number"),
        ("< 20", "", False, "the output is empty, expected one number"),
        ("< 20", "nan", False, "expected one number"),
        ("< 20", "1_0", False, "expected one number"),
        ("< 20", "1 2", False, "expected one number"),
        ("> 0", "9" * 100, False, "expected one number"),
        ('json .redis == "connected"', REDIS, True, ".redis is “connected”"),
        ('json .redis == "down"', REDIS, False, '.redis is “connected”, expected == "down"'),
        ("json .n >= 5", REDIS, True, ".n is 5"),
        ("json .n > 5", REDIS, False, ".n is 5, expected > 5"),
        ("json .n == 5", REDIS, True, ".n is"),
        ("json .big > 5", REDIS, True, ".big is"),
        ("json .ok == true", REDIS, True, ".ok is true"),
        ("json .ok == 1", REDIS, False, ".ok is true"),
        ("json .ok > 0", REDIS, False, ".ok is true"),
        ('json .n != "5"', REDIS, True, ".n is"),
        ("json .items[0].ready == false", REDIS, True, ".items[0].ready is false"),
        ("json .no == null", REDIS, True, ".no is null"),
        ("json .items[1].ready == true", REDIS, False, "the output has nothing at .items[1]"),
        ("json .items.ready == true", REDIS, False, "the output has nothing at .items.ready"),
        ('json .redis["x y"] == 1', REDIS, False, 'the output has nothing at .redis."x y"'),
        ("json .n[0] == true", REDIS, False, "the output has nothing at .n[0]"),
        ("json . == 5", "5", True, ". is 5"),
        ("json .a == 1", "{", False, "the output is not JSON"),
        ("json .a == 1", "", False, "the output is not JSON"),
        ("json .a == 1", '{"a": NaN}', False, "the output is not JSON"),
        ("json .a == 1", "[" * 200_000, False, "the output is not JSON"),
        ("json .a == 1", '{"a": ' + "1" * 5_000 + "}", False, "the output is not JSON"),
        ('contains "a" and contains "b"', "ab", True, "contains “a” and the output contains “b”"),
        ('contains "a" and contains "b"', "a", False, "the output does not contain “b”"),
        ('contains "x" or contains "b"', "ab", True, "the output contains “b”"),
        ('contains "x" or contains "y"', "ab", False, "contain “x” and the output does not contain “y”"),
        ('contains "a" and contains "x" or contains "b"', "b", True, "the output contains “b”"),
    ],
)
def test_outputs_are_judged_in_words(text, output, holds, reason):
    judgement = judge(parse(text), exit_code=0, stdout=output)
    assert judgement.holds is holds
    assert reason in judgement.reason


@pytest.mark.parametrize(
    ("text", "exit_code", "output", "holds"),
    [
        (None, 0, "", True),
        (None, 1, "OK", False),
        (None, None, "OK", False),
        ('"OK"', None, "OK", False),
        ("exit code 0", None, "", False),
        ('"OK"', 1, "OK", False),
        ('contains "OK" and contains "K"', 1, "OK", False),
        ('not contains "x"', 1, "", False),
        ("exit code 1", 1, "", True),
        ('contains "OK" and exit code 1', 1, "OK", True),
        ('contains "OK" or exit code 1', 1, "", True),
        ('contains "OK" or exit code 1', 2, "OK", False),
        ('contains "OK" or exit code 1', 0, "OK", True),
    ],
)
def test_a_failing_command_fails_unless_the_line_speaks_of_its_exit_code(text, exit_code, output, holds):
    expectation = parse(text) if text is not None else None
    judgement = judge(expectation, exit_code=exit_code, stdout=output)
    assert judgement.holds is holds
    assert judgement.reason


def test_a_failing_command_with_the_right_output_is_told_so():
    judgement = judge(parse('"OK"'), exit_code=7, stdout="OK")
    assert judgement.reason == "the output is “OK”, but the exit code is 7"


def test_checks_within_each_other_are_judged_too():
    check = Both((Either((A, C)), Either((B, C))))
    assert judge(Expectation("", check), exit_code=0, stdout="ab").holds
    assert not judge(Expectation("", check), exit_code=0, stdout="a").holds


def test_a_large_output_is_judged_soon():
    output = "a" * 3_000_000 + "!"
    for line in ("matches /(a+)+$/", 'contains "aaab"', "< 5", "json .a == 1", '"b"'):
        assert not judge(parse(line), exit_code=0, stdout=output).holds


@given(st.text(max_size=60))
def test_no_line_makes_it_crash(text):
    with suppress(NotUnderstoodError):
        parse(text)


@given(
    st.sampled_from(
        ['"a"', 'contains "a"', "matches /a/", "< 5", "json .a == 1", "json [0] < 2", "exit code 0"]
    ),
    st.text() | st.recursive(st.integers() | st.text(), st.lists).map(json.dumps),
)
def test_no_output_makes_it_crash(line, output):
    assert judge(parse(line), exit_code=0, stdout=output).reason


@given(st.text(min_size=1))
def test_a_text_contains_itself(text):
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    assert judge(parse(f'contains "{quoted}"'), exit_code=0, stdout=f"x{text}y").holds
