"""Where a process can die so that it matters: every write of the store, every word with a vendor, and more.

The list is made from the code: a method of the store that opens a transaction and a method of a vendor's port
are boundaries as soon as they exist. What lies outside of an incident's way is excused by name.
"""

from __future__ import annotations

import dis
import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import CodeType
from typing import Any

import waitress.channel

import agent.adapters.sandbox.attempt
import agent.wiring
from agent.adapters.anthropic_advisor import AnthropicAdvisor
from agent.adapters.anthropic_writer import AnthropicWriter
from agent.adapters.audit_log import AuditLog
from agent.adapters.handoff_http import HandoffHttp
from agent.adapters.jira_tracker import JiraTracker
from agent.adapters.keeptrusts_api import KeeptrustsApi
from agent.adapters.keeptrusts_gateways import KeeptrustsGateways
from agent.adapters.kubernetes.preflight import KubernetesPreflight
from agent.adapters.live_actions import LiveActions
from agent.adapters.live_counter import LiveCounter
from agent.adapters.pagerduty_events import PagerDutyEvents
from agent.adapters.pagerduty_rest import PagerDutyDesk
from agent.adapters.prometheus import Prometheus
from agent.adapters.sandbox.runner import LauncherSandbox
from agent.adapters.slack import SlackChat
from agent.adapters.slack_notices import SlackNotices
from agent.adapters.smtp_mail import SmtpMail
from agent.adapters.store import Store
from agent.adapters.stored_run import StoredRun
from agent.adapters.webhook_out import WebhookOut
from agent.durable import Durable
from agent.ports import (
    Actions,
    Advisor,
    Chat,
    Cluster,
    Counter,
    IncidentDesk,
    Metrics,
    Notifier,
    Pager,
    PendingEscalations,
    Sandbox,
    Writer,
)
from agent.ports.bypasses import Configurations
from agent.ports.handoffs import OtherAgent
from agent.ports.keeptrusts import Keeptrusts
from agent.ports.tracker import Tracker


def _no_tag(*_: Any, **__: Any) -> str:
    return ""


def _always(_: Any) -> bool:
    return True


@dataclass(frozen=True)
class Boundary:
    """`tag` tells the calls of one method apart, None: not this one; `encloses`: others lie inside of it.

    `happened`: whether the call did anything, by what it gave back.
    """

    tag: Callable[..., str | None] = _no_tag
    encloses: bool = False
    happened: Callable[[Any], bool] = _always


@dataclass(frozen=True)
class Wrapped:
    """One method that is a boundary, and where it is found."""

    name: str
    owner: Any
    method: str
    boundary: Boundary = field(default_factory=Boundary)


#: Each port of the outside world, and the adapter that the daemon uses.
PORTS: dict[str, tuple[type, type]] = {
    "desk": (IncidentDesk, PagerDutyDesk),
    "pager": (Pager, PagerDutyEvents),
    "chat": (Chat, SlackChat),
    "sandbox": (Sandbox, LauncherSandbox),
    "actions": (Actions, LiveActions),
    "counter": (Counter, LiveCounter),
    "advisor": (Advisor, AnthropicAdvisor),
    "writer": (Writer, AnthropicWriter),
    "cluster": (Cluster, KubernetesPreflight),
    "tracker": (Tracker, JiraTracker),
    "keeptrusts": (Keeptrusts, KeeptrustsApi),
    "gateways": (Configurations, KeeptrustsGateways),
    "pending": (PendingEscalations, KeeptrustsApi),
    "mail": (Notifier, SmtpMail),
    "notices": (Notifier, SlackNotices),
    "hooks": (Notifier, WebhookOut),
    "agents": (OtherAgent, HandoffHttp),
    "metrics": (Metrics, Prometheus),
}

#: Keys of entries that end in an id of their own; all others tell apart what happens.
_OF_ITS_OWN = re.compile(
    r"^(paged|page-failed|page-cleared|page-left-open|undeliverable|taken-over|withdrawn|kept-resolved)-.*"
    r"|^(told|handed|answered|answer-waits|not-told|not-handed|not-answered|ticket-waits)-\d+$"
    r"|^(stop)-\d+-[0-9a-f]+$"
)

_LATER_LOOK = re.compile(r"^(verify-\d+-attempt)-(?!1$)\d+$")

#: Kinds of letters by their id, as they were last handed out.
_letters: dict[int, str] = {}


def _entry_key(_: Any, incident_id: str, entries: Any, **__: Any) -> str:
    key = _LATER_LOOK.sub(r"\1-later", entries[0].key) if entries else "changes"
    found = _OF_ITS_OWN.match(key)
    return f"[{next(filter(None, found.groups())) if found else key}]"


def _letter_kind(_: Any, letter_ids: Any, **__: Any) -> str:
    kinds = {_letters.get(each, "?") for each in letter_ids}
    return f"[{kinds.pop()}]" if len(kinds) == 1 else "[ChatLine]"


def _attempt(_: Any, key: Any, *__: Any, **___: Any) -> str:
    return _of_attempt(key.section.value, str(key.step), str(key.number))


def _of_attempt(section: str, step: str, number: str) -> str:
    """All looks of a verification but the first are one boundary."""
    shown = "later" if section == "verify" and number != "1" else number
    return f"[{section} {step}.{shown}]"


def _action(_: Any, source_id: str, action: str, *__: Any) -> str:
    return f"[{action}]"


def _outcome(_: Any, delivery_id: str, outcome: str) -> str:
    return f"[{outcome}]"


def _events(_: Any, webhooks: Any, **__: Any) -> str:
    return f"[{webhooks[0][0].type.value}]"


def _marker(*_: Any, marker: str, **__: Any) -> str:
    return _of_attempt(*marker.split("/")[-3:])


def _topic(_: Any, __: str, topic: str = "", *___: Any, **____: Any) -> str:
    return f"[{topic}]" if isinstance(topic, str) and topic else ""


def _parked(_: Any, leg: Any, topic: str = "", **__: Any) -> str:
    return f"[{topic}]" if topic else ""


def _action_name(_: Any, action: Any, **__: Any) -> str:
    return f"[{action.name}]"


def _change(_: Any, before: Any, after: Any, entry: Any, *__: Any, **___: Any) -> str:
    return f"[{entry.data.get('deed', '?')}]"


def _posted(_: Any, path: str, *__: Any, **___: Any) -> str:
    return "[answer]" if path else "[package]"


def _broadcast(*_: Any, broadcast: bool = False, **__: Any) -> str:
    return "[summary]" if broadcast else "[lines]"


def _some(value: Any) -> bool:
    return bool(value)


_BOUNDARIES: dict[str, Boundary] = {
    "store.accept_all": Boundary(_events),
    "store.record": Boundary(_entry_key, happened=_some),
    "store.record_soon": Boundary(_entry_key),
    "store.begin_delivery": Boundary(_letter_kind),
    "store.delivered": Boundary(_letter_kind),
    "store.postpone": Boundary(_letter_kind),
    "store.undeliverable": Boundary(_letter_kind),
    "store.begin_attempt": Boundary(_attempt),
    "store.end_attempt": Boundary(_attempt),
    "store.refuse_attempt": Boundary(_attempt),
    "store.begin_own_write": Boundary(_action),
    "store.end_own_write": Boundary(_action),
    "store.event_handled": Boundary(_outcome),
    "store.park": Boundary(_parked),
    "store.wake": Boundary(_topic),
    "chat.post_lines": Boundary(_broadcast),
    "sandbox.run": Boundary(_marker, encloses=True),
    "actions.run": Boundary(_action_name, encloses=True),
    "audit.append": Boundary(happened=_some),
    "store.queue_change": Boundary(_change, happened=_some),
    **{
        f"store.{name}": Boundary(happened=_some)
        for name in ("answer_handed_in", "bypass_ended", "bypass_failed", "ticket_closed", "ticket_reopened")
    },
    "agents.post": Boundary(_posted),
}


def boundaries() -> Iterator[Wrapped]:
    """Every boundary of the running code."""
    for method in store_writes():
        name = f"store.{method}"
        yield Wrapped(name, Store, method, _BOUNDARIES.get(name, Boundary()))
    for port, (protocol, adapter) in PORTS.items():
        for method in methods_of(protocol):
            name = f"{port}.{method}"
            yield Wrapped(name, adapter, method, _BOUNDARIES.get(name, Boundary()))
    yield Wrapped("audit.append", AuditLog, "catch_up", _BOUNDARIES["audit.append"])
    yield Wrapped("web.answered", waitress.channel.HTTPChannel, "send", Boundary(_answer))
    yield Wrapped("sandbox.handed_over", agent.adapters.sandbox.attempt, "send", Boundary(_request))
    yield Wrapped("run.remembers", StoredRun, "_write")
    yield Wrapped("run.leg", agent.wiring, "handle", Boundary(encloses=True))
    yield Wrapped("engine.carry_on", Durable, "carry_on", Boundary(encloses=True))


def _answer(_: Any, data: bytes, *__: Any, **___: Any) -> str | None:
    return "[202]" if bytes(data[:12]) == b"HTTP/1.1 202" else None


def _request(_: Any, request: Any) -> str | None:
    """The walls are tried with requests too; those of a step carry its marker."""
    for chained in request.chain:
        for spawn in chained.spawns:
            marker = dict(spawn.environment).get("ONCALL_AGENT_ATTEMPT", "")
            if marker.count("/") >= 3:
                return _marker(marker=marker)
    return None


def remember_kinds() -> None:
    """Letters are marked by their ids alone; what they are is told when they are handed out."""
    handed_out = Store.next_letters

    def next_letters(self: Store, *args: Any, **kwargs: Any) -> Any:
        letters = handed_out(self, *args, **kwargs)
        _letters.update({letter.id: type(letter.message).__name__ for letter in letters})
        return letters

    Store.next_letters = next_letters  # type: ignore[method-assign]


def methods_of(protocol: type) -> list[str]:
    """What a port can be asked to do."""
    found = vars(protocol).items()
    return [name for name, value in found if inspect.isfunction(value) and not name.startswith("_")]


#: What opens a transaction that writes.
_TRANSACTIONS = frozenset({"writing", "chaining"})


@cache
def store_writes() -> tuple[str, ...]:
    """Public methods of the store that open a transaction, themselves or by another method of it."""
    uses = {name: _uses(method) for name, method in inspect.getmembers(Store, inspect.isfunction)}
    writing = {name for name, used in uses.items() if used & _TRANSACTIONS}
    while grown := {name for name, used in uses.items() if used & writing} - writing:
        writing |= grown
    return tuple(sorted(name for name in writing if not name.startswith("_")))


def _uses(method: Callable[..., Any]) -> set[str]:
    """Names of what a method calls on itself, and of the transactions that it opens."""
    return set(_named_in(inspect.unwrap(method).__code__))


def _named_in(code: CodeType) -> Iterator[str]:
    before = ""
    for each in dis.get_instructions(code):
        name = str(each.argval)
        if each.opname in {"LOAD_ATTR", "LOAD_METHOD"} and (before == "self" or name in _TRANSACTIONS):
            yield name
        before = name
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _named_in(inner)


def boundary_of(point: str) -> str:
    """`store.record[match]:after` → `store.record`."""
    return re.split(r"[\[:]", point)[0]


def new_points(ways: Sequence[tuple[str, Sequence[str]]]) -> list[tuple[str, str]]:
    """(scenario, point), each in the scenario that reaches it first.

    After every call, told apart by its tag; before it once for each method: what stands between one write and
    the next is the same seen from both.
    """
    seen: set[str] = set()
    found = []
    for scenario, points in ways:
        for point in points:
            side = point.rpartition(":")[2]
            known_as = point if side == "after" else f"{boundary_of(point)}:before"
            if known_as not in seen:
                seen.add(known_as)
                found.append((scenario, point))
    return found
