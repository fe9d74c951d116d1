"""P(non-dominated) against known truths and closed forms."""

import numpy as np
import pytest
from scipy import stats
from scipy.linalg import cho_factor

from bench.core.objectives import Objective
from bench.ledger.errors.evidence import Evidence
from bench.ledger.errors.posterior import _factored, shrunken
from bench.ledger.errors.posterior import p_nondominated as p_of_samples
from bench.ledger.pareto import nondominated

ONE = (Objective("a.auc", "maximize"),)
TWO = (Objective("a.auc", "maximize"), Objective("b.logloss", "minimize"))


def p_nondominated(groups, *args, **options):
    """Of configurations that were measured on a split without error."""
    return p_of_samples(
        [Evidence(group, np.zeros((len(group), 0, group.shape[1]))) for group in groups],
        *args,
        **options,
    )


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([0.70, 0.72, 0.71], [0.695, 0.715, 0.711, 0.701]),
        ([0.720, 0.722], [0.717, 0.719]),  # 2 degrees of freedom: a Gaussian would be far too sure
    ],
)
def test_one_objective_and_two_configurations_is_the_closed_form(first, second):
    """P(mean 1 > mean 2) is Student's t of the standardised difference, as in the pooled two-sample
    test.
    """
    expected = stats.ttest_ind(first, second, alternative="less").pvalue
    groups = [np.array(values)[:, None] for values in (first, second)]
    probabilities = p_nondominated(groups, ONE, seed=1, draws=20_000)
    np.testing.assert_allclose(probabilities, [expected, 1 - expected], atol=0.015)


def test_the_prior_is_weak(rng):
    """Of 40 configurations whose differences are all noise half is drawn away, of large true ones
    nothing.
    """
    centre = rng.normal(size=(40, 2))
    for spread, lowest, highest in ((1, 0.4, 0.6), (20, 0.98, 1.01)):
        true_values = spread * (centre - centre.mean(axis=0))
        drawn = shrunken(true_values, np.eye(80), np.ones(2), rng, 400).mean(axis=0)
        assert lowest < np.polyfit(true_values.ravel(), drawn.ravel(), 1)[0] < highest
    # of few it says that they are more alike in what is good in both than along the front
    few = np.array([[1.0, 1], [-1, -1], [1, -1], [-1, 1]])
    drawn = shrunken(few, np.eye(8), np.ones(2), rng, 4000).mean(axis=0)
    assert drawn[:2].std() < 0.93 * drawn[2:].std()
    # less is better in the second
    drawn = shrunken(few, np.eye(8), np.array([1.0, -1]), rng, 4000).mean(axis=0)
    assert drawn[2:].std() < 0.93 * drawn[:2].std()


def test_a_covariance_that_rounding_takes_below_zero_is_factored_all_the_same(rng):
    root = rng.normal(size=(6, 2)) * 1e6
    below = root @ root.T - 1e-3 * np.eye(6)
    assert np.isfinite(_factored(below)[0]).all()
    with pytest.raises(np.linalg.LinAlgError):
        cho_factor(below)
    for sizes in ([1, 1, 1, 1, 1, 1], [1e-9, 1, 1e9, 1e-9, 1, 1e9]):
        assert np.isfinite(_factored(below * np.outer(sizes, sizes))[0]).all()
    well = np.eye(6) + 0.1
    np.testing.assert_array_equal(_factored(well)[0], cho_factor(well)[0])


@pytest.mark.slow
def test_calibrated_on_a_known_truth():
    """Of the configurations given P of about p, about a share p is truly non-dominated."""
    rng = np.random.default_rng(7)
    noise = np.array([[1.0, 0.5], [0.5, 2.0]]) * 1e-4  # correlated, unequal
    announced, true = [], []
    for world in range(300):
        # wide against the noise, as the flat prior has it
        truth = rng.uniform(-0.15, 0.15, size=(6, 2))
        groups = [rng.multivariate_normal(mean, noise * 9, size=3) for mean in truth]
        announced.extend(p_nondominated(groups, TWO, seed=world, draws=300))
        true.extend(nondominated(truth, TWO))
    announced, true = np.array(announced), np.array(true)
    unsure = (announced > 0.02) & (announced < 0.98)
    assert unsure.sum() > 600  # else the check below is about nothing
    assert abs(announced[unsure].mean() - true[unsure].mean()) < 0.04
    for low, high in [(0.0, 0.1), (0.1, 0.5), (0.5, 0.9), (0.9, 1.01)]:
        inside = (announced >= low) & (announced < high)
        assert abs(announced[inside].mean() - true[inside].mean()) < 0.07


def test_an_objective_without_noise_is_certain():
    """Parameters do not depend on the seed: the smaller of two models is surely non-dominated."""
    objectives = (Objective("a.auc", "maximize"), Objective("cost/parameters", "minimize"))
    groups = [np.array([[0.70, 1e6], [0.72, 1e6]]), np.array([[0.71, 2e6], [0.73, 2e6]])]
    probabilities = p_nondominated(groups, objectives, seed=0)
    assert probabilities[0] == 1
    assert 0.4 < probabilities[1] < 0.95
