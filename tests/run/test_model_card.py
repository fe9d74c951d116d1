"""What a model card says of regressions."""

from __future__ import annotations

from bench.run.model_card import _deciles, _regression


def test_a_quantile_is_said_to_be_no_mean() -> None:
    assert _regression("watch", "mean") == "Of `watch` the mean, in the unit of its label."
    assert "the 0.9 quantile, in the unit of its label. It is no mean" in _regression("watch", "0.9 quantile")


def test_tenths_are_a_table() -> None:
    heading, table = _deciles("watch.cvr", [[1000.0, 2.5, 2.625], [990.0, 7.0, 6.875]])
    assert heading.startswith("Mean of `watch.cvr` by tenths")
    assert table.splitlines()[2:] == ["| 1 | 1,000 | 2.5 | 2.625 |", "| 2 | 990 | 7 | 6.875 |"]
