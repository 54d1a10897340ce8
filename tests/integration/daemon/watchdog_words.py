"""What the tests of the watchdog say of it, and of what it looks at."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import sqlalchemy as sa

from agent.adapters.store import Store
from agent.adapters.store_schema import attempts, incidents, runs
from agent.domain.incident import Entry, EventKind
from agent.domain.source_event import EventType, SourceEvent
from tests.integration.daemon.conftest import Control
from tests.unit.pipeline.conftest import ALERT

#: execution.incident_deadline_s and the grace beyond it, escalation.approval_timeout_s.
OWN_S, GRACE_S, ANSWER_S = 600, 120, 900


def accept(control: Control, number: int = 1, *, service: str = "") -> str:
    """A webhook came in and nobody has looked at it yet."""
    title = f"{ALERT.title} of {'abcdefghij'[number]}"  # the same alert again is no other incident
    alert = replace(ALERT, source_id=f"P{number}", title=title, service=service)
    event = SourceEvent(
        "pagerduty", f"d-{number}", EventType.TRIGGERED, "incident.triggered", f"P{number}", alert=alert
    )
    return control.store.accept(event, "{}").incident_id


def set_up_anew(control: Control) -> None:
    """With the configuration and the runbooks as they are now."""
    control.world._context = None
    del control.watchdog
    assert control.watchdog is not None
    control.clock.sleep(30)


def look(control: Control, *, times: int = 1) -> None:
    for _ in range(times):
        control.watchdog.tick()
        control.clock.sleep(5)


def only_page(control: Control) -> str:
    (page,) = control.pages()
    return page


def stuck_counts(control: Control) -> dict[str, float]:
    return dict(control.store.counts("stuck/"))


def statements(control: Control) -> int:
    """How many statements one look costs."""
    seen: list[str] = []

    def count(*arguments: object) -> None:
        seen.append(str(arguments[2]))

    sa.event.listen(sa.Engine, "before_cursor_execute", count)
    try:
        control.watchdog.tick()
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", count)
    return len([text for text in seen if not text.startswith(("BEGIN", "COMMIT", "PRAGMA"))])


def copies(store: Store, incident_id: str, count: int) -> None:
    """More of the same: rows as the incident's and its run's, under other names."""
    for table, column in ((incidents, "id"), (runs, "incident_id")):
        with store.database.reading() as connection:
            row = connection.execute(sa.select(table).where(table.c[column] == incident_id)).one()._mapping
        more = [{**row, column: f"inc-{number}"} for number in range(count)]
        if table is incidents:
            more = [{**each, "source_id": f"C{number}"} for number, each in enumerate(more)]
        with store.database.writing() as connection:
            connection.execute(table.insert(), more)


def change(store: Store, statement: sa.Update | sa.Delete) -> None:
    with store.database.writing() as connection:
        connection.execute(statement)


def begin_attempt(control: Control, incident_id: str, *, lasts_s: float) -> None:
    now = control.clock.now()
    until = (now + timedelta(seconds=lasts_s)).isoformat(timespec="microseconds")
    row = {
        "incident_id": incident_id, "section": "steps", "step": 2, "number": 1, "title": "Restart the pod",
        "read_only": False, "marker": "m", "begun_at": now.isoformat(), "holds_until": until, "commands": 1,
    }  # fmt: skip
    with control.store.database.writing() as connection:
        connection.execute(attempts.insert().values(**row))


def entry_of_a_stop() -> Entry:
    return Entry("stopped", EventKind.STOPPED, "stopped")
