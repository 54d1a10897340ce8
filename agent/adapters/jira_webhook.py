"""Jira's webhooks: is it really from Jira, and what does it say.

The signature (`X-Hub-Signature: sha256=…`, as WebSub) covers the raw bytes and no time. A webhook is sent
again for as long as half an hour, under the same `X-Atlassian-Webhook-Identifier`. Bodies are in the form of
v2, also from Cloud. Reading never raises: a body that is not understood is a `Malformed` with words.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence

from agent.adapters.json_view import child, items_at, text_at
from agent.domain.tickets import TicketChange, TicketRef
from agent.ports.sources import Malformed

#: A whole issue with its comments; nothing longer is read.
_BODY_MAX_BYTES = 4 * 1024 * 1024
_HEADER_MAX = 1024
_NAME_MAX = 200
_PREFIX = "sha256="
_MOVES = frozenset({"status", "resolution"})

#: The one event that is asked for; others say nothing about an end.
UPDATED = "jira:issue_updated"


def verify(raw: bytes, header: str | None, secrets: Sequence[str]) -> bool:
    """Whether one of the secrets signed these bytes."""
    if not header or len(header) > _HEADER_MAX:
        return False
    offered = header.strip().encode("utf-8", "surrogatepass")
    expected = [signature(raw, secret).encode() for secret in secrets if secret.strip()]
    matches = [hmac.compare_digest(mine, offered) for mine in expected]
    return any(matches)


def signature(raw: bytes, secret: str) -> str:
    """The header's value for these bytes."""
    return _PREFIX + hmac.new(secret.strip().encode(), raw, hashlib.sha256).hexdigest()


def read(raw: bytes, delivery_id: str) -> TicketChange | Malformed | None:
    """What it says of a ticket; None if it is about something else."""
    if len(raw) > _BODY_MAX_BYTES:
        return Malformed(f"the body is longer than {_BODY_MAX_BYTES} bytes")
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return Malformed("the body is no JSON")
    event = text_at(body, "webhookEvent")
    if not event:
        return Malformed("webhookEvent is missing: this is no webhook of Jira's")
    if event != UPDATED:
        return None
    issue = child(body, "issue")
    ref = TicketRef(text_at(issue, "id"), text_at(issue, "key"))
    if not ref.id or not ref.name:
        return Malformed("issue.id or issue.key is missing")
    status = child(issue, "fields", "status")
    return TicketChange(
        id=(delivery_id or hashlib.sha256(raw).hexdigest())[:200],
        ref=ref,
        labels=tuple(each for each in items_at(issue, "fields", "labels") if isinstance(each, str)),
        status=_words(status, "name"),
        category=text_at(status, "statusCategory", "key"),
        resolution=_words(issue, "fields", "resolution", "name"),
        by=_words(body, "user", "displayName") or _words(body, "user", "name"),
        email=text_at(body, "user", "emailAddress"),
        is_moved=any(text_at(each, "field") in _MOVES for each in items_at(body, "changelog", "items")),
    )


def _words(value: object, *path: str) -> str:
    """A name on one line: it is told and kept."""
    return " ".join(text_at(value, *path).split())[:_NAME_MAX]
