"""What is kept, where, and for how long."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from agent.config.base import Section

#: What may still be asked for again is kept this long whatever the configuration says.
LEAST_KEPT_DAYS = 7


class Audit(Section):
    """Where the audit log is written as JSON lines; left out: beside the SQLite file, else data/."""

    path: str | None = None


class Retention(Section):
    """How long what has ended is kept in the database; 0 keeps it for ever. Archived first, then deleted."""

    incidents_days: Annotated[int, Field(ge=0)] = 90
    raw_webhooks_days: Annotated[int, Field(ge=0)] = 14
    open_escalations_days: Annotated[int, Field(ge=0)] = 365
    decision_events_days: Annotated[int, Field(ge=0)] = 90
    archive: str | None = None

    @model_validator(mode="after")
    def _longer_than_a_webhook_is_sent_again(self) -> Retention:
        # PagerDuty tries to deliver a webhook for 48 hours (documentation "Webhooks", page "Behavior")
        if 0 < self.incidents_days < LEAST_KEPT_DAYS:
            raise ValueError(
                f"incidents_days must be 0 (for ever) or at least {LEAST_KEPT_DAYS}: "
                "a webhook may be sent again for days, and must not open a second incident"
            )
        return self
