"""Which inputs say nearly the same: to shuffle one of them alone would make rows that cannot be."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from bench.core.arrays import Floats, Ints

LIMIT = 0.9


def alike(values: Mapping[str, NDArray[Any]]) -> list[tuple[str, ...]]:
    """Groups of inputs: two are together if they correlate above `LIMIT`, or with the same third
    (single linkage).

    Two numbers have a rank correlation, two categories Cramér's V, a category and a number the
    correlation ratio of the number's ranks. V and the ratio are 1 where one follows from the other.
    They are large by chance where categories are many, so their squares are adjusted for it, as the
    Rand index is.

    Args:
        values: by input (N,) of the same rows: floats of a number, integers of a category.
    """
    ranks = {name: rankdata(own) for name, own in values.items() if own.dtype.kind == "f"}
    codes = {
        name: np.unique(own, return_inverse=True)[1]
        for name, own in values.items()
        if name not in ranks
    }
    groups = {name: {name} for name in values}
    for one, other in combinations(sorted(values, key=lambda name: name in codes), 2):
        if one in codes:
            close = association(codes[one], codes[other])
        elif other in codes:
            close = ratio(ranks[one], codes[other])
        else:
            with np.errstate(invalid="ignore"):  # a constant is like nothing
                close = abs(np.corrcoef(ranks[one], ranks[other])[0, 1])
        if close > LIMIT:
            joined = groups[one] | groups[other]
            groups |= dict.fromkeys(joined, joined)
    return list(
        dict.fromkeys(tuple(name for name in values if name in groups[of]) for of in values)
    )


def ratio(numbers: Floats, codes: Ints) -> float:
    """The correlation ratio of numbers (N,) by category, codes (N,) from 0 on, adjusted for chance:
    0 to 1.
    """
    counts = np.bincount(codes)
    between = counts @ (np.bincount(codes, numbers) / counts - numbers.mean()) ** 2
    spread = max(len(numbers) * numbers.var(), 1e-300)
    return _adjusted(float(between / spread), (len(counts) - 1) / max(1, len(numbers) - 1), 1.0)


def association(one: Ints, other: Ints) -> float:
    """Cramér's V of two categories, codes (N,) from 0 on, adjusted for chance: 0 to 1."""
    counts = np.bincount(one), np.bincount(other)
    pairs, both = np.unique(one * len(counts[1]) + other, return_counts=True)
    alone = counts[0][pairs // len(counts[1])] * counts[1][pairs % len(counts[1])].astype(
        np.float64
    )
    squared = float((both**2 / alone).sum()) - 1  # Pearson's chi² over N
    most = min(map(len, counts)) - 1
    return _adjusted(
        squared, (len(counts[0]) - 1) * (len(counts[1]) - 1) / max(1, len(one) - 1), most
    )


def _adjusted(squared: float, chance: float, most: float) -> float:
    """The root of a square that is `chance` on average by chance, and `most` at the most."""
    if most - chance <= 0.05 * most:  # a category for nearly each row, or one for all
        return 0.0
    return float(np.sqrt(min(1.0, max(0.0, squared - chance) / (most - chance))))
