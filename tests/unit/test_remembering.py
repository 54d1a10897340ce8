"""What is worked out once of each value."""

from __future__ import annotations

from collections.abc import Callable

from agent.domain.remembering import once_each


def counting(most: int) -> tuple[Callable[[list[int]], int], list[list[int]]]:
    asked: list[list[int]] = []

    @once_each(most=most)
    def total(of: list[int]) -> int:
        asked.append(of)
        return sum(of)

    return total, asked


def test_it_is_worked_out_once_for_each_value() -> None:
    total, asked = counting(most=10)
    one, other = [1, 2], [3]
    assert [total(one), total(other), total(one), total(other)] == [3, 3, 3, 3]
    assert asked == [one, other]


def test_another_value_that_is_equal_is_asked_about_itself() -> None:
    total, asked = counting(most=10)
    one, other = [1, 2], [1, 2]
    assert total(one) == total(other) == 3
    assert [each is of for each, of in zip(asked, (one, other), strict=True)] == [True, True]


def test_no_more_values_are_held_than_said_and_none_is_taken_for_another() -> None:
    total, asked = counting(most=2)
    assert [total([number]) for number in range(100)] == list(range(100))
    assert len(asked) == 100
