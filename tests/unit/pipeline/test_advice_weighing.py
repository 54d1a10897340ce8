"""The laws by which an advisor's word is weighed."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.pipeline.advice import reweighed

sure = st.floats(0, 1)


@st.composite
def shares(draw):
    """Confidences of candidates, best first: together never more than 1."""
    raw = draw(st.lists(st.floats(0, 1), min_size=1, max_size=6))
    whole = max(1.0, sum(raw))
    return sorted((each / whole for each in raw), reverse=True)


@st.composite
def weighings(draw):
    before = draw(shares())
    chosen = draw(st.one_of(st.none(), st.integers(0, len(before) - 1)))
    return before, chosen, draw(sure), draw(sure)


@given(weighings())
def test_nothing_but_the_chosen_one_is_ever_raised(weighing):
    before, chosen, stated, max_raise = weighing
    after = reweighed(before, chosen, stated, max_raise=max_raise)
    assert all(new <= old for at, (old, new) in enumerate(zip(before, after, strict=True)) if at != chosen)


@given(weighings())
def test_the_chosen_one_is_never_raised_by_more_than_is_configured(weighing):
    before, chosen, stated, max_raise = weighing
    after = reweighed(before, chosen, stated, max_raise=max_raise)
    if chosen is not None:
        assert after[chosen] <= before[chosen] + max_raise


@given(weighings())
def test_confidences_stay_probabilities_that_sum_to_at_most_one(weighing):
    before, chosen, stated, max_raise = weighing
    after = reweighed(before, chosen, stated, max_raise=max_raise)
    assert all(0 <= each <= 1 for each in after)
    assert sum(after) <= 1 + 1e-9


@given(shares(), sure, sure, sure)
def test_a_surer_choice_never_leaves_the_chosen_one_less_likely(before, one, other, max_raise):
    low, high = sorted((one, other))
    less = reweighed(before, 0, low, max_raise=max_raise)[0]
    assert less <= reweighed(before, 0, high, max_raise=max_raise)[0] + 1e-12


@given(shares(), sure, sure)
def test_a_choice_against_the_best_one_always_leaves_it_to_a_human(before, stated, max_raise):
    after = reweighed(before, len(before) - 1, stated, max_raise=max_raise)
    assert all(each <= 0.5 for each in after[:-1])


@given(shares(), sure)
def test_none_of_them_always_leaves_it_to_a_human(before, stated):
    assert max(reweighed(before, None, stated, max_raise=1.0)) <= 0.5


@given(shares(), sure)
def test_without_leave_to_raise_nothing_is_raised(before, stated):
    after = reweighed(before, 0, stated, max_raise=0.0)
    assert all(new <= old for old, new in zip(before, after, strict=True))


def test_a_sure_choice_takes_a_close_lead_over_the_threshold():
    assert reweighed([0.75, 0.2], 0, 0.95, max_raise=0.1)[0] >= 0.8


def test_an_unsure_choice_takes_a_lead_below_it():
    assert reweighed([0.85, 0.1], 0, 0.4, max_raise=0.1)[0] < 0.8


@pytest.mark.parametrize("own", [0.0, 1.0])
def test_certainties_of_the_machine_break_nothing(own):
    assert all(math.isfinite(each) for each in reweighed([own, 0.0], 0, 1.0, max_raise=1.0))
