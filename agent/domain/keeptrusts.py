"""What Keeptrusts says of an escalation: a policy wants a human's word before a response goes out."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from agent.domain.alert import Severity
from agent.domain.queue import RECEIVED_PREFIX

#: The fact under which an escalation in the queue keeps the id that Keeptrusts gave it.
ESCALATION_ID = "escalation_id"

#: What may stand in an id of the queue: it goes through addresses and files.
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", re.ASCII)

#: The published table: what the policy did says how grave it is; anything else is information.
SEVERITY_OF: Mapping[str, Severity] = {
    "block": Severity.CRITICAL,
    "escalate": Severity.ERROR,
    "redact": Severity.WARNING,
    "log": Severity.INFO,
}


@dataclass(frozen=True, slots=True)
class KeeptrustsEscalation:
    """One escalation in the words of its webhook; what it left out is ""."""

    escalation_id: str
    policy_name: str
    action: str
    event_id: str = ""
    policy_type: str = ""
    model: str = ""
    gateway_id: str = ""
    org_id: str = ""
    user_id: str = ""
    timestamp: str = ""

    @property
    def severity(self) -> Severity:
        """How grave it is."""
        return SEVERITY_OF.get(self.action.strip().casefold(), Severity.INFO)


@dataclass(frozen=True, slots=True)
class KeeptrustsResolution:
    """How Keeptrusts says that one ended; all but the id may be unknown."""

    escalation_id: str
    resolution: str = ""
    notes: str = ""
    by: str = ""


def given_id(escalation_id: str) -> str:
    """Keeptrusts' id as the queue takes it: as it is, or a plain one that stands for it alone."""
    if _PLAIN.fullmatch(escalation_id):
        return escalation_id
    plain = re.sub(r"[^A-Za-z0-9._-]", "-", escalation_id)[:48]
    return f"x{plain}-{hashlib.sha256(escalation_id.encode('utf-8', 'replace')).hexdigest()[:20]}"


def item_id(escalation_id: str) -> str:
    """Under which id it stands in our queue."""
    return RECEIVED_PREFIX + given_id(escalation_id)


_PAGE = "keeptrusts-"


def page_key(escalation_id: str) -> str:
    """The published `dedup_key`: one incident of PagerDuty for each escalation."""
    return f"{_PAGE}{escalation_id}"


def paged_for(dedup_key: str) -> str:
    """Whose page has this key; "" if it is none of Keeptrusts'."""
    return dedup_key.removeprefix(_PAGE) if dedup_key.startswith(_PAGE) else ""


def page_url(console_url: str, escalation_id: str) -> str:
    """Where a reviewer looks at it."""
    return f"{console_url.rstrip('/')}/escalations/{escalation_id}"
