from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from bench.search.rungs import ladder


def test_steps_by_the_reduction_factor() -> None:
    assert ladder(1000, 3, 27000) == (1000, 3000, 9000, 27000)
    assert ladder(1000, 2.5, 6250) == (1000, 2500, 6250)


def test_the_last_step_takes_up_what_is_left() -> None:
    assert ladder(1000, 4, 20000) == (1000, 4000, 20000)  # 16000 would lie just below full length
    assert ladder(1000, 4, 40000) == (1000, 4000, 16000, 40000)


def test_nothing_is_stopped_where_nothing_is_to_be() -> None:
    assert ladder(5000, 3, 5000) == (5000,)
    assert ladder(9000, 3, 5000) == (5000,)


@given(st.integers(1, 10**6), st.floats(1.01, 20), st.integers(1, 10**8))
def test_rises_to_full_length(lowest: int, eta: float, full: int) -> None:
    rungs = ladder(lowest, eta, full)
    assert rungs[-1] == full
    assert list(rungs) == sorted(set(rungs))
    if lowest < full:
        assert rungs[0] == lowest
    if len(rungs) > 1 and lowest * (eta - 1) > 10:  # else rounding moves the steps
        assert math.sqrt(eta) * 0.9 <= rungs[-1] / rungs[-2] <= eta**1.5 * 1.1 or len(rungs) == 2
