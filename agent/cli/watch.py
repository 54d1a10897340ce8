"""`watch`: a small process beside the agent that pages when the agent is gone.

It loads little and needs little, so that it still works when the agent does not: no database, no runbooks,
and of the configuration only what it uses.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import structlog
import typer

from agent.adapters.beats import FileProbe, ReadyProbe
from agent.adapters.clock import SystemClock
from agent.adapters.pagerduty_events import PagerDutyEvents
from agent.adapters.watch_memory import MemoryFile
from agent.cli.output import (
    DEFAULT_CONFIG,
    FINDING,
    ConfigOption,
    JsonOption,
    console,
    fail,
    guarded,
    print_json,
)
from agent.config import is_loopback
from agent.config.loading import read_sections
from agent.config.sections import PagerDuty
from agent.log import set_up_logging
from agent.watching import BELIEVED_AFTER, Patience, Probe, Verdict, Watcher, keep_looking

log = structlog.get_logger()

#: With `--once`: how long a page that PagerDuty does not take is tried before the next run has to.
_TRIES_S = 60.0

#: EX_SOFTWARE of sysexits.h: whatever restarts the watcher shows that it broke.
_BROKEN = 70


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(watch)


def main() -> None:
    """Run this command without loading any other."""
    app = typer.Typer(name="oncall-agent", add_completion=False, pretty_exceptions_enable=False)
    app.callback()(lambda: None)  # a lone command would lose its name
    register(app)
    guarded(app)


def watch(
    config: ConfigOption = DEFAULT_CONFIG,
    url: Annotated[str | None, typer.Option(help="The agent's /ready; by default as `server` says.")] = None,
    file: Annotated[Path | None, typer.Option(help="The agent's heartbeat file (heartbeat.file).")] = None,
    stale_after: Annotated[float, typer.Option(min=1, help="Seconds of silence before the page.")] = 120,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 10,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds for one answer.")] = 5,
    name: Annotated[str | None, typer.Option(help="Whom the page is about; by default the host.")] = None,
    state: Annotated[
        Path | None, typer.Option(help="Where a restart of the watcher finds its memory.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Look until it is well or stale, then end.")] = False,
    json: JsonOption = False,
) -> None:
    """Page through PagerDuty while the agent does not answer or cannot work, and resolve that by itself."""
    pager = _pager(config)
    if url is None and file is None:
        url = _own_url(config)
    clock = SystemClock()
    probes: list[Probe] = [ReadyProbe(url, timeout_s=timeout)] if url is not None else []
    if file is not None:
        probes.append(FileProbe(file, clock, stale_after_s=stale_after))
    watcher = Watcher(
        _plain_name(name or _host_of(url)),
        probes=probes,
        pager=pager,
        clock=clock,
        memory=MemoryFile(state or state_path()),
        patience=Patience(stale_after, 1 if once else BELIEVED_AFTER),
    )
    if not once:
        _until_signalled(watcher, every)
        return
    verdict = _until_known(watcher, every)
    if json:
        print_json(
            {"verdict": verdict, "dedup_key": watcher.dedup_key, "why": watcher.why, "told": watcher.is_told}
        )
    else:
        console.print(f"{verdict}: {watcher.why or 'it can do its work'}")
    raise typer.Exit(0 if verdict is Verdict.WELL else FINDING)


def _until_signalled(watcher: Watcher, every_s: float) -> None:
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    log.info("watching", dedup_key=watcher.dedup_key, every_s=every_s)
    if not keep_looking(watcher.round, stopping, every_s):
        raise typer.Exit(_BROKEN)


def _until_known(watcher: Watcher, every_s: float) -> Verdict:
    """Well at the first good look; else stale once the time is over, and told if the pager can be reached."""
    while (verdict := watcher.round()) is Verdict.SILENT:
        time.sleep(every_s)
    give_up_at = time.monotonic() + _TRIES_S
    while verdict is Verdict.STALE and not watcher.is_told and time.monotonic() < give_up_at:
        time.sleep(min(every_s, 1.0))
        verdict = watcher.round()
    return verdict


def _pager(config: Path) -> PagerDutyEvents:
    section = read_sections(config, ["pagerduty"]).pagerduty
    if section is None or section.routing_key is None:
        fail(f"{config}: pagerduty.routing_key is missing; without it nobody can be paged")
    key = _routing_key(config, section)
    set_up_logging(secrets=[key])
    return PagerDutyEvents(section.events_url, key, timeout_s=section.timeout_s)


def _routing_key(config: Path, section: PagerDuty) -> str:
    reference = section.routing_key
    assert reference is not None
    if reference.aws_ssm or reference.aws_secret:
        from agent.surroundings import open_cloud_vault  # loads a second's worth of what else is not needed

        open_cloud_vault(read_sections(config, ["aws"]))
    try:
        return reference.resolve().reveal()
    except (ValueError, OSError) as error:
        fail(f"{config}: pagerduty.routing_key: {error}")


def _own_url(config: Path) -> str:
    server = read_sections(config, ["server"]).server
    if server.port == 0:
        fail("server.port is 0, so nobody knows where the agent listens; say --url or --file")
    host = "127.0.0.1" if server.host in ("0.0.0.0", "::", "") else server.host  # noqa: S104  (asked, not bound)
    return f"http://{f'[{host}]' if ':' in host else host}:{server.port}/ready"


def _host_of(url: str | None) -> str:
    host = urlsplit(url or "").hostname or "localhost"
    return socket.gethostname() if is_loopback(host) else host


def _plain_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name) or "agent"


def state_path() -> Path:
    """systemd names a folder for it (StateDirectory=); else it stands beside what else is kept."""
    return Path(os.environ.get("STATE_DIRECTORY", "data").partition(":")[0]) / "watch.json"
