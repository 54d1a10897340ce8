"""The webhooks of a simulated Jira: in v2 form from both faces, signed, under one identifier for each."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from agent.simulators.jira_state import SimulatedIssue, moment, status_body


@dataclass(frozen=True, slots=True)
class Hook:
    """One webhook as it is posted."""

    raw: bytes
    headers: Mapping[str, str]


@dataclass(slots=True)
class Hooks:
    """What was told so far; posted to `url` in the background, if there is one, until it is taken."""

    secret: str
    is_cloud: bool
    url: str = ""
    told: list[Hook] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    tries: int = 5
    pause_s: float = 0.05

    def tell(self, body: Mapping[str, Any]) -> Hook:
        """One webhook."""
        raw = json.dumps(body).encode()
        digest = hmac.new(self.secret.encode(), raw, hashlib.sha256).hexdigest()
        headers = {"Content-Type": "application/json", "X-Hub-Signature": f"sha256={digest}"}
        if self.is_cloud:
            headers["X-Atlassian-Webhook-Identifier"] = str(uuid.uuid4())
        hook = Hook(raw, headers)
        self.told.append(hook)
        if self.url:
            threading.Thread(target=self._post, args=(hook,), daemon=True).start()
        return hook

    def _post(self, hook: Hook) -> None:
        """Data Center tries once, Cloud again after 5xx and silence."""
        for _ in range(self.tries if self.is_cloud else 1):
            try:
                answer = httpx.post(
                    self.url, content=hook.raw, headers=dict(hook.headers), timeout=5, trust_env=False
                )
                self.statuses.append(answer.status_code)
            except httpx.HTTPError:
                self.statuses.append(0)
            if 200 <= self.statuses[-1] < 500:
                return
            time.sleep(self.pause_s)


def updated(
    issue: SimulatedIssue, changes: Sequence[tuple[str, str, str]], *, by: str, email: str, is_cloud: bool
) -> dict[str, Any]:
    """`jira:issue_updated`; `changes` are (field, from, to)."""
    user = {"displayName": by, "active": True, "timeZone": "Etc/UTC"}
    user |= {"accountId": f"99:{by}"} if is_cloud else {"name": by, "key": by}
    if email:
        user["emailAddress"] = email
    items = [
        {"field": name, "fieldtype": "jira", "fromString": before, "toString": after}
        for name, before, after in changes
    ]
    resolution = {"name": issue.resolution} if issue.resolution else None
    fields = {
        "summary": issue.fields.get("summary"),
        "description": "as text",
        "labels": issue.labels,
        "status": status_body(issue.status),
        "resolution": resolution,
        "issuetype": issue.fields.get("issuetype"),
        "priority": issue.fields.get("priority"),
        "project": issue.fields.get("project"),
        "created": moment(issue.created_at),
        **{name: value for name, value in issue.fields.items() if name.startswith("customfield_")},
    }
    return {
        "timestamp": int(time.time() * 1000),
        "webhookEvent": "jira:issue_updated",
        "issue_event_type_name": "issue_generic",
        "user": user,
        "issue": {"id": issue.id, "key": issue.key, "fields": fields},
        "changelog": {"id": "10000", "items": items},
    }
