"""What lasts of a gain, against its definition and in simulated tests."""

import numpy as np
import pytest
from scipy.stats import norm

from bench.ledger.served.lasting import SCALES, SHARES, lasting

NOISE = 0.03


def identity(differences):
    return differences


def draws(shown, noise=NOISE):
    deviations = np.random.default_rng(0).normal(size=2000)
    return shown + noise * (deviations - deviations.mean()) / deviations.std()


@pytest.mark.parametrize("shown", [-0.02, 0.0, 0.06, 0.1, 0.3])
def test_it_is_the_posterior_under_its_prior(shown):
    """By sums over a fine grid."""
    gains = np.linspace(-0.6, 0.6, 120_001)
    prior = SHARES @ [norm.pdf(gains, scale=scale) for scale in SCALES]
    chances = prior * norm.pdf(shown, gains, NOISE)
    below = np.cumsum(chances) / chances.sum()
    effect = lasting(draws(shown), identity)
    assert effect.value == pytest.approx(gains @ chances / chances.sum(), abs=1e-6)
    assert effect.low == pytest.approx(gains[below.searchsorted(0.05)], abs=2e-5)
    assert effect.high == pytest.approx(gains[below.searchsorted(0.95)], abs=2e-5)


def test_what_is_far_above_the_noise_lasts_and_without_noise_all_does():
    assert lasting(draws(0.3, 0.01), identity).value == pytest.approx(0.3, abs=0.002)
    assert lasting(np.full(10, 0.06), identity).value == pytest.approx(0.06)


def test_it_is_true_on_average_where_a_gain_is_surely_shown():
    rng = np.random.default_rng(1)
    true = rng.normal(size=4000) * rng.choice(SCALES, 4000, p=SHARES)
    shown = true + NOISE * rng.normal(size=4000)
    is_shown = shown > 1.645 * NOISE
    effects = [lasting(draws(gain), identity) for gain in shown[is_shown]]
    assert np.mean([effect.value for effect in effects]) == pytest.approx(
        true[is_shown].mean(), abs=0.005
    )
    held = [
        effect.low <= gain <= effect.high
        for effect, gain in zip(effects, true[is_shown], strict=True)
    ]
    assert 0.86 <= np.mean(held) <= 0.94
