"""What a charge means for every limit, asked and taken inside the caller's transaction.

The caller holds the one lock that all processes share, so that nobody else takes what was seen to be free.
A charge is never given back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import chain
from operator import attrgetter

import sqlalchemy as sa

from agent.adapters.database import stamp
from agent.adapters.prepared import Prepared, Row
from agent.adapters.store_schema import attempts, charges
from agent.domain.command import Refusal
from agent.domain.limits import (
    EVERY_NAMESPACE,
    Busy,
    Charge,
    Scope,
    WindowLimit,
    by_namespace,
    totals,
)
from agent.domain.records import AttemptKey

#: How many of those who used a limit up are named.
_NAMED = 3

Condition = sa.ColumnElement[bool]

_COMMANDS = Prepared(
    sa.select(sa.func.coalesce(sa.func.sum(attempts.c.commands), 0)).where(
        attempts.c.incident_id == sa.bindparam("of")
    )
)
_MINE = Prepared(
    sa.select(sa.func.coalesce(sa.func.sum(charges.c.count), 0)).where(
        charges.c.incident_id == sa.bindparam("of"), charges.c.effect_class == sa.bindparam("effect")
    )
)
_AT_WORK = Prepared(
    sa.select(attempts.c.incident_id, attempts.c.marker).where(
        attempts.c.ended_at.is_(None),
        attempts.c.holds_until > sa.bindparam("now"),
        attempts.c.incident_id != sa.bindparam("of"),
    )
)
_CHARGED = Prepared(
    sa.select(charges).where(
        charges.c.incident_id == sa.bindparam("incident_id"),
        charges.c.marker == sa.bindparam("marker"),
        charges.c.cluster == sa.bindparam("in_cluster"),
    )
)
_TAKE = Prepared(charges.insert())


def refusal(connection: sa.Connection, incident_id: str, charge: Charge, now: datetime) -> Refusal | None:
    """The first limit that the charge does not fit into."""
    return next(_refusals(connection, incident_id, charge, now), None)


def _refusals(
    connection: sa.Connection, incident_id: str, charge: Charge, now: datetime
) -> Iterator[Refusal]:
    for effect_class, asked in totals(charge.changes).items():
        used = int(_MINE.scalar(connection, {"of": incident_id, "effect": effect_class.value}))
        limit = charge.limits.limit(effect_class)
        if used + asked > limit:
            mine = _all(charges.c.incident_id == incident_id, charges.c.effect_class == effect_class.value)
            yield _over(effect_class.limit_key, limit, used, asked, _by_attempts(connection, mine))
    if refused := too_many_commands(connection, incident_id, charge):
        yield refused
    yield from _over_windows(connection, charge, now)


def too_many_commands(connection: sa.Connection, incident_id: str, charge: Charge) -> Refusal | None:
    """Whether the incident would run more commands than its runbook allows."""
    maximum = charge.limits.max_commands
    if maximum is None:
        return None
    used = int(_COMMANDS.scalar(connection, {"of": incident_id}))
    if used + charge.commands <= maximum:
        return None
    return _over("max_commands", maximum, used, charge.commands, "by this incident")


def over_a_window(connection: sa.Connection, charge: Charge, now: datetime) -> Refusal | None:
    """The first limit across incidents that the charge does not fit into."""
    return next(_over_windows(connection, charge, now), None)


def _over_windows(connection: sa.Connection, charge: Charge, now: datetime) -> Iterator[Refusal]:
    asked = totals(charge.changes)
    for window in charge.windows:
        if window.effect_class in asked:
            yield from _over_window(connection, charge, window, now)


def _over_window(
    connection: sa.Connection, charge: Charge, window: WindowLimit, now: datetime
) -> Iterator[Refusal]:
    since = stamp(now - timedelta(seconds=window.window_s))
    recent = _all(charges.c.effect_class == window.effect_class.value, charges.c.at > since)
    span = "hour" if window.window_s == timedelta(hours=1).total_seconds() else "day"
    for where, asked, place in _shares(charge, window):
        used = _used(connection, _all(recent, where))
        if used + asked > window.maximum:
            who = f"in the last {span}{place} by {_by_incidents(connection, _all(recent, where))}"
            yield _over(window.key, window.maximum, used, asked, who)


def _shares(charge: Charge, window: WindowLimit) -> Iterator[tuple[Condition, int, str]]:
    """What the limit counts together, how much of the charge falls into it, and its name in words."""
    here = charges.c.cluster == charge.cluster
    asked = totals(charge.changes).get(window.effect_class, 0)
    match window.scope:
        case Scope.ALL:
            yield sa.true(), asked, ""
        case Scope.SERVICE:
            yield charges.c.service == charge.service, asked, f" for service {charge.service or '(none)'}"
        case Scope.CLUSTER:
            yield here, asked, f" in cluster {charge.cluster or '(none)'}"
        case Scope.NAMESPACE:
            for name, share in by_namespace(charge.changes, window.effect_class).items():
                yield _all(here, _touches(name)), share, f" in namespace {name or '(none)'}"


def _touches(namespace: str) -> Condition:
    """Charges that a namespace must bear; what reaches every namespace counts for each."""
    if namespace == EVERY_NAMESPACE:
        return sa.true()
    return charges.c.namespace.in_([namespace, EVERY_NAMESPACE])


def busy(connection: sa.Connection, key: AttemptKey, charge: Charge, now: datetime) -> Busy | None:
    """Who holds a class of which only one may be at work; one's own unfinished attempts block nobody."""
    wanted = [effect for effect in charge.changes if effect.effect_class in charge.exclusive]
    held = _held_by_others(connection, key, charge.cluster, now) if wanted else []
    for effect in wanted:
        for row in held:
            if row.effect_class == effect.effect_class.value and _meet(row.namespace, effect.namespace):
                return Busy(effect.effect_class, effect.namespace, _named(row.runbook, row.incident_id))
    return None


def _held_by_others(connection: sa.Connection, key: AttemptKey, cluster: str, now: datetime) -> Sequence[Row]:
    """What attempts that are at work have charged, oldest first; looked for by them, for they are few."""
    at_work = _AT_WORK.all(connection, {"of": key.incident_id, "now": stamp(now)})
    charged = (_CHARGED.all(connection, {**row._asdict(), "in_cluster": cluster}) for row in at_work)
    return sorted(chain.from_iterable(charged), key=attrgetter("id"))


def _meet(one: str, other: str) -> bool:
    """Whether two effects are in one namespace; what reaches every namespace is in each."""
    return one == other or EVERY_NAMESPACE in (one, other)


def take(connection: sa.Connection, key: AttemptKey, charge: Charge, now: datetime) -> None:
    """Write the charge down."""
    rows = [
        {
            "incident_id": key.incident_id,
            "marker": key.marker,
            "effect_class": effect.effect_class.value,
            "target": effect.target,
            "count": effect.count,
            "at": stamp(now),
            "service": charge.service,
            "namespace": effect.namespace,
            "cluster": charge.cluster,
            "runbook": charge.runbook,
        }
        for effect in charge.changes
    ]
    _TAKE.run_many(connection, rows)


def _all(*conditions: Condition) -> Condition:
    return sa.and_(*conditions)


def _used(connection: sa.Connection, where: Condition) -> int:
    query = sa.select(sa.func.coalesce(sa.func.sum(charges.c.count), 0)).where(where)
    return int(connection.execute(query).scalar_one())


def _by_attempts(connection: sa.Connection, where: Condition) -> str:
    """`by this incident (step 1, attempt 1)`."""
    query = sa.select(charges.c.marker).where(where).distinct().order_by(charges.c.marker).limit(_NAMED + 1)
    markers = [row.marker for row in connection.execute(query)]
    words = ", ".join(map(_attempt_in_words, markers[:_NAMED])) + (", …" if len(markers) > _NAMED else "")
    return f"by this incident ({words})"


def _attempt_in_words(marker: str) -> str:
    section, step, number = marker.split("/")[-3:]
    place = "step" if section == "steps" else f"{section} step"
    return f"{place} {step}, attempt {number}"


def _by_incidents(connection: sa.Connection, where: Condition) -> str:
    """Who used most of it: `redis-timeout (inc-…: 2), cache-full (inc-…: 1)`."""
    used = sa.func.sum(charges.c.count).label("used")
    query = (
        sa.select(charges.c.runbook, charges.c.incident_id, used)
        .where(where)
        .group_by(charges.c.runbook, charges.c.incident_id)
        .order_by(used.desc(), charges.c.incident_id)
        .limit(_NAMED + 1)
    )
    rows = connection.execute(query).all()
    if len(rows) == 1:
        return _named(rows[0].runbook, rows[0].incident_id)
    named = [_named(row.runbook, f"{row.incident_id}: {row.used}") for row in rows[:_NAMED]]
    return ", ".join(named) + (" and others" if len(rows) > _NAMED else "")


def _named(runbook: str, incident: str) -> str:
    return f"{runbook} ({incident})" if runbook else f"incident {incident}"


def _over(name: str, maximum: int, used: int, asked: int, who: str) -> Refusal:
    """Limit, used and by whom, asked: what one needs to know at four in the morning."""
    spent = f"{used} used {who}, " if used else ""
    per_incident = name.startswith("max_")
    hint = "raise the limit in this runbook if the action is safe" if per_incident else _WINDOW_HINT
    return Refusal(
        f"{name} is {maximum}: {spent}this attempt asks for {asked}{' more' if used else ''}", hint
    )


_WINDOW_HINT = "it holds across incidents: look at what else is going on before you raise it"
