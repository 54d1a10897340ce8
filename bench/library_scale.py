"""`python -m bench.library_scale [--runbooks 10000] [--json]`: load, index, reload, match, memory.

The yardstick is a bare markdown-it-py parse of the same bytes; the runbooks are made, every run the same.
All times are the processor's, so that what else runs on the machine counts little.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from markdown_it import MarkdownIt

from agent.domain.alert import Alert, Severity, Urgency
from agent.domain.runbook import Runbook
from agent.library import Library
from agent.pipeline.scores import Scores

SYSTEMS = [
    "redis",
    "postgres",
    "kafka",
    "nginx",
    "etcd",
    "rabbitmq",
    "consul",
    "vault",
    "elastic",
    "mysql",
    "envoy",
    "cassandra",
    "minio",
    "haproxy",
]
AREAS = ["checkout", "billing", "search", "media", "login", "cart", "export", "audit", "fraud", "stock"]
SYMPTOMS = [
    "connection timeout",
    "replication lag",
    "disk filling",
    "memory pressure",
    "queue growing",
    "leader missing",
    "certificate expiring",
    "pods restarting",
    "latency high",
    "error rate high",
    "backup failing",
    "pool exhausted",
]
PROSE = (
    "The {system} of {area} answers slowly or not at all and {symptom} is seen on its dashboard. "
    "Callers retry, which makes it worse. Look at the last deployment first. "
    "If a human has taken over, do not go on. "
    "The owners of {area} know the history of this and keep notes about it beside the code."
)


NOTHING = ("Tape", "", "archive", "", "arm stuck")


def text_of(number: int, rng: random.Random) -> str:
    """One runbook in the format of this project; no two have the same triggers."""
    system, area, symptom = rng.choice(SYSTEMS), rng.choice(AREAS), rng.choice(SYMPTOMS)
    service = f"{area}-{system}-{number:05d}"
    prose = PROSE.format(system=system, area=area, symptom=symptom)
    contains = (
        f'"{symptom}", "{system}"',
        f'"{symptom}" AND ({system} OR "{area} store") AND NOT "maintenance window"',
        f'{system.capitalize()}{"".join(word.capitalize() for word in symptom.split())} OR "{symptom}"',
    )[number % 3]
    return f"""---
id: {service}
owner: team-{area}
autonomy: approve
tags: [{system}, {area}]
---
# Runbook: {system.capitalize()} of {area}: {symptom}

{prose}

## Trigger Conditions
- Alert contains: {contains}
- Severity: high or critical
- Service: {service}, {service}-canary

## Blast Radius
- max_pod_restarts: 1
- max_cache_operations: 1
- max_duration: 10m
- namespaces: {area}
- requires_human_approval: false

## Parameters
- pod: label "pod"; pattern /^[a-z0-9-]+$/
- region: one of us-east-1, eu-west-1; default us-east-1

## Steps

### Step 1: Look at the pods of {service}

{prose}

```bash
kubectl get pods -n {area} -l app={service}
```
Expected output: contains "Running"
Failure action: continue

### Step 2: Replace the pod that hangs
```bash
kubectl delete pod {{{{ pod }}}} -n {area}
```
Expected output: contains "deleted"
Attempts: 1
Timeout: 60s
Failure action: escalate

### Step 3: Check that {system} answers again
```bash
kubectl exec -n {area} deploy/{service} -- curl -s localhost:8080/health | jq .{system}
```
Expected output: contains "connected"
Failure action: escalate

## Escalation
Routing: team-{area}

{prose}

## Examples
- Matches: "{symptom} on {system}" severity:critical service:{service}
- Does not match: "all is well" severity:critical service:{service}
"""


def write(folder: Path, count: int) -> int:
    """Put the runbooks into folders of 100; gives their bytes."""
    rng = random.Random(7)
    size = 0
    for number in range(count):
        part = folder / f"{number // 100:03d}"
        part.mkdir(exist_ok=True)
        size += (part / f"{number:05d}.md").write_text(text_of(number, rng))
    return size


def alerts(books: Sequence[Runbook], count: int) -> Iterator[Alert]:
    """Alerts as they would come in: most meet one runbook, some none, some are very long."""
    rng = random.Random(11)
    for at in range(count):
        book = rng.choice(books)
        system, _, area, _, symptom = book.title.replace(":", " of").split(" ", 4) if at % 3 else NOTHING
        yield Alert(
            source="pagerduty",
            source_id=str(at),
            title=f"{symptom} on {system.lower()}",
            body=PROSE.format(system=system, area=area, symptom=symptom) * (30 if at % 50 == 0 else 1),
            service=book.id if at % 3 else "archive-tape",
            severity=Severity.CRITICAL,
            urgency=Urgency.HIGH,
            labels={"alertname": f"{system.capitalize()}Down", "pod": f"web-{at}"},
        )


def timed(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def bare_parse_s(folder: Path) -> float:
    """What markdown-it-py alone takes for the same files, read beforehand."""
    texts = [path.read_text() for path in sorted(folder.rglob("*.md"))]
    parser = MarkdownIt("commonmark")
    return timed(lambda: [parser.parse(text) for text in texts])


def rss_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def measure(folder: Path, count: int) -> dict[str, float]:
    size = write(folder, count)
    bare = [bare_parse_s(folder)]  # before and after, so that a busy machine disturbs both alike
    before = rss_mb()
    began = time.process_time()
    library = Library(folder)
    loaded = time.process_time()
    scores = Scores()
    scores.prepare(library.runbooks)
    indexed = time.process_time()
    assert len(library.runbooks) == count, library.problems[:3]
    memory = rss_mb() - before
    bare.append(bare_parse_s(folder))
    return {
        "runbooks": count,
        "megabytes": size / 1e6,
        "bare_parse_s": min(bare),
        "load_s": loaded - began,
        "index_s": indexed - loaded,
        "times_bare_parse": (indexed - began) / min(bare),
        "memory_mb": memory,
        **reloads(library, scores, folder),
        **matches(library, scores),
    }


def reloads(library: Library, scores: Scores, folder: Path) -> dict[str, float]:
    """One changed file: found on disk, parsed, put into the index."""
    taken = []
    for number in range(20):
        path = folder / f"{number:03d}" / f"{number * 100:05d}.md"
        path.write_text(path.read_text() + "\nNote: mended.\n")
        began = time.process_time()
        changes = library.reload()
        scores.prepare(library.runbooks)
        taken.append(time.process_time() - began)
        assert len(changes.changed) == 1, changes
    return {"reload_ms_p50": percentile(taken, 50), "reload_ms_max": percentile(taken, 100)}


def matches(library: Library, scores: Scores) -> dict[str, float]:
    """Rules over all runbooks, and scores over all where no rule or several hold; the best of three tries."""
    taken, eligible = [], []
    for alert in alerts(list(library.runbooks.values()), 1000):
        tries = [timed(lambda alert=alert: scores.look(library.runbooks, alert)) for _ in range(3)]
        taken.append(min(tries))
        eligible.append(len(scores.look(library.runbooks, alert).eligible))
    found = np.array(eligible)
    return {
        "match_ms_p50": percentile(taken, 50),
        "match_ms_p99": percentile(taken, 99),
        "match_ms_max": percentile(taken, 100),
        "one_holds_share": float((found == 1).mean()),
        "none_holds_share": float((found == 0).mean()),
    }


def percentile(seconds: list[float], at: float) -> float:
    """In milliseconds."""
    return float(np.percentile(seconds, at)) * 1e3


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--runbooks", type=int, default=10_000)
    arguments.add_argument("--json", action="store_true")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), given.runbooks)
    if given.json:
        json.dump(found, sys.stdout, indent=1)
        return
    for name, value in found.items():
        print(f"{name:18} {value:10.2f}")


if __name__ == "__main__":
    main()
