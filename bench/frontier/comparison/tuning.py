"""Could luck in tuning alone make one family look better than another?

A family is what its search found. Of two families whose trials are drawn from one distribution, one finds the better
points by chance: they truly are better, and yet the family is not. The test is a permutation test: it assigns the
trials of both families to them at random, as many to each as it had, and asks how often the difference is as large.
It is exact for trials drawn from one distribution, whatever noise the search's values have, and however many trials
each family had.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], float]

ENOUGH = 20


def tuning_luck(left: Floats, right: Floats, statistic: Statistic, sign: float, seed: int, most: int) -> float:
    """Two-sided p-value of the difference of a statistic between two families, in the direction that `sign` says.

    It stops at `ENOUGH` differences as large as the one seen (Besag and Clifford, Biometrika 1991), else after
    `most`: no p-value is smaller than 2 / (most + 1).

    Args:
        left, right: values of the search (n, M) of each trial.
        statistic: of such values.
        sign: +1 where left is said to be better, -1 where right is, of values for which larger is better.
    """
    rng, pooled, n = np.random.default_rng(seed), np.concatenate([left, right]), len(left)
    seen = sign * (statistic(left) - statistic(right))
    if seen <= 0:
        return 1.0
    hits = 0
    for step in range(1, most + 1):
        order = rng.permutation(len(pooled))
        hits += sign * (statistic(pooled[order[:n]]) - statistic(pooled[order[n:]])) >= seen
        if hits == ENOUGH:
            return min(1.0, 2 * hits / step)
    return 2 * (hits + 1) / (most + 1)


def best(k: int) -> Statistic:
    """The mean of the k largest of values (n, 1), all of them where there are fewer."""
    return lambda values: float(np.sort(values[:, 0])[-k:].mean())
