"""Whatever the strict language accepts means the same argvs, the same order and the same streams to bash."""

import shlex
import shutil
import subprocess
from collections import Counter

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from agent.domain.command import Refusal, Script
from agent.safety import language

BASH = shutil.which("bash")
pytestmark = pytest.mark.skipif(BASH is None, reason="bash is not installed")

# Every command, whatever its name, writes its argv to descriptor 3, `E` to stderr and `O` to stdout, and
# answers 0 or 1 by the number of its words.
STUBS = r"""
command_not_found_handle() {
  printf '%s\037' "$@" $'\036' >&3
  printf 'E' >&2
  printf 'O'
  return $(( $# % 2 ))
}
"""

FRAGMENTS = [
    *("c", "c0", "k", "ab", "x-y", " ", " ", " ", "  ", "\t", "\n", ";", "&&", "||", "|", "#", "# note"),
    *(" a", " -n", " --k=v", "'", '"', "'q r'", '"s t"', "''", '""', "\\\n", "\\", '\\"', "\\\\", "\\n"),
    *(" >/dev/null", ">/dev/null", " 2>/dev/null", " 2>&1", " 1>/dev/null", " &>/dev/null", " > /dev/null"),
    *("1", "2", "2>", "&", ">", "<", "%", "^", "=", "a=b", "+", ",", "@", ":", "-", "_", "{", "}", "{a,b}"),
    *("$x", "$(c)", "`c`", "*", "?", "[a]", "~", "!", "(", ")", " if", " then", "time ", "{{ p }}", "'$x'"),
    *("'`c`'", "'*'", '"*"', '"~"', "'!'", "'{a,b}'", '"{a,b}"', "'\n'", '"\n"', "'#'", "a#b", "\\\n#"),
]

scripts = st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=14).map("".join)


def in_bash(text, folder):
    record = folder / "record"
    environment = {"BASH_ENV": str(folder / "stubs.sh"), "PATH": "/nowhere", "HOME": "/nowhere", "LANG": "C"}
    with record.open("wb") as log:
        done = subprocess.run(
            [BASH, "--norc", "--noprofile", "-c", 'exec 3>>"$0"\n' + text, str(record)],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=10,
        )
        del log
    words = record.read_bytes().split(b"\x1e\x1f")[:-1]
    argvs = [tuple(word.decode() for word in line.split(b"\x1f")[:-1]) for line in words]
    return Counter(argvs), Counter(done.stdout.decode()), Counter(done.stderr.decode())


def in_theory(script: Script):
    argvs, stdout, stderr, code = Counter(), Counter(), Counter(), 0
    for link in script.links:
        if not link.runs_after(code):
            continue
        commands = link.pipeline.commands
        for command in commands:
            argvs[command.argv] += 1
            stderr["E"] += not (command.quiet_stderr or command.merge_stderr)
        last = commands[-1]
        stdout["O"] += not last.quiet_stdout
        stdout["E"] += last.merge_stderr
        code = len(last.argv) % 2
    return argvs, +stdout, +stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bash")
    (folder / "stubs.sh").write_text(STUBS)
    return folder


def names_no_builtin(script: Script):
    return all("/" not in command.argv[0] and command.argv[0] != "." for command in script.commands())


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=scripts)
@example(text="c \\\n# a comment after a continued line\\\nd e")
@example(text="c '#' a#b \"x\"'y'z # rest | d")
@example(text="c >/dev/null 2>&1 | d 2>&1 &>/dev/null || c0 && d\n\nab;c0")
@example(text='c "a\\nb" "\\"" "\\\\" \'\\\' a\\\nb')
@example(text="c 2 >/dev/null a2 1>/dev/null 2>/dev/null 2>&1")
def test_what_is_accepted_means_the_same_to_bash(folder, text):
    template = language.parse(text)
    assume(not isinstance(template, Refusal))
    assume(not template.placeholders)
    script = language.bind(template, {})
    assume(names_no_builtin(script))
    assert in_bash(text, folder) == in_theory(script)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    quote=st.sampled_from(["", "'", '"']),
    value=st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=20),
)
def test_a_bound_value_is_one_word_to_bash_whatever_it_holds(folder, quote, value):
    assume(not value.startswith("-"))
    template = language.parse(f"c {quote}{{{{ value }}}}{quote} --to={quote}x{{{{ value }}}}{quote}")
    script = language.bind(template, {"value": value})
    as_bash_would_need_it = f"c {shlex.quote(value)} {shlex.quote('--to=x' + value)}"
    assert in_bash(as_bash_would_need_it, folder) == in_theory(script)
