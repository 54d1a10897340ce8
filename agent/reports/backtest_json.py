"""The report of a backtest as JSON, and whether a later one is worse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from agent.reports.backtest import Backtest, Decision, Labelled, Outcome

FORMAT = 1
#: Of a comparison: name, words, whether more is better.
_MEASURES = (
    ("match_share", "pages that one runbook would have taken alone", True),
    ("precision", "of those taken alone, the right ones", True),
    ("wrong_share", "labelled pages for which a wrong runbook would have run", False),
    ("missed_share", "labelled pages whose runbook was not even offered", False),
)


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure before and now."""

    name: str
    words: str
    before: float
    now: float
    is_worse: bool


def as_json(report: Backtest) -> dict[str, object]:
    """Everything in the report, one entry for each page at the end; always in the same order."""
    return {
        "format": FORMAT,
        "incidents": report.total,
        "first": _time(report.first),
        "last": _time(report.last),
        "decisions": {decision.value: report.counts[decision] for decision in Decision},
        "measures": measures(report),
        "runbooks": [
            {
                "runbook": use.runbook,
                "count": use.count,
                "share": round(use.share, 4),
                "confidence": round(use.confidence, 4),
                "titles": list(use.titles),
            }
            for use in report.runbooks
        ],
        "ambiguous": [
            {"runbooks": list(doubt.runbooks), "count": doubt.count, "title": doubt.title}
            for doubt in report.doubts
        ],
        "write_next": [
            {
                "title": wanted.title,
                "count": wanted.count,
                "share": round(wanted.share, 4),
                "words": list(wanted.words),
                "services": dict(wanted.services),
                "nearest": wanted.nearest,
                "titles": list(wanted.titles),
            }
            for wanted in report.wanted
        ],
        "noise": [
            {
                "title": noise.title,
                "service": noise.service,
                "count": noise.count,
                "within_an_hour": noise.soon,
                "median_gap_s": noise.gap_s,
                "runbook": noise.runbook,
            }
            for noise in report.noise
        ],
        "by_hour_utc": [_named(counts) for counts in report.hours],
        "by_weekday_utc": [_named(counts) for counts in report.days],
        "confidence_tenths": list(report.confidences),
        "labels": _labels(report.labelled),
        "outcomes": [_outcome(outcome) for outcome in report.outcomes],
    }


def measures(report: Backtest) -> dict[str, float]:
    """The figures that a baseline is compared by; those of labels only where there are any."""
    found = {"match_share": report.share(Decision.MATCH), "ambiguous_share": report.share(Decision.AMBIGUOUS)}
    labelled = report.labelled
    if labelled is not None and labelled.count:
        found["wrong_share"] = labelled.wrong / labelled.count
        found["missed_share"] = (labelled.missed + labelled.offered_without) / labelled.count
        if labelled.precision is not None:
            found["precision"] = labelled.precision
    return {name: round(value, 6) for name, value in found.items()}


def compared(now: Backtest, before: Mapping[str, object], *, tolerance: float) -> tuple[Measure, ...]:
    """Each figure that both have; worse is what moved in the wrong direction by more than the tolerance."""
    old = before.get("measures")
    old = old if isinstance(old, Mapping) else {}
    new = measures(now)
    found = []
    for name, words, more_is_better in _MEASURES:
        was = old.get(name)
        if name not in new or isinstance(was, bool) or not isinstance(was, int | float):
            continue
        loss = was - new[name] if more_is_better else new[name] - was
        found.append(Measure(name, words, float(was), new[name], loss > tolerance + 1e-9))
    return tuple(found)


def _time(at: datetime | None) -> str | None:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at is not None else None


def _named(counts: Mapping[Decision, int]) -> dict[str, int]:
    return {decision.value: counts[decision] for decision in Decision}


def _labels(labelled: Labelled | None) -> dict[str, object] | None:
    if labelled is None:
        return None
    return {
        "count": labelled.count,
        "right_alone": labelled.right,
        "wrong_alone": labelled.wrong,
        "offered": labelled.offered,
        "offered_without_it": labelled.offered_without,
        "missed": labelled.missed,
        "rightly_none": labelled.rightly_none,
        "asked_for_none": labelled.asked_for_none,
        "mistakes": [
            {
                "title": each.title,
                "taken": each.taken,
                "meant": each.meant,
                "count": each.count,
                "confidence": round(each.confidence, 4),
                "ids": list(each.ids),
            }
            for each in labelled.mistakes
        ],
    }


def _outcome(outcome: Outcome) -> dict[str, object]:
    return {
        "id": outcome.past.id,
        "decision": outcome.decision.value,
        "choices": [[choice.runbook, round(choice.confidence, 4)] for choice in outcome.choices[:3]],
    }
