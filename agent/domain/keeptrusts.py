"""What Keeptrusts says of an escalation: a policy wants a human's word before a response goes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agent.domain.alert import Severity

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


def page_key(escalation_id: str) -> str:
    """The published `dedup_key`: one incident of PagerDuty for each escalation."""
    return f"keeptrusts-{escalation_id}"


def page_url(console_url: str, escalation_id: str) -> str:
    """Where a reviewer looks at it."""
    return f"{console_url.rstrip('/')}/escalations/{escalation_id}"
