"""The post-mortem of one incident, for every face: what is kept, redacted, made into a document."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from agent.adapters.store import Store
from agent.config import Config
from agent.domain.advice import NoAdvice
from agent.domain.decision_event import GovernanceData
from agent.domain.evidence import EvidenceAsked
from agent.domain.incident import Incident
from agent.domain.postmortem import Case, Postmortem, Proof, Summary
from agent.domain.prose import ProseRequest
from agent.domain.queue import queue_id
from agent.domain.search import AuditAsked
from agent.ports import Writer
from agent.reports.postmortem import postmortem
from agent.reports.postmortem_facts import Facts, fingerprint
from agent.safety.redaction import Redactor

T = TypeVar("T")

#: What leads to an incident lies before it: a policy that was deployed, the first requests that failed.
LOOKS_BACK = timedelta(minutes=30)

_FOLDED_SHOWN = 100

#: What of the document a model is shown, beside the timeline.
_WRITTEN_FROM = (
    "title", "duration", "severity", "status", "causes", "impact", "went_well", "went_badly", "actions",
)  # fmt: skip
_MOMENTS_FOR_A_MODEL = 60


def case_of(store: Store, config: Config, incident: Incident) -> Case:
    """All that is kept of it."""
    attempts = store.attempts(incident.id)
    case = Case(
        incident=incident,
        timeline=store.timeline(incident.id),
        attempts=attempts,
        plan=store.plan(incident.id),
        item=store.queue_item(queue_id(incident.id)),
        folded=store.folded(incident.id, limit=_FOLDED_SHOWN),
        charged=store.charged(incident.id),
        pages_url=config.pages_url,
    )
    proofs = (*_of_chain(store, incident), *_of_run(incident, case))
    return replace(case, events=events_of(store, case), proofs=proofs)


def window_of(case: Case, now: datetime) -> tuple[datetime, datetime]:
    """The times that its evidence is from: from somewhat before it began until it was over."""
    facts = Facts(case)
    return facts.started_at - LOOKS_BACK, facts.ended_at or now


def evidence_of(store: Store, incident: Incident) -> EvidenceAsked:
    """All of one incident; decision events from the same times as its post-mortem's."""
    timeline, item = store.timeline(incident.id), store.queue_item(queue_id(incident.id))
    since, until = window_of(Case(incident, timeline, item=item), store.clock.now())
    return EvidenceAsked(since, until, incident.id)


def events_of(store: Store, case: Case) -> GovernanceData | None:
    """What an AI gateway decided meanwhile, if any of it is kept here."""
    since, until = window_of(case, store.clock.now())
    return store.governance(since, until)


def made_of(case: Case, redactor: Redactor) -> Postmortem:
    """The document, redacted: it goes where nobody asks who reads it."""
    return redacted(postmortem(case), redactor.text)


def postmortem_of(store: Store, config: Config, redactor: Redactor, incident: Incident) -> Postmortem:
    """The document of what is kept now; no model is asked."""
    return made_of(case_of(store, config, incident), redactor)


def with_prose(made: Postmortem, writer: Writer, redactor: Redactor) -> Postmortem:
    """With a summary that a model wrote; with the rules' own, and why, where it cannot be used."""
    said = writer.write(ProseRequest(_for_a_model(made)))
    if isinstance(said, NoAdvice):
        why = f"its answer could not be used: {said.detail or said.reason.replace('_', ' ')}"
        return replace(made, summary=Summary(made.summary.text, why_not=redactor.text(why)))
    return replace(made, summary=Summary(redactor.text(said.text), model=said.model))


def _for_a_model(made: Postmortem) -> str:
    """The facts that a summary is written from: no people, no output, no hashes."""
    shown = as_json(made)
    facts: dict[str, object] = {name: shown[name] for name in _WRITTEN_FROM}
    facts["timeline"] = [f"{each.at:%H:%M:%S} {each.text}" for each in made.timeline[:_MOMENTS_FOR_A_MODEL]]
    facts["summary by rules"] = made.summary.text
    events = made.events
    if events is not None:
        facts["requests decided"] = {
            "total": f"{events.total:,}",
            "blocked": f"{events.blocked:,}",
            "blocked share": f"{events.blocked_share:.0%}",
            "affected users": f"{events.users:,}",
            "affected teams": f"{events.teams:,}",
        }
    return json.dumps(facts, ensure_ascii=False, indent=1)


def redacted(value: T, clear: Callable[[str], str]) -> T:
    """The same with every text cleared; a hash is none."""
    return _cleared(value, clear)  # type: ignore[no-any-return]


def _cleared(value: Any, clear: Callable[[str], str]) -> Any:  # noqa: ANN401  (any field of the document)
    if isinstance(value, Proof):
        return value
    if isinstance(value, str):
        return clear(value)
    if isinstance(value, tuple):
        return tuple(_cleared(each, clear) for each in value)
    if isinstance(value, Mapping):
        return {name: _cleared(each, clear) for name, each in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        changed = {each.name: _cleared(getattr(value, each.name), clear) for each in fields(value)}
        kept = {"sha256": value.sha256} if "sha256" in changed else {}  # type: ignore[attr-defined]
        return replace(value, **(changed | kept))
    return value


def as_json(made: Postmortem) -> dict[str, Any]:
    """As the API and `--json` show it."""
    shown: dict[str, Any] = _plain(made)
    if made.events is not None:
        shares = {"blocked_share": made.events.blocked_share, "wrong_share": made.events.wrong_share}
        shown["events"] |= {name: round(share, 4) for name, share in shares.items()}
    shown["impact"] = dict(made.impact)
    shown["links"] = [{"text": text, "url": url} for text, url in made.links]
    return shown


def _plain(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, Mapping):
        return dict(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    return value


def _of_chain(store: Store, incident: Incident) -> list[Proof]:
    """Its entries in the audit chain: the last one's hash stands on all before it."""
    links = list(store.links_found(AuditAsked(incident=incident.id)))
    if not links:
        return []
    first, last = links[0], links[-1]
    whole = hashlib.sha256(json.dumps(links, ensure_ascii=False, sort_keys=True).encode()).hexdigest()
    return [
        Proof(f"Audit log, entry {first['seq']} (the first of this incident)", str(first["hash"])),
        Proof(f"Audit log, entry {last['seq']} (the last of this incident)", str(last["hash"])),
        Proof(f"All {len(links)} entries of this incident, as JSON", whole),
    ]


def _of_run(incident: Incident, case: Case) -> list[Proof]:
    found = []
    if incident.runbook_revision:
        found.append(Proof(f"Runbook {incident.runbook_id}, the file", incident.runbook_revision))
    if case.plan is not None:
        found.append(Proof("The plan that was run", case.plan.plan_hash))
    for each in case.attempts:
        kind = {"steps": "step", "verify": "verify step"}.get(each.section.value, "rollback step")
        what = f"Output of {kind} {each.step}, attempt {each.number}"
        found.append(Proof(what, fingerprint(each)))
    return found
