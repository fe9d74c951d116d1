from __future__ import annotations

import numpy as np
import pytest

from bench.frontier.comparison.tuning import best, tuning_luck


@pytest.mark.slow
@pytest.mark.parametrize(("left", "right"), [(12, 12), (4, 30)])
def test_it_keeps_its_error_rate(left: int, right: int) -> None:
    """Trials of one distribution, also where one family has many more of them."""
    rng, false = np.random.default_rng(0), 0
    for seed in range(400):
        a, b = rng.exponential(size=(left, 1)), rng.exponential(size=(right, 1))
        false += tuning_luck(a, b, best(2), np.sign(best(2)(a) - best(2)(b)), seed, 999) < 0.05
    assert false / 400 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


def test_a_family_whose_trials_are_all_better_is() -> None:
    values = np.arange(20.0)[:, None]
    assert tuning_luck(values[10:], values[:10], best(3), 1, 0, 4999) < 0.001
    assert tuning_luck(values[10:], values[:10], best(3), -1, 0, 4999) == 1  # the search says the contrary
    assert tuning_luck(values[2:], values[:2], best(2), 1, 0, 4999) > 0.002  # two trials can be unlucky
