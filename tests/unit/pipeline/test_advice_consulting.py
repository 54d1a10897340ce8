"""What the advisor is shown, and what of its answer counts."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.adapters.fake_advisor import FakeAdvisor
from agent.domain.advice import Advice, AdviceRequest, NoAdvice, NoAdviceReason, Usage, checked
from agent.domain.alert import Alert, Severity
from agent.domain.decisions import Candidate
from agent.library import Parsed, parse
from agent.library.bindings import why_not_allowed
from agent.pipeline import advice
from agent.pipeline.advice import Consulted, Parts, consult
from agent.pipeline.advice_texts import alert_text, plain
from agent.safety.redaction import Redactor

SECRET = "xoxb-canary-000000000000"
ALERT = Alert("pagerduty", "P1", "Redis is slow", body="pod cache-7 in eu", severity=Severity.CRITICAL)

TEXT = """# Runbook: {title}

## Trigger Conditions
- Alert contains: "redis"

## Blast Radius
- max_cache_operations: 1

## Parameters
- pod: label "pod"; pattern /^[a-z0-9-]+$/
- region: one of eu, us; default eu
- zone: one of a, b
- slot: captured; pattern /^[0-9]+$/

## Steps

### Step 1: Look
```bash
kubectl get pod {{{{ pod }}}} -n {{{{ zone }}}} --context {{{{ region }}}}
```
Capture: slot from /([0-9]+)/
"""


def runbook(name, *, title=""):
    parsed = parse(TEXT.format(title=title or name), path=f"{name}.md")
    assert isinstance(parsed, Parsed), parsed
    return parsed.runbook


RUNBOOKS = {name: runbook(name) for name in ("flush", "restart", "scale")}
RANKED = (Candidate("flush", 0.75, ("words",)), Candidate("restart", 0.2), Candidate("scale", 0.05))


def asking(*answers, secrets=(SECRET,), **limits):
    advisor = FakeAdvisor(*answers, why_not_allowed=why_not_allowed)
    return advisor, Parts(advisor, Redactor(list(secrets)), **limits)


def shown(*, alert=ALERT, runbooks=RUNBOOKS, ranked=RANKED, **limits):
    advisor, parts = asking(**limits)
    consult(parts, ranked, runbooks, alert)
    return advisor.asked[0]


def test_the_advisor_sees_opaque_ids_and_no_runbook_ids():
    request = shown()
    assert [each.id for each in request.candidates] == ["c1", "c2", "c3"]
    assert [each.title for each in request.candidates] == ["flush", "restart", "scale"]


def test_no_more_than_the_configured_number_is_offered():
    assert len(shown(max_candidates=2).candidates) == 2


def test_only_parameters_without_any_value_are_asked_for():
    assert [each.name for each in shown().candidates[0].wanted] == ["pod", "zone"]
    assert [each.name for each in shown(alert=replace(ALERT, labels={"pod": "x"})).candidates[0].wanted] == [
        "zone"
    ]


def test_every_text_is_redacted_before_it_is_shown():
    alert = replace(
        ALERT,
        title=f"a {SECRET}",
        body=f"password={SECRET}",
        service=SECRET,
        labels={SECRET: SECRET, "token": "abc"},
    )
    runbooks = {**RUNBOOKS, "flush": replace(RUNBOOKS["flush"], title=SECRET, text=f"key {SECRET}")}
    request = shown(alert=alert, runbooks=runbooks, ranked=(Candidate("flush", 0.5, (SECRET,)), RANKED[1]))
    assert SECRET not in repr(request)
    assert "abc" not in request.alert


def test_a_secret_that_a_cut_would_halve_is_not_half_shown():
    body = "x" * (8_000 - 10) + SECRET
    assert "xoxb-" not in shown(alert=replace(ALERT, body=body)).alert


def test_a_megabyte_costs_no_more_than_what_is_kept_of_it():
    alert = replace(ALERT, title="t" * 1_000_000, labels={f"l{at}": "v" * 10_000 for at in range(200)})
    assert len(shown(alert=alert).alert) < 60_000


def test_a_cut_text_says_so():
    assert plain("abcdefghij", 8) == "abcd […]"


@given(st.text(), st.integers(10, 50))
def test_what_cannot_be_seen_is_marked_and_lengths_hold(text, limit):
    kept = plain(text, limit)
    assert len(kept) <= limit
    assert not any(char in kept for char in "\u202e\u200b\u2028\x00\ud800\u2066")


@given(st.text(), st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=3))
def test_the_alert_is_json_whatever_it_says(title, labels):
    told = json.loads(alert_text(Alert("s", "1", title, labels=labels)))
    assert told.get("title", "") == plain(title, 1_000)


def test_without_an_advisor_nothing_changes():
    assert consult(Parts(None, Redactor([])), RANKED, RUNBOOKS, ALERT) == Consulted(RANKED)


def test_one_candidate_that_lacks_no_value_is_not_asked_about():
    advisor, parts = asking()
    alert = replace(ALERT, labels={"pod": "x"})
    full = replace(RUNBOOKS["flush"], parameters=RUNBOOKS["flush"].parameters[:2])
    assert consult(parts, RANKED[:1], {"flush": full}, alert) == Consulted(RANKED[:1])
    assert advisor.asked == []


def test_no_candidates_are_not_asked_about():
    advisor, parts = asking()
    assert consult(parts, (), RUNBOOKS, ALERT).candidates == ()
    assert advisor.asked == []


def test_one_candidate_is_asked_about_for_its_values():
    _, parts = asking(Advice("c1", 0.9, "pod is named", {"pod": "cache-7", "zone": "a"}))
    consulted = consult(parts, (Candidate("flush", 1.0),), RUNBOOKS, ALERT)
    assert (consulted.chosen, consulted.parameters) == ("flush", {"pod": "cache-7", "zone": "a"})
    assert consulted.candidates[0].confidence > 0.99


def test_a_choice_is_weighed_and_told_with_its_reason():
    _, parts = asking(Advice("c1", 0.95, "memory is full", usage=Usage(400, 40, 0.0006, 1.25)))
    consulted = consult(parts, RANKED, RUNBOOKS, ALERT)
    best = consulted.candidates[0]
    assert (best.runbook_id, consulted.chosen) == ("flush", "flush")
    assert 0.8 <= best.confidence <= 0.85
    assert best.reasons == ("words", "the advisor chose it (0.95): memory is full")
    assert advice.in_words(consulted) == (
        "The advisor says flush (0.95): memory is full [400 + 40 tokens, $0.0006, 1.2 s]"
    )
    assert advice.data_of(consulted) == {
        "outcome": "advice", "chosen": "flush", "confidence": 0.95, "reason": "memory is full",
        "parameters": {},
        "input_tokens": 400, "output_tokens": 40, "cost_usd": 0.0006, "latency_s": 1.25,
    }  # fmt: skip


def test_none_of_them_lowers_all():
    _, parts = asking(Advice("", 0.9, "another system"))
    consulted = consult(parts, RANKED, RUNBOOKS, ALERT)
    assert consulted.chosen == ""
    assert max(each.confidence for each in consulted.candidates) < 0.2
    assert "none of the candidates" in advice.in_words(consulted)


def test_a_choice_of_the_last_one_puts_the_order_anew():
    _, parts = asking(Advice("c2", 1.0, "it says restart"), max_raise=1.0)
    consulted = consult(parts, RANKED, RUNBOOKS, ALERT)
    assert consulted.candidates[0].runbook_id == "restart"


@given(st.sampled_from(list(NoAdviceReason)), st.lists(st.floats(0, 1), max_size=5))
def test_no_advice_changes_nothing(reason, confidences):
    before = Consulted(tuple(Candidate(f"r{at}", each) for at, each in enumerate(confidences)))
    after = advice.applied(before, NoAdvice(reason), max_raise=1.0, redactor=Redactor([]))
    assert after == replace(before, answer=NoAdvice(reason))
    assert advice.in_words(after).startswith(f"No advice ({reason.value}")
    assert advice.data_of(after)["outcome"] == reason.value


def test_nobody_asked_is_nothing_to_tell():
    assert advice.in_words(Consulted(RANKED)) == ""
    assert advice.data_of(Consulted(RANKED)) == {}


class Liar:
    """An advisor that breaks its port's promise."""

    def __init__(self, answer):
        self._answer = answer

    def advise(self, request):
        return self._answer


BROKEN = [
    (Advice("c4", 0.9), NoAdviceReason.NOT_OFFERED),
    (Advice("flush", 0.9), NoAdviceReason.NOT_OFFERED),
    (Advice("c1 ", 0.9), NoAdviceReason.NOT_OFFERED),
    (Advice("c1", 1.01), NoAdviceReason.OUT_OF_RANGE),
    (Advice("c1", -0.01), NoAdviceReason.OUT_OF_RANGE),
    (Advice("c1", float("nan")), NoAdviceReason.OUT_OF_RANGE),
    (Advice("c1", float("inf")), NoAdviceReason.OUT_OF_RANGE),
    (Advice("c1", 0.9, parameters={"command": "x"}), NoAdviceReason.EXTRA_PARAMETER),
    (Advice("c1", 0.9, parameters={"region": "us"}), NoAdviceReason.EXTRA_PARAMETER),
    (Advice("c1", 0.9, parameters={"slot": "1"}), NoAdviceReason.EXTRA_PARAMETER),
    (Advice("", 0.9, parameters={"pod": "x"}), NoAdviceReason.EXTRA_PARAMETER),
    (Advice("c1", 0.9, parameters={"pod": "x; rm -rf /"}), NoAdviceReason.BAD_PARAMETER),
    (Advice("c1", 0.9, parameters={"pod": "x\n"}), NoAdviceReason.BAD_PARAMETER),
    (Advice("c1", 0.9, parameters={"pod": ""}), NoAdviceReason.BAD_PARAMETER),
    (Advice("c1", 0.9, parameters={"pod": "-o"}), NoAdviceReason.BAD_PARAMETER),
    (Advice("c1", 0.9, parameters={"zone": "c"}), NoAdviceReason.BAD_PARAMETER),
    (Advice("c1", 0.9, parameters={"pod": "ok", "zone": "a b"}), NoAdviceReason.BAD_PARAMETER),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "reason"), BROKEN)
def test_what_an_advisor_may_not_say_counts_for_nothing(answer, reason):
    consulted = consult(Parts(Liar(answer), Redactor([])), RANKED, RUNBOOKS, ALERT)
    assert isinstance(consulted.answer, NoAdvice)
    assert consulted.answer.reason is reason
    assert (consulted.candidates, consulted.chosen, consulted.parameters) == (RANKED, "", {})


@given(
    st.one_of(st.sampled_from(["", "c1", "c2", "c3", "c4", "flush"]), st.text(max_size=4)),
    st.floats(),
    st.dictionaries(
        st.sampled_from(["pod", "zone", "region", "slot", "command"]),
        st.one_of(st.sampled_from(["a", "b", "cache-7"]), st.text(max_size=6)),
        max_size=3,
    ),
)
def test_nothing_is_ever_chosen_that_was_not_offered_nor_filled_that_is_not_declared(
    candidate, confidence, values
):
    said = Advice(candidate, confidence, parameters=values)
    parts = Parts(Liar(said), Redactor([]), max_candidates=2, max_raise=0.1)
    consulted = consult(parts, RANKED, RUNBOOKS, ALERT)
    assert consulted.chosen in {"", "flush", "restart"}
    declared = {each.name: each for each in RUNBOOKS["flush"].parameters}
    assert consulted.parameters.keys() <= {"pod", "zone"}
    assert all(not why_not_allowed(declared[name], value) for name, value in consulted.parameters.items())
    before = {each.runbook_id: each.confidence for each in RANKED}
    for each in consulted.candidates:
        assert each.confidence <= before[each.runbook_id] + (
            0.1 if each.runbook_id == consulted.chosen else 0
        )


def test_a_reason_is_one_printable_line_without_secrets():
    _, parts = asking(Advice("c1", 0.9, f"a\n\x1b[31m{SECRET}\u202e " + "z" * 10_000))
    answer = consult(parts, RANKED, RUNBOOKS, ALERT).answer
    assert isinstance(answer, Advice)
    assert answer.reason.startswith("a [31m***")
    assert answer.reason.isprintable()
    assert len(answer.reason) <= 300


def test_an_answer_by_a_name_that_is_none_of_ours_changes_nothing():
    after = advice.applied(Consulted(RANKED), Advice("cX", 1.0), max_raise=1.0, redactor=Redactor([]))
    assert after.candidates == RANKED


def test_checking_keeps_a_good_answer_as_it_is():
    request = AdviceRequest((shown().candidates[0],), "{}")
    good = Advice("c1", 1.0, "because", {"zone": "b"})
    assert checked(request, good, why_not_allowed) == good
