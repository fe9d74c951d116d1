"""What lasts of a gain that a test shows.

A switch is said where a test surely shows a gain, so chance has helped many of the gains that are
announced: where a test can hardly show the true gain, those that it shows are two to three times as
large. Here they are drawn under a stated prior: nine changes in ten move U by about 1%, one in ten
by up to 20%. So a gain that is far above the test's noise stays as it is, and one that is near it
is thought to be small. A posterior mean has no bias on average over its prior, also among those
tests only that say "switch" (Dawid, Selection paradoxes of Bayesian inference, 1994).
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr
from scipy.stats import norm

from bench.core.arrays import Floats
from bench.ledger.effect import LEVEL, Effect
from bench.ledger.served.joint import Fraction

SHARES = np.array([0.9, 0.1])
SCALES = np.array([0.01, 0.2])
"""Shares of small and of large changes, and their standard deviations in U."""


def lasting(differences: Floats, fraction: Fraction) -> Effect:
    """What lasts of a gain, with its interval.

    Args:
        differences: (D,), draws of the difference in U as the test shows it; without noise all of
            it lasts.
    """
    shown, noise = float(differences.mean()), float(differences.std())
    if noise == 0:
        return Effect(*fraction(np.full(3, shown)).tolist())
    total = np.hypot(SCALES, noise)
    likelihoods = SHARES * norm.pdf(shown, scale=total)
    shares = SHARES
    if likelihoods.sum() > 0:
        shares = likelihoods / likelihoods.sum()
    middles = shown * (SCALES / total) ** 2
    deviations = noise * SCALES / total
    widest = abs(shown) + 10 * noise

    def below(gain: float, chance: float) -> float:
        return float(shares @ ndtr((gain - middles) / deviations)) - chance

    tail = (1 - LEVEL) / 2
    low, high = (brentq(below, -widest, widest, args=(chance,)) for chance in (tail, 1 - tail))
    return Effect(*fraction(np.array([shares @ middles, low, high])).tolist())
