"""Intervals of the served front hold the truth on simulated runs; `served_coverage.py` does it at length."""

import numpy as np
import pytest
from served_coverage import coverage_table, tally_of
from served_worlds import setups


@pytest.mark.slow
@pytest.mark.parametrize("at", [0, 5])
def test_nominal_intervals_cover(at):
    setup = setups()[at]
    setup.truth_seeds = 16
    tally = tally_of(setup, 25)
    for name in ("front", "kept", "gain", "oracle"):
        assert 0.78 <= tally.share(name) <= 0.99, name  # 25 runs, whose points err together
    for off in tally.off.values():
        assert abs(np.mean(off)) < 0.05
    assert setup.name in coverage_table([(setup, tally)])
