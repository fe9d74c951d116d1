"""Means on unseen rows are unbiased, on the rows of the search they are not; `unseen_rows.py` measures it at length."""

from __future__ import annotations

import pytest
from unseen_rows import ROW_ERRORS, found_of, table


@pytest.mark.slow
@pytest.mark.parametrize("error", ROW_ERRORS)
def test_means_are_unbiased_and_the_hypervolume_is_covered_on_unseen_rows(error: float) -> None:
    found = found_of(error, True, 100)
    assert abs(found.bias) <= 0.1e-3 + 3 * found.bias_error
    assert 0.80 <= found.held <= 0.98  # 100 runs: 90% within three standard errors


@pytest.mark.slow
def test_the_searchs_own_rows_flatter_what_they_chose() -> None:
    found = found_of(2e-3, False, 40)
    assert found.bias > 1e-3
    assert table([found]).endswith(f"{found.held:.1%} |")
