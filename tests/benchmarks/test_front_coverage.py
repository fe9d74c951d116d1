"""Intervals hold the truth and probabilities come true on simulated runs; `front_coverage.py` does it at length."""

from __future__ import annotations

import numpy as np
import pytest
from front_coverage import coverage_table, reliability_table, tally_of
from fronts import SETTINGS


@pytest.mark.slow
@pytest.mark.parametrize("setting", [SETTINGS[0], SETTINGS[4]], ids=lambda setting: setting.name)
def test_a_few_runs(setting) -> None:
    tally = tally_of(setting, 40, draws=120)
    for name in ("mean", "difference", "volume"):
        assert 0.78 <= tally.share(name) <= 0.99, name  # 40 runs: 90% within three standard errors
    assert tally.brier < tally.uninformed
    assert abs(np.mean(tally.said) - np.mean(tally.true)) < 0.07
    assert setting.name in coverage_table([(setting, tally)])
    assert reliability_table([(setting, tally)]).count("\n") == 8


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_nominal_intervals_cover(setting) -> None:
    tally = tally_of(setting, 400)
    for name in ("mean", "difference", "volume"):
        assert 0.85 <= tally.share(name) <= 0.95, name
