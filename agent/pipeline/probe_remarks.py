"""What lint says of `## Watch` beyond its grammar: commands are held to reads by the guards themselves."""

from __future__ import annotations

from collections.abc import Iterator

from agent.domain.command import Refusal
from agent.domain.probing import ProbeKind
from agent.domain.runbook import Runbook
from agent.library.lint import Finding, Level
from agent.pipeline.context import Context
from agent.pipeline.probe_sight import planned


def probe_remarks(context: Context, runbook: Runbook) -> Iterator[Finding]:
    """Commands that a guard refuses or that change something, and what nobody is configured to ask."""
    config = context.config
    for probe in runbook.watch:
        found = planned(context, runbook, probe) if probe.kind is ProbeKind.COMMAND else None
        if isinstance(found, Refusal):
            line = probe.command_line or probe.line
            yield Finding(runbook.path, line, Level.ERROR, f"refused: {found.reason}", found.hint)
        if probe.kind is ProbeKind.PROMQL and config.prometheus is None:
            yield _off(runbook, probe.line, "prometheus", "prometheus: {url: …}")
        section = config.keeptrusts
        if probe.kind is ProbeKind.PENDING and (section is None or section.api_token is None):
            yield _off(runbook, probe.line, "keeptrusts", "keeptrusts: {api_token: {env: …}}")


def _off(runbook: Runbook, line: int, name: str, fix: str) -> Finding:
    message = f"not watched: config.yaml has no {name} section for it"
    return Finding(runbook.path, line, Level.WARNING, message, f"add `{fix}`")
