"""The figures as Markdown, and their place in the page about matching."""

from __future__ import annotations

from collections.abc import Mapping

from bench.matching.measures import Results, at_threshold, auc, ece, reliability, risk_by_coverage

ALL = "all fields"
UNNAMED = "without the alert's name"
NO_RULES = "all fields, no alert rules"
#: Of the corpora's own README: BM25 over the Markdown, file names weighted 5.
BASELINE = {
    "all pairs": (0.58, 0.69),
    "specific targets": (0.76, 0.86),
    "without the alert's name": (0.54, 0.66),
}
BASELINE_AUC = 0.84
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
OPERATING = 0.8
BEGIN, END = "<!-- figures: written by python -m bench.matching --docs -->", "<!-- end of figures -->"

risk = risk_by_coverage


def calibration(found: Results) -> list[tuple[float, float]]:
    return [(said, came) for _, said, came, _ in reliability(found)]


def page(found: Mapping[str, Results]) -> str:
    """Everything between the marks."""
    parts = [BEGIN, "", overview(found), "", thresholds(found), "", by_corpus(found)]
    parts += ["", "![risk by coverage](images/matching-risk.svg)", ""]
    parts += ["![calibration](images/matching-calibration.svg)", "", END]
    return "\n".join(parts)


def put_into(text: str, figures: str) -> str:
    before, _, rest = text.partition(BEGIN)
    return before + figures + rest.partition(END)[2]


def overview(found: Mapping[str, Results]) -> str:
    rows = []
    for name, each in found.items():
        for word, part in (("specific targets", each.specific), ("all pairs", ~each.negative)):
            of = each.part(part)
            rows.append([name, word, str(len(of.rank)), _per(of.top(1)), _per(of.top(3)), f"{of.mrr:.3f}"])
    rows += [
        ["BM25 baseline", word, "", f"{top_1:.0%}", f"{top_3:.0%}", ""]
        for word, (top_1, top_3) in BASELINE.items()
    ]
    ranks = _table(["asked with", "of", "alerts", "top-1", "top-3", "MRR"], rows)
    sure = [[name, f"{auc(each):.3f}", f"{ece(each):.3f}"] for name, each in found.items()]
    sure.append(["BM25 baseline, raw score, pairs against negatives", f"{BASELINE_AUC}", ""])
    return ranks + "\n\n" + _table(["asked with", "AUC, right against wrong", "ECE"], sure)


def thresholds(found: Mapping[str, Results]) -> str:
    rows = []
    for name, each in found.items():
        for least in THRESHOLDS:
            told = at_threshold(each, least)
            mark = "**" if least == OPERATING else ""
            cells = [f"{least:.2f}", *(_per(told[key]) for key in told)]
            rows.append([name, *(f"{mark}{cell}{mark}" for cell in cells)])
    heads = ["asked with", "alone from", "pairs matched alone", "of these right", "negatives with a runbook"]
    return _table(heads, rows)


def by_corpus(found: Mapping[str, Results]) -> str:
    rows = []
    for corpus in sorted(set(found[ALL].corpus.tolist())):
        cells = [corpus]
        for each in (found[ALL], found[UNNAMED]):
            of = each.part((each.corpus == corpus) & ~each.negative)
            told = [_per(of.top(1)), _per(of.top(3)), f"{of.mrr:.3f}"] if len(of.rank) else [""] * 3
            cells += [str(len(of.rank)), *told] if each is found[ALL] else told
        rows.append(cells)
    heads = ["corpus", "pairs", "top-1", "top-3", "MRR", "nameless top-1", "top-3", "MRR"]
    return _table(heads, rows)


def _per(value: float) -> str:
    return f"{value:.1%}"


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
