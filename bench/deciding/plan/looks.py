"""Group-sequential looks: a test that may end before all its units are there, at the error rate of
one that may not.

With a share t of its units the score of a test is a Brownian motion with a drift, B(t); it ends at
a look where |B(t)| / sqrt(t) is beyond a boundary. Until t each side has spent
2 - 2 Phi(z / sqrt(t)) of its error, which is of the O'Brien-Fleming type (Lan and DeMets,
Biometrika 1983). Chances are integrals from look to look (Armitage, McPherson and Rowe,
JRSS A 1969).
"""

from __future__ import annotations

import math
from functools import cache, partial

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from bench.core.arrays import Floats

ALPHA, POWER = 0.05, 0.8
"""Two-sided error, and power."""
FIXED = float(ndtri(1 - ALPHA / 2) + ndtri(POWER))
"""Standard errors that a gain is worth which a test without looks shows with `POWER`."""
NODES, WEIGHTS = np.polynomial.legendre.leggauss(128)


def spent(share: float) -> float:
    """The error that each side has spent by then."""
    if not share:
        return 0.0
    boundary = ndtri(ALPHA / 4) / math.sqrt(share)
    return float(2 * ndtr(boundary))


def crossed(shares: tuple[float, ...], bounds: tuple[float, ...], drift: float) -> Floats:
    """(K,) the chance that a test ends at each look by its upper boundary.

    Args:
        bounds: (K,), in standard errors; the lower ones are their mirror image.
        drift: standard errors that the true gain is worth at the end, the mean of B(1).
    """
    # of B at the look before, where the test goes on
    places = np.zeros(1)
    mass = np.ones(1)
    before = 0.0
    shares_crossed = []
    for share, bound in zip(shares, bounds, strict=True):
        sd = math.sqrt(share - before)
        edge = bound * math.sqrt(share)
        ahead = places + drift * (share - before)
        shares_crossed.append(float(mass @ ndtr((ahead - edge) / sd)))

        places, before = edge * NODES, share
        distances = (places[:, None] - ahead) / sd
        density = np.exp(-(distances**2) / 2) / (sd * math.sqrt(2 * math.pi))
        mass = density @ mass * WEIGHTS * edge
    return np.array(shares_crossed)


@cache
def boundaries(shares: tuple[float, ...]) -> tuple[float, ...]:
    """(K,) the standard errors from which on a test ends at each look."""
    bounds: tuple[float, ...] = ()
    for share, before in zip(shares, (0.0, *shares), strict=False):
        to_spend = spent(share) - spent(before)
        so_far = shares[: len(bounds) + 1]
        excess = partial(_excess, so_far, bounds, to_spend)
        bounds = (*bounds, float(brentq(excess, 0.0, 40.0)))
    return bounds


def _excess(
    shares: tuple[float, ...], bounds: tuple[float, ...], to_spend: float, bound: float
) -> float:
    """By how much the error of a look with this boundary is above what it may spend."""
    return float(crossed(shares, (*bounds, bound), 0.0)[-1]) - to_spend


@cache
def inflation(shares: tuple[float, ...]) -> float:
    """How many times the units of a test without looks one with these looks needs, for the same
    power.
    """
    bounds = boundaries(shares)

    def surplus_of_power(drift: float) -> float:
        return float(crossed(shares, bounds, drift).sum() - POWER)

    drift = brentq(surplus_of_power, FIXED / 2, 2 * FIXED)
    return float(drift / FIXED) ** 2
