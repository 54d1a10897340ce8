"""Holds the strict command language against bash: what is accepted must be the same argvs and streams to it.

`python bench/fuzz_language.py [--accepted 200000] [--seed N]` makes scripts up, lets `safety.language` read
them, and has bash run all that it accepts with stubs in place of every program. Prints the figures; exit code
1 if bash did anything else. What the language refuses is not compared: it may be stricter than bash.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent.domain.command import Refusal, Script
from agent.safety import language

# Every command, whatever its name, writes its argv to descriptor 3, `E` to stderr and `O` to stdout, and
# answers 0 or 1 by the number of its words. Functions for the usual names spare bash a fork. The argv is one
# write, without line ends, so that the records of a pipeline's programs do not mix.
STUBS = r"""
stub() {
  local record
  printf -v record '%s\037' "$@" $'\036'
  printf '%s' "${record//$'\n'/$'\034'}" >&3
  printf 'E' >&2
  printf 'O'
  return $(( $# % 2 ))
}
command_not_found_handle() { stub "$@"; }
for name in c c0 k ab x-y kubectl curl; do eval "$name() { stub $name \"\$@\"; }"; done
while IFS= read -r -d '' script <&4; do
  eval "$script" </dev/null
  printf '\035' >&3; printf '\035'; printf '\035' >&2
done
"""
NAMES = ("c", "c0", "k", "ab", "x-y", "kubectl", "curl")
SOUP = [
    *("c", "c0", "k", "ab", "x-y", " ", " ", " ", "  ", "\t", "\n", ";", "&&", "||", "|", "#", "# note"),
    *(" a", " -n", " --k=v", "'", '"', "'q r'", '"s t"', "''", '""', "\\\n", "\\", '\\"', "\\\\", "\\n"),
    *(" >/dev/null", ">/dev/null", " 2>/dev/null", " 2>&1", " 1>/dev/null", " &>/dev/null", " > /dev/null"),
    *("1", "2", "2>", "&", ">", "<", "%", "^", "=", "a=b", "+", ",", "@", ":", "-", "_", "{", "}", "{a,b}"),
    *("$x", "$(c)", "`c`", "*", "?", "[a]", "~", "!", "(", ")", " if", " then", "time ", "'$x'", "$'a'"),
    *("'`c`'", "'*'", '"*"', '"~"', "'!'", "'{a,b}'", '"{a,b}"', "'\n'", '"\n"', "'#'", "a#b", "\\\n#"),
    *("\\\n\\\n", " \\\n ", "#\\\n", "'\\\n'", '"\\\n"', '"\\a"', "'\\'", "<<c", "<<<", ">&2", "|&", ";;"),
    *(
        "[[",
        "]]",
        "((",
        "))",
        "coproc",
        "select",
        "in",
        "do",
        "done",
        "esac",
        "function ",
        "a+=b",
        "=~",
        "~/x",
    ),
]
WORDS = [
    *(
        "a",
        "-n",
        "--k=v",
        "b2",
        "x/y",
        "1",
        "22",
        "a:b",
        "a,b",
        "a@b",
        "50%",
        "^a",
        "a=b",
        "a#b",
        "+x",
        "_",
        ".",
    ),
    *(
        "''",
        '""',
        "'q r'",
        '"s t"',
        "'$x'",
        "'`c`'",
        '"*"',
        "'{a,b}'",
        '"it\'s"',
        "'say \"x\"'",
        '"\\""',
        '"\\\\"',
    ),
    *(
        '"\\a"',
        "'\\'",
        "'a'\"b\"c",
        "a'b c'd",
        "'\n'",
        '"\n"',
        "'!'",
        '"~"',
        "'#'",
        "a\\\nb",
        "'>'",
        '"|"',
        "';'",
    ),
    *(
        "'&&'",
        '"2>&1"',
        "'a\\\nb'",
        "{{ p }}",
        "if",
        "then",
        "!x",
        "do",
        "}",
        "2",
        "~",
        "a~",
        "$x",
        "a*",
        "-",
    ),
]
ENDS = [
    "",
    "",
    "",
    "",
    " >/dev/null",
    " 2>/dev/null",
    " 2>&1",
    " &>/dev/null",
    " >/dev/null 2>&1",
    " 2>&1 >/dev/null",
]
JOINS = [
    " ; ",
    ";",
    "\n",
    "\n\n",
    " && ",
    "&&",
    " || ",
    "||\n",
    " | ",
    "|",
    " # note\n",
    " #\\\n",
    " \\\n&& ",
    "&",
    " &\n",
]
BLANKS = [" ", " ", " ", "  ", "\t", " \\\n", "\\\n ", " \\\n\\\n"]


def soup(chance: random.Random) -> str:
    """Fragments in any order: most of it is nonsense, and must be refused or mean the same."""
    return "".join(chance.choices(SOUP, k=chance.randint(1, 14)))


def sentence(chance: random.Random) -> str:
    """Commands as people write them, with an odd word now and then."""
    commands = []
    for _ in range(chance.randint(1, 4)):
        words = [chance.choice(NAMES), *chance.choices(WORDS, k=chance.randint(0, 5))]
        command = words[0] + "".join(chance.choice(BLANKS) + word for word in words[1:])
        commands.append(command + chance.choice(ENDS))
    joined = commands[0] + "".join(chance.choice(JOINS) + command for command in commands[1:])
    return joined + chance.choice(["", "", "\n", " # end", " \\\n", ";"])


def mutated(chance: random.Random) -> str:
    """A sentence with a few of its characters changed, doubled or gone."""
    text = list(sentence(chance))
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(text))
        text[at] = chance.choice(
            ["", text[at] * 2, chance.choice(SOUP), chr(chance.randint(32, 126)), "\n", "\\"]
        )
    return "".join(text)


MAKERS = (soup, sentence, sentence, mutated, mutated)


@dataclass
class Figures:
    """What came of it."""

    made: int = 0
    accepted: int = 0
    mismatches: list[str] = field(default_factory=list)


Meaning = tuple[object, Counter[str], Counter[str]]


def meaning(script: Script) -> Meaning:
    """What should happen: argvs (in order where bash keeps one), characters on stdout and stderr."""
    argvs: list[tuple[str, ...]] = []
    stdout: Counter[str] = Counter()
    stderr: Counter[str] = Counter()
    code = 0
    for link in script.links:
        if not link.runs_after(code):
            continue
        commands = link.pipeline.commands
        argvs += (command.argv for command in commands)
        stderr["E"] += sum(not (each.quiet_stderr or each.merge_stderr) for each in commands)
        stdout["O"] += not commands[-1].quiet_stdout
        stdout["E"] += commands[-1].merge_stderr
        code = len(commands[-1].argv) % 2
    return _ordered(argvs, script), +stdout, +stderr


def _ordered(argvs: Sequence[tuple[str, ...]], script: Script) -> object:
    """The programs of a pipeline run at the same time, so their order is nobody's."""
    piped = any(len(link.pipeline.commands) > 1 for link in script.links)
    return Counter(argvs) if piped else tuple(argvs)


def in_bash(texts: Sequence[str], folder: Path) -> list[tuple[str, str, str]]:
    """What bash makes of each text: the record of argvs, stdout, stderr."""
    (folder / "stubs.sh").write_text(STUBS)
    (folder / "batch").write_bytes(b"".join(text.encode() + b"\0" for text in texts))
    names = ("record", "stdout", "stderr")
    command = 'exec 3>"$1/record" 4<"$1/batch" >"$1/stdout" 2>"$1/stderr"; . "$1/stubs.sh"'
    bash = shutil.which("bash") or "/bin/bash"
    subprocess.run(
        [bash, "--norc", "--noprofile", "-c", command, "bash", str(folder)],
        env={"PATH": "/nowhere", "HOME": "/nowhere", "LANG": "C"},
        stdin=subprocess.DEVNULL,
        cwd=folder,
        check=False,
        timeout=600,
    )
    streams = [(folder / name).read_text().split("\x1d")[:-1] for name in names]
    missing = max(0, len(texts) - min(map(len, streams)))
    padded = [(*stream, *("(bash ended here)",) * missing)[: len(texts)] for stream in streams]
    return list(zip(*padded, strict=True))  # type: ignore[arg-type]


def as_meaning(record: str, stdout: str, stderr: str, script: Script) -> Meaning:
    """The same form as `meaning` has."""
    lines = record.replace("\x1c", "\n").split("\x1e\x1f")[:-1]
    argvs = [tuple(line.split("\x1f")[:-1]) for line in lines]
    return _ordered(argvs, script), Counter(stdout), Counter(stderr)


def accepted(
    figures: Figures, chance: random.Random, builtins: frozenset[str]
) -> Iterator[tuple[str, Script]]:
    """Scripts that the language accepts and that only the stubs would run."""
    while True:
        text = chance.choice(MAKERS)(chance)
        figures.made += 1
        template = language.parse(text)
        if isinstance(template, Refusal) or template.placeholders:
            continue
        script = language.bind(template, {})
        assert isinstance(script, Script)
        names = {command.argv[0] for command in script.commands()}
        if names & builtins or any("/" in name for name in names):
            continue
        yield text, script


def compare(batch: Sequence[tuple[str, Script]], figures: Figures, folder: Path) -> None:
    """Let bash run a batch, and keep what it did otherwise."""
    figures.accepted += len(batch)
    done = in_bash([text for text, _ in batch], folder)
    for (text, script), (record, stdout, stderr) in zip(batch, done, strict=True):
        if as_meaning(record, stdout, stderr, script) != meaning(script):
            figures.mismatches.append(f"{text!r}: bash ran {record!r}, wrote {stdout!r} and {stderr!r}")


def builtins_of_bash() -> frozenset[str]:
    """Names that bash answers itself: none of them is in an effect table by another meaning."""
    done = subprocess.run(["bash", "-c", "compgen -b"], capture_output=True, text=True, check=True)
    return frozenset(done.stdout.split()) | {"stub", "command_not_found_handle"}


def fuzz(wanted: int, *, seed: int, batch_size: int = 5_000) -> Figures:
    """Compare this many accepted scripts."""
    figures, chance = Figures(), random.Random(seed)
    scripts = accepted(figures, chance, builtins_of_bash())
    with tempfile.TemporaryDirectory() as folder:
        while figures.accepted < wanted:
            size = min(batch_size, wanted - figures.accepted)
            compare([next(scripts) for _ in range(size)], figures, Path(folder))
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accepted", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**9))
    asked = parser.parse_args()
    began = time.monotonic()
    figures = fuzz(asked.accepted, seed=asked.seed)
    print(f"seed {asked.seed}: {figures.made} scripts made up, {figures.accepted} accepted and run by bash")
    print(f"{len(figures.mismatches)} mismatches, {time.monotonic() - began:.0f} s")
    for mismatch in figures.mismatches[:20]:
        print(f"  {mismatch}")
    return 1 if figures.mismatches else 0


if __name__ == "__main__":
    sys.exit(main())
