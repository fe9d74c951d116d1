"""The verdict's intervals hold where few groups are served; `small_data.py` measures it at length."""

from __future__ import annotations

import pytest
from small_data import Case, coverage


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["ndcg@5", "recall@10%"])
def test_the_verdicts_intervals_hold_with_ten_groups(metric: str) -> None:
    _, _, held, wrong = coverage(Case(metric, 10, "10 rows each", 0.1), 100)
    assert held >= 0.8  # 90% up to three standard errors of 100 runs
    assert wrong <= 0.05
