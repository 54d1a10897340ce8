"""`archive`, `backup`, `restore`: what leaves the database, and what brings it back."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import sqlalchemy as sa
import typer

from agent.adapters import audit_parts, backup
from agent.adapters.archiver import Archiver, Report
from agent.adapters.clock import SystemClock
from agent.adapters.executor_lock import executor_lock_name
from agent.adapters.locks import Locks, locks_of
from agent.adapters.store import Store
from agent.adapters.store_retention import StoredRetention
from agent.cli.incidents import on_command_line, open_store
from agent.cli.output import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    console,
    fail,
    load_config,
    plain,
    print_json,
)
from agent.config import Config
from agent.domain.errors import ExecutorBusyError
from agent.escalations.settings import queueing_of
from agent.pipeline.restored import HandedOver, hand_over

_POSTGRES = (
    "the database is PostgreSQL, which has its own: `pg_dump --format=custom --file FILE URL`, and to get it "
    "back `pg_restore --clean --if-exists --dbname URL FILE`, then `oncall-agent restore` without a file, "
    "before any daemon is started"
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(archive)
    app.command(name="backup")(back_up)
    app.command()(restore)


def archive(
    config: ConfigOption = DEFAULT_CONFIG,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many would go.")] = False,
    json: JsonOption = False,
) -> None:
    """Archive what ended long ago and delete it from the database, as the daemon does every hour."""
    loaded = load_config(config)
    with closing(open_store(loaded)) as store:
        archiver = Archiver(store, loaded)
        done = archiver.preview() if dry_run else archiver.run()
    folder = loaded.archive_path()
    if json:
        print_json({
            "incidents": done.incidents, "escalations": done.escalations,
            "archives": list(done.files), "folder": str(folder),
            "bodies": done.bodies, "webhooks": done.webhooks, "dry_run": dry_run, "busy": done.busy,
        })  # fmt: skip
    elif done.busy:
        console.print(f"another process is archiving into {plain(str(folder))}")
    elif dry_run:
        console.print(f"{_counted(done)} would be archived into {plain(str(folder))} and deleted")
    else:
        for name in done.files:
            console.print(f"written: {plain(str(folder / name))}")
        console.print(f"{_counted(done)} left the database")


def _counted(done: Report) -> str:
    alone = f" and {done.escalations} escalations without one" if done.escalations else ""
    return f"{done.incidents} incidents{alone}"


def back_up(
    file: Annotated[Path, typer.Argument(help="The file to write, such as oncall.tar.gz.")],
    config: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> None:
    """Copy the SQLite database while the daemon works; the copy is checked before the command ends."""
    databases = _databases(load_config(config))
    made = backup.back_up(databases, file, now=datetime.now(UTC), version=version("oncall-agent"))
    if json:
        print_json({"file": str(file), "at": made.at, "entries": made.entries, "head": made.head})
    else:
        console.print(f"{plain(str(file))}: the audit chain up to entry {made.entries}, {made.head[:16]}")


def restore(
    file: Annotated[Path | None, typer.Argument(help="A file of `backup`; none on PostgreSQL.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> None:
    """Go back to a backup: nothing runs until `resume`, and what was under way pages a human."""
    loaded = load_config(config)
    if _is_sqlite(loaded) and file is None:
        fail("which backup? oncall-agent restore FILE")
    if not _is_sqlite(loaded) and file is not None:
        fail(_POSTGRES)
    with closing(_hold_everything(loaded)):
        handed, kept = _restore_file(loaded, file) if file is not None else _restored_by_hand(loaded)
    if json:
        print_json(
            {
                "incidents": list(handed.incidents),
                "stop": handed.stop.id,
                "kept": [str(each) for each in kept],
            }
        )
        return
    for each in kept:
        console.print(f"kept: {plain(str(each))}")
    console.print(
        f"{len(handed.incidents)} incidents were under way: a human is paged for each when the daemon starts"
    )
    console.print(f"[red]stopped[/red]: nothing runs until `oncall-agent resume {handed.stop.id}`")
    console.print(
        "everybody signs in anew, and tokens are to be made anew: some may have been revoked meanwhile"
    )
    console.print(
        "what came in after the backup is not known here: look at the open incidents of your alert source"
    )
    if loaded.keeptrusts is not None:
        console.print(
            "EMERGENCY BYPASS: one that began after the backup ends by nobody. Look in Keeptrusts for a\n"
            "configuration that begins with these words, and for escalations that wait"
        )


def _restore_file(config: Config, file: Path) -> tuple[HandedOver, list[Path]]:
    """Everything is done to a copy, which then takes the database's place at once."""
    places = _databases(config)
    suffix = f"before-restore-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    with backup.unpacked(file, places.ours) as (copies, manifest):
        with closing(Store(f"sqlite:///{copies.ours}", SystemClock())) as store:
            handed = _hand_over(config, store, manifest.taken_at)
        kept = backup.put_in_place(copies, places, suffix=suffix)
    return handed, [*kept, *_put_audit_aside(config, suffix)]


def _restored_by_hand(config: Config) -> tuple[HandedOver, list[Path]]:
    with closing(Store(config.database.url, SystemClock())) as store:
        handed = _hand_over(config, store, None)
    suffix = f"before-restore-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    return handed, _put_audit_aside(config, suffix)


def _hand_over(config: Config, store: Store, taken_at: datetime | None) -> HandedOver:
    from agent.web import keys
    from agent.wiring import context_of  # builds the world: only when something is really restored

    store.migrate()
    store.queueing = queueing_of(config)
    StoredRetention(store).doubt_letters()
    context = context_of(config, store=store, desk=None, channels=config.channels())
    handed = hand_over(context, taken_at=taken_at, by=on_command_line(""))
    keys.shut_everybody_out(store, by=on_command_line(""))
    return handed


def _put_audit_aside(config: Config, suffix: str) -> list[Path]:
    """The file tells more than the restored database: it is kept, and written anew from the database."""
    path = config.audit_path()
    found = [*(part.path for part in audit_parts.closed(path)), *([path] if path.exists() else [])]
    kept = []
    for each in found:
        aside = each.with_name(f"{each.name}.{suffix}")
        each.rename(aside)
        kept.append(aside)
    return kept


def _hold_everything(config: Config) -> Locks:
    """Every executor's lock, so that no daemon works and none starts."""
    from agent.durable import system_database_url

    url = system_database_url(config.database.url)
    locks = locks_of(url)
    known = {"main"}
    if _is_sqlite(config):
        known |= backup.executors_of(_databases(config))
    else:
        with closing(Store(config.database.url, SystemClock())) as store:
            known |= {each.executor_id for each in store.executors()}
    for name in sorted(known):
        if not locks.take(executor_lock_name(name)):
            locks.close()
            raise ExecutorBusyError(f"a daemon works as executor {name!r} on this database: stop it first")
    return locks


def _databases(config: Config) -> backup.Databases:
    from agent.durable import system_database_url

    if not _is_sqlite(config):
        fail(_POSTGRES)
    ours = Path(sa.make_url(config.database.url).database or "")
    runs = Path(sa.make_url(system_database_url(config.database.url)).database or "")
    return backup.Databases(ours, runs)


def _is_sqlite(config: Config) -> bool:
    return sa.make_url(config.database.url).get_backend_name() == "sqlite"
