"""What redaction costs in ms per MB: ordinary logs, one hostile line of 64 KB, text dense with secrets.

python bench/redaction.py
"""

from __future__ import annotations

import time
from collections.abc import Callable

from agent.adapters.sandbox.output import CappedOutput
from agent.safety.redaction import Redactor

HOSTILE = {
    "tokens": "token=x;",
    "urls": "u:p@",
    "blocks": "password:\n  x\n",
    "keys": "x-AKIAIOSFODNN7EXAMPLE-",
    "commands": "curl --user 'admin:x1y2' http://x/\n",
    "lists": 'password: ["a", ',
    "known": "canary-secret-0001",
}
LINE = 64 * 1024
MEGABYTE = 1_000_000
#: The sandbox's cap on each stream of an attempt.
CAP = 64 * 1024


def milliseconds(do: Callable[[], object], rounds: int = 3) -> float:
    def once() -> float:
        begin = time.process_time()
        do()
        return time.process_time() - begin

    return min(once() for _ in range(rounds)) * 1000


def ordinary(size: int) -> str:
    lines = (f"2026-01-31 12:00:00 INFO w-{n} GET /api/v1/users/{n} 200 12ms user=x" for n in range(20_000))
    return "\n".join(lines)[:size]


def stream() -> str:
    """A stream of 100 MB, as far as it reaches redaction."""
    kept = CappedOutput(CAP)
    chunk = (HOSTILE["tokens"] * LINE)[:LINE].encode()
    for _ in range(100 * MEGABYTE // LINE):
        kept.add(chunk)
    return kept.text()


def main() -> None:
    redactor = Redactor(["canary-secret-0001"])
    texts = {"ordinary": ordinary(MEGABYTE)}
    for name, piece in HOSTILE.items():
        texts[name] = (piece * MEGABYTE)[:MEGABYTE]
        texts[f"{name}, 64 KB line"] = (piece.replace("\n", " ") * LINE)[:LINE]
    texts["100 MB stream"] = stream()
    print(f"{'text':<24} {'size':>8} {'redaction':>11} {'ms/MB':>7}")
    for name, text in texts.items():
        cost = milliseconds(lambda t=text: redactor.text(t))
        size = len(text) / MEGABYTE
        print(f"{name:<24} {size:>5.2f} MB {cost:>8.1f} ms {cost / size:>7.0f}")


if __name__ == "__main__":
    main()
