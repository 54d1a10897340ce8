"""Where Keeptrusts is, as configured: what a typed action may ask, by the names that a runbook uses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class KeeptrustsPlaces:
    """host:port of the API ("": not configured), of each gateway and of each provider's status page.

    `any_name`: other gateways and status pages are known as well; for a look at a runbook without a world.
    """

    api: str = ""
    gateways: Mapping[str, str] = field(default_factory=dict)
    status_pages: Mapping[str, str] = field(default_factory=dict)
    any_name: bool = False


NOWHERE = KeeptrustsPlaces()

#: Where nothing is configured: what a runbook would do is told all the same.
SOMEWHERE = KeeptrustsPlaces("keeptrusts:443", any_name=True)
