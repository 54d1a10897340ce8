"""What `doctor` says of `## Watch` sections: how many are watched, and whether Prometheus answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from agent.cli.checks import Check, Grade
from agent.config import Config
from agent.domain.errors import AgentError
from agent.domain.probing import Probe, ProbeKind, Unseen
from agent.library import Library


def probe_checks(config: Config) -> Iterator[Check]:
    """Nothing where nothing is watched and nobody is configured to be asked."""
    path = Path(config.runbooks.path)
    runbooks = Library(path).runbooks.values() if path.is_dir() else ()
    probes = [probe for runbook in runbooks for probe in runbook.watch]
    off = [probe for probe in probes if _is_off(config, probe)]
    if probes:
        seen = f"{len(probes)} watched, looked at by the daemon itself"
        yield Check("watch sections", Grade.OK, seen)
    if off:
        wanted = " and ".join(sorted({_section_of(probe) for probe in off}))
        seen = f"{len(off)} of them not watched: no {wanted} section"
        yield Check("watch sections", Grade.NOTE, seen, f"add {wanted} to config.yaml")
    if config.prometheus is not None:
        yield _prometheus(config)


def _is_off(config: Config, probe: Probe) -> bool:
    if probe.kind is ProbeKind.PROMQL:
        return config.prometheus is None
    keeptrusts = config.keeptrusts
    return probe.kind is ProbeKind.PENDING and (keeptrusts is None or keeptrusts.api_token is None)


def _section_of(probe: Probe) -> str:
    return "prometheus" if probe.kind is ProbeKind.PROMQL else "keeptrusts"


def _prometheus(config: Config) -> Check:
    from agent.adapters.sight import sight_of

    url = config.prometheus.url if config.prometheus is not None else ""
    try:
        metrics = sight_of(config).metrics
        found = metrics.value("vector(1)", timeout_s=5.0) if metrics is not None else 1.0
    except AgentError as error:
        return Check("prometheus", Grade.BAD, str(error), "check prometheus.url and how it is signed in to")
    if isinstance(found, Unseen):
        return Check("prometheus", Grade.BAD, found.why, "check that prometheus.url is a Prometheus")
    return Check("prometheus", Grade.OK, f"{url} answers queries")
