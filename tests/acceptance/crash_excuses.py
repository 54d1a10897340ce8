"""Boundaries that the crash matrix does not die at, each with its reason; a new one must have one too."""

from __future__ import annotations

from agent.ports import Counter
from tests.acceptance.crash_points import methods_of

_SAME = "only asks the live world, like `counter.workload_pods`"
_ASKS = "only asks; asked again by whoever wants to know"
_SIGNED_IN = "who is signed in at the console: nothing of an incident, and one transaction"
_PERSON = "who may sign in: one transaction, and whoever asked sees whether it was done"
_ONCE = "a human's word, in one transaction together with what it tells"

#: Outside of the way of an incident or an escalation.
EXCUSED: dict[str, str] = {
    "store.open_manual": "`oncall-agent run` by hand, not the daemon",
    "store.put_stop": "a human's stop is written by the command line's process, in one transaction",
    "store.put_stop_aside": "the same while a process holds the database: a file that is there or not",
    "store.lift_stop": "a human's word too",
    "store.give_level": _ONCE,
    "store.put_last": "a note that failed eight times, minutes later (`tests/unit/delivery`)",
    "store.begin_run": "the watchdog's, for a run that nobody is found at",
    "store.seen_at_work": "a sign of life, written again every few seconds",
    "store.keep_known": "a sign of life, or that an alarm was raised; written again",
    "store.forget_known": "that an alarm is over; written again",
    "store.forget_executors": "forgets replicas that are long gone; done again every time",
    "store.end_work": "an orderly end; a kill is none",
    "store.take_from": "replicas: `tests/integration/replicas`, with real processes",
    "store.forget_probe": "what no runbook watches any more; done again at the next look",
    "store.keep_events": "what Keeptrusts decided, as evidence: each is known by its id, and taken in again",
    "store.drop_events": "evidence that is old; done again every time",
    "store.begin_sign_in": _SIGNED_IN,
    "store.sign_in_worked": _SIGNED_IN,
    "store.open_session": _SIGNED_IN,
    "store.session_seen": _SIGNED_IN,
    "store.end_session": _SIGNED_IN,
    "store.keep_sign_in_start": _SIGNED_IN,
    "store.take_sign_in_start": _SIGNED_IN,
    "store.shut_everybody_out": _SIGNED_IN,
    "store.token_used": _SIGNED_IN,
    "store.keep_password": _PERSON,
    "store.rehashed": _PERSON,
    "store.keep_token": _PERSON,
    "store.revoke_token": _PERSON,
    "store.forget_person": _PERSON,
    "writer.write": "a post-mortem's words, for a human who asked; nothing is kept until they say so",
    "cluster.denied": _ASKS,
    "pending.pending": _ASKS,
} | {f"counter.{name}": _SAME for name in methods_of(Counter) if name != "workload_pods"}

#: Where a transaction is opened that is no method of the store.
ELSEWHERE: dict[str, str] = {
    "agent/adapters/database.py": "its own tables are brought up to date before anything begins",
    "agent/adapters/stored_run.py": "the boundary `run.remembers`",
    "agent/adapters/store_retention.py": "archiving: `tests/integration/retention` dies at each of its steps",
    "agent/adapters/archive_lookup.py": "a store of its own, for one look at an archive",
}

#: Ports that reach nobody: they read what was sent, tell the time, or are the durable run itself.
NOT_OUTSIDE = frozenset({"AlertSource", "Clock", "Run"})
