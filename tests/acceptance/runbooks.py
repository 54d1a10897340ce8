"""Runbooks that the acceptance tests run for real."""

from __future__ import annotations


def redis_runbook(port: int, *, limit: int = 1, first: str = "", second: str = "", extra: str = "") -> str:
    first = first or f"redis-cli -h 127.0.0.1 -p {port} INCR runs"
    second = second or f"redis-cli -h 127.0.0.1 -p {port} GET runs"
    return f"""# Runbook: Redis Connection Timeout

## Trigger Conditions
- Alert contains: "redis", "timeout"
- Severity: high or critical

## Blast Radius
- max_cache_operations: {limit}
- requires_human_approval: false

## Steps

### Step 1: Flush the connection pool
```bash
{first}
```
Expected output: "1"
Failure action: continue
{extra}
### Step 2: Verify connections restored
```bash
{second}
```
Expected output: contains "1"
Failure action: escalate
"""


def slow_runbook(*, seconds: int) -> str:
    return f"""# Runbook: Slow

## Trigger Conditions
- Alert contains: "redis"

## Blast Radius
- requires_human_approval: false

## Steps

### Step 1: Wait
```bash
sleep {seconds}
```

### Step 2: Say so
```bash
echo done
```
"""
