"""`python -m bench.backtest_export FILE [--count 5000] [--corpus NAME]`: a synthetic history with labels.

Alerts of one corpus' public pairs and negatives as PagerDuty incidents over 30 days: a few kinds come
often, some flap, more come in working hours, and the templates in their texts get values. Every run writes
the same file.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

BEGIN = datetime(2026, 3, 2, tzinfo=UTC)
DAYS = 30
#: How many pages come in each hour of the day, roughly.
HOURS = (5, 4, 4, 5, 4, 4, 6, 8, 12, 15, 16, 15, 13, 14, 16, 15, 13, 11, 9, 8, 7, 6, 6, 5)
#: Every so many pages one comes back a few times within the hour.
FLAPPING = 40
TEMPLATE = re.compile(r"\{\{[^{}]*\}\}")
VALUES = (
    "web-7d4b9c-x2x",
    "node-17",
    "10.3.0.12:9100",
    "prod-eu-1",
    "97.3",
    "payments",
    "4",
    "api-5f6c",
    "2h",
)
SERVICES = ("Platform", "Databases", "Storage", "Edge", "Checkout", "Observability")


def incidents(rows: list[dict], count: int) -> Iterator[dict]:
    rng = random.Random(5)
    rows = sorted(rows, key=lambda row: row["id"])
    rng.shuffle(rows)
    weights = [1 / (place + 3) ** 0.8 for place in range(len(rows))]
    made = 0
    while made < count:
        row = rng.choices(rows, weights)[0]
        at = BEGIN + timedelta(
            days=rng.choices(range(DAYS), [1.0 if day % 7 < 5 else 0.6 for day in range(DAYS)])[0],
            hours=rng.choices(range(24), HOURS)[0],
            seconds=rng.randrange(3600),
        )
        for turn in range(rng.randint(3, 6) if made % FLAPPING == 0 else 1):
            yield incident(row, at + timedelta(minutes=11 * turn), f"Q{made:07d}", rng)
            made += 1


def incident(row: dict, at: datetime, key: str, rng: random.Random) -> dict:
    """One line of the export: an incident with its alert, and what should have answered it."""
    name, stamp = row["alert_name"], at.strftime("%Y-%m-%dT%H:%M:%SZ")
    summary, description = (filled(row.get(part) or "", rng) for part in ("summary", "description"))
    labels = {name: filled(str(value), rng) for name, value in (row.get("labels") or {}).items()}
    firing = "\n".join(f" - {label} = {value}" for label, value in {"alertname": name, **labels}.items())
    severity = (
        row.get("severity") if row.get("severity") in ("critical", "error", "warning", "info") else None
    )
    title = f"{name}: {summary}" if summary else name
    service = SERVICES[sum(map(ord, name)) % len(SERVICES)]
    return {
        "incident": {
            "id": key,
            "title": title[:1024],
            "created_at": stamp,
            "status": "resolved",
            "urgency": "high" if severity == "critical" else "low",
            "service": {"id": "PSERVICE", "summary": service},
        },
        "alerts": [
            {
                "status": "resolved",
                "summary": title[:1024],
                "severity": severity,
                "alert_key": f"{name}/{labels.get('instance', '')}",
                "body": {"details": {"firing": f"Labels:\n{firing}\nSource: ", "description": description}},
            }
        ],
        "runbook": (row["runbook_path"] or "").partition("/")[2],
    }


def filled(text: str, rng: random.Random) -> str:
    return TEMPLATE.sub(lambda _: rng.choice(VALUES), text)


def rows_of(corpora: Path, corpus: str) -> list[dict]:
    rows = [
        json.loads(line)
        for name in ("pairs.jsonl", "negatives.jsonl")
        for line in (corpora / name).read_text().splitlines()
        if line.strip()
    ]
    return [row for row in rows if row["corpus"] in (corpus, "any")]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("file", type=Path)
    arguments.add_argument("--count", type=int, default=5_000)
    arguments.add_argument("--corpora", type=Path, default=Path(__file__).parents[2] / "shared" / "corpora")
    arguments.add_argument("--corpus", default="openshift-runbooks", help="its folder")
    given = arguments.parse_args()
    if not given.corpora.is_dir():
        sys.exit(f"{given.corpora} is not there; name the folder of corpora with --corpora")
    found = list(incidents(rows_of(given.corpora, given.corpus), given.count))[: given.count]
    given.file.write_text("".join(json.dumps(each) + "\n" for each in found))
    print(f"wrote {len(found)} incidents to {given.file}")


if __name__ == "__main__":
    main()
