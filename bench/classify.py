"""How long it takes to understand and price one step: parse, bind, analyse, judge. CPU time in ms.

python bench/classify.py [--rounds 20]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from pathlib import Path

import yaml

from agent.domain.command import Refusal
from agent.domain.effects import BlastRadius, EffectClass
from agent.safety import language, policy
from agent.safety.effects import EffectTables

TABLE = Path(__file__).parent.parent / "tests/unit/safety/commands.yaml"
LONG = "\n".join(f"redis-cli -h cache-{at}.internal UNLINK {'key ' * 40}" for at in range(64))
GENEROUS = BlastRadius(dict.fromkeys(EffectClass, 100_000))


def classify(text: str, tables: EffectTables) -> None:
    """What `plan` does with one step."""
    template = language.parse(text)
    if isinstance(template, Refusal):
        return
    script = language.bind(template, {})
    if not isinstance(script, Refusal):
        policy.judge(script, tables, GENEROUS)


def milliseconds(text: str, tables: EffectTables) -> float:
    """CPU time: what else the machine does meanwhile is not ours."""
    began = time.thread_time()
    classify(text, tables)
    return (time.thread_time() - began) * 1000


def percentile(times: list[float], part: float) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * part))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    began = time.perf_counter()
    tables = EffectTables.load()
    print(f"loading the tables: {(time.perf_counter() - began) * 1000:.0f} ms, once")
    sections: Mapping[str, Mapping[str, object]] = yaml.safe_load(TABLE.read_text())
    for name, texts in (*sections.items(), ("64 commands of 40 keys", [LONG])):
        first = [milliseconds(text, tables) for text in texts]
        times = [milliseconds(text, tables) for _ in range(rounds) for text in texts]
        p50, p99 = percentile(times, 0.5), percentile(times, 0.99)
        print(
            f"{name}: {len(texts)} steps, p50 {p50:.3f} ms, p99 {p99:.3f} ms, max {max(times):.3f} ms", end=""
        )
        print(f"; the first time p99 {percentile(first, 0.99):.3f} ms")


if __name__ == "__main__":
    main()
