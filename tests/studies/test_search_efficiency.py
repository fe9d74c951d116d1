"""The harness itself, on a problem whose learning curves are known in closed form."""

import numpy as np
import pytest
from analytic import TASKS, Analytic, space
from emulator import Emulator
from scipy import stats
from search_efficiency import STEPS, compare, grid_of, report
from searchers import DEFAULTS, OURS, SEARCHERS, TARGET


@pytest.mark.slow
def test_an_emulator_knows_the_order_of_configurations():
    problem = Analytic()
    emulator = Emulator(problem.table(100))
    quality = emulator.quality()
    configs = [space().sample(np.random.default_rng(seed), TASKS) for seed in range(100)]
    found = emulator.curves(configs)
    np.testing.assert_allclose(emulator.train(configs[:1]).curve, found[0])
    truth = np.array([problem.train([config]).worth for config in configs])
    for m in range(2):
        achieved = stats.spearmanr(found[:, -1, m], truth[:, -1, m]).statistic
        assert achieved > 0.5
        assert quality[m] == pytest.approx(achieved, abs=0.2)  # what cross-validation says holds of others
    assert 0 < emulator.best[0] < 0.15**2


@pytest.mark.parametrize("name", SEARCHERS)
@pytest.mark.parametrize("problem", [Analytic(), Analytic().table(25)], ids=["function", "table"])
def test_searchers_keep_to_their_budget_and_repeat(name, problem):
    times, values, judged = SEARCHERS[name](problem.fresh(), 3, 1.2)
    again = SEARCHERS[name](problem.fresh(), 3, 1.2)
    np.testing.assert_array_equal(times, again[0])
    np.testing.assert_array_equal(values, again[1])
    np.testing.assert_array_equal(judged, again[2])
    assert (np.diff(times) > 0).all()
    assert times[-1] <= 1.7  # the last job may end later than the budget
    assert np.isfinite(values).all()
    other = SEARCHERS[name](problem.fresh(), 4, 1.2)
    assert other[1].shape != values.shape or (other[1] != values).any()


@pytest.mark.slow
def test_rungs_take_a_fraction_of_the_samples():
    """The harness must show this on a problem where rungs are known to help."""
    curves = compare([Analytic(0), Analytic(1)], 3, 8.0, [TARGET, DEFAULTS, OURS], workers=1)
    assert curves[OURS].shape == (3, STEPS)
    assert (np.diff(curves[OURS], axis=1) >= 0).all()
    grid, at = grid_of(8.0), int(0.6 * STEPS)
    assert curves[DEFAULTS][:, at].mean() > curves[TARGET][:, -1].mean()
    assert report("log", curves, grid, np.random.default_rng(0))[-3].startswith(f"| log | {OURS} | ")
