"""Runbook texts that several tests start from."""

FENCE = "```"

QUEUE = """\
# Runbook: Queue Stuck

## Trigger Conditions
- Alert contains: "queue", "stuck"
- Severity: high or critical
- Service: worker, queue-*

## Blast Radius
- max_pod_restarts: 1
- max_queue_operations: 2
- requires_human_approval: false

## Steps

### Step 1: Look at the queue
```bash
kubectl exec -n jobs deploy/worker -- queuectl length
```
Expected output: "0"
Failure action: continue

### Step 2: Check that jobs move again
```bash
kubectl logs -n jobs deploy/worker --tail=20 | grep -c done
```
Expected output: contains "done"
Failure action: escalate

## Escalation
If a step fails twice, call the owners of the queue.
"""

#: As it looks when a page was copied from a site that lost half of its Markdown.
QUEUE_AS_PUBLISHED = """\
# Runbook: Queue Stuck
## Trigger Conditions
- Alert contains: "queue", "stuck"
- Severity: high or critical
- Service: worker, queue-*
## Blast Radius
- max_pod_restarts: 1
- max_queue_operations: 2
- requires_human_approval: false
## Steps
### Step 1: Look at the queue
```bash
kubectl exec -n jobs deploy/worker -- queuectl length
Expected output: "0" Failure action: continue
Step 2: Check that jobs move again
kubectl logs -n jobs deploy/worker --tail=20 | grep -c done
Expected output: contains "done" Failure action: escalate
Escalation
If a step fails twice, call the owners of the queue.
"""

EVERYTHING = """\
---
id: restart-worker
owner: jobs
autonomy: approve
tags: [queue, jobs]
---
# Runbook: Restart a worker

Some words for the reader.

## Trigger Conditions
- Alert contains: worker AND (stuck OR /no progress in [0-9]+ min/) AND NOT environment:staging
- Severity: high or critical
- Label region: eu-*
- Priority: P1, P2
- Source: prometheus
Note: night alerts count too.

## Blast Radius
- max_pod_restarts: 1
- max_rollouts: 2
- max_duration: 10m
- namespaces: jobs, web
- hosts: localhost:8080, queue.example.com
- requires_human_approval: yes

## Parameters
- pod: label "pod"; pattern /^[a-z0-9-]+$/
- region: one of eu-1, eu-2; default eu-1
- slot: captured; pattern /^[0-9]+$/

## Steps

### Step 1: Look
Note: it only reads.
```console
$ kubectl get pod {{ pod }} -n jobs
NAME    READY
web-1   1/1
$ queuectl slots \\
    --region {{ region }}
```
**Expected output:** contains "Running" or json .items[0].ready == true
**Failure action:** continue
Capture: slot from /slot ([0-9]+)/
Attempts: 3
Retry delay: 500ms
Timeout: 90s

### Step 2: Restart
```action
rollout_restart: {namespace: jobs, deployment: "{{ pod }}", wait: true, names: [a, b]}
```
- Only if: step 1 not contains "healthy"
- Approval: required
- Failure action: rollback

### Step 3: Free the slot
```sh
queuectl free {{ slot }}
```

## Verify
Hold for: 5m

### Step 1: Jobs move
```bash
queuectl moving
```
Expected output: > 0

## Rollback

### Step 1: Take the slot back
```bash
queuectl take {{ slot }}
```

## Escalation
Routing: jobs
Severity: high
Message: "The worker did not come back"

Call the owners of the queue.

## Examples
- Matches: "worker stuck" severity:high
- Does not match: "worker stuck" environment:staging
"""
