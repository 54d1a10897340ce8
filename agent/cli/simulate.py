"""`simulate`: PagerDuty and Slack on loopback, to try `serve` before anything is connected."""

from __future__ import annotations
import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
