"""The verdict's intervals hold where few groups are served; `small_data.py` measures it at length."""

from __future__ import annotations

import pytest
from small_data import Case, coverage


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["ndcg@5", "recall@10%"])
def test_the_verdicts_intervals_hold_with_ten_groups(metric: str) -> None:
    _, _, held, wrong = coverage(Case(metric, 10, "10 rows each", 0.1), 100)
    assert held >= 0.75  # with so few groups 83 to 90%
    assert wrong <= 0.11  # 5%, as 99 of 100 such tests see it


@pytest.mark.slow
def test_intervals_of_rows_of_a_few_users_need_units() -> None:
    """Of twelve users with fifty rows each: of values, and of gains of the pick for all outcomes at once."""
    (value, _, pick, _), (without, _, narrow, _) = (
        coverage(Case("recall@10%", 12, "50 rows each", 0.1, units), 60) for units in (True, False)
    )
    assert value > without + 0.2
    assert pick > max(narrow, 0.8)
