"""Where alerts come from besides PagerDuty; a source that is left out is not listened to."""

from __future__ import annotations

from agent.config.base import Section


class SourcesSection(Section):
    """One key a source."""
