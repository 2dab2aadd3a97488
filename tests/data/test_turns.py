"""Taking turns, against counting: exact shares in each period, and never far from them."""

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdna.data.turns import Turns

PERIOD = 64


@given(st.lists(st.floats(0.05, 1), min_size=1, max_size=5))
def test_each_kind_has_its_share_and_is_spread_evenly(weights: list[float]) -> None:
    """Within a period the rounding of shares to whole steps is half a step at most, and the spreading one more."""
    turns = Turns(weights, PERIOD)
    kinds = [turns.kind(step) for step in range(3 * PERIOD)]
    assert kinds[:PERIOD] == kinds[PERIOD : 2 * PERIOD]
    for kind, weight in enumerate(weights):
        share = weight / sum(weights)
        assert kinds[:PERIOD].count(kind) == pytest.approx(share * PERIOD, abs=1)
        for steps, count in enumerate(accumulate(int(k == kind) for k in kinds), 1):
            assert abs(count - share * steps) < len(weights) + steps / PERIOD


@given(st.lists(st.floats(0.05, 1), min_size=1, max_size=4), st.integers(0, 500))
def test_counts_are_those_of_counting(weights: list[float], steps: int) -> None:
    turns = Turns(weights, PERIOD)
    row = [turns.kind(step) for step in range(steps)]
    for kind in range(len(weights)):
        assert turns.count(kind, steps) == row.count(kind)


def test_halves_alternate() -> None:
    turns = Turns([1, 1], PERIOD)
    assert [turns.kind(step) for step in range(6)] == [0, 1, 0, 1, 0, 1]
    two_to_one = Turns([2, 1, 1], PERIOD)
    assert [two_to_one.kind(step) for step in range(8)] == [0, 1, 2, 0, 0, 1, 2, 0]
