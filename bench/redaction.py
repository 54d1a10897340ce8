"""What redaction costs, as a ratio to one search of the same text: ordinary and hostile output.

python bench/redaction.py
"""

from __future__ import annotations

import time
from collections.abc import Callable

import re2

from agent.safety.redaction import Redactor

HOSTILE = {
    "tokens": "token=x;",
    "urls": "u:p@",
    "blocks": "password:\n  x\n",
    "keys": "x-AKIAIOSFODNN7EXAMPLE-",
}


def seconds(do: Callable[[], object]) -> float:
    begin = time.process_time()
    do()
    return time.process_time() - begin


def main() -> None:
    redactor = Redactor(["canary-secret-0001"])
    search = re2.compile("canary-secret-0001|token")
    lines = (f"2026-01-31 12:00:00 INFO w-{n} GET /api/v1/users/{n} 200 12ms user=x" for n in range(20_000))
    texts = {"ordinary": "\n".join(lines)[:1_000_000]}
    texts |= {name: piece * (1_000_000 // len(piece)) for name, piece in HOSTILE.items()}
    print(f"{'1 MB of':<10} {'redaction':>10} {'one search':>11} {'ratio':>7}")
    for name, text in texts.items():
        cost = min(seconds(lambda t=text: redactor.text(t)) for _ in range(3))
        base = min(seconds(lambda t=text: search.findall(t)) for _ in range(3))
        print(f"{name:<10} {cost * 1000:>7.0f} ms {base * 1000:>8.1f} ms {cost / base:>6.0f} x")


if __name__ == "__main__":
    main()
