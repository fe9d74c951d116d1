"""Pareto dominance over objectives that are maximised or minimised.

x dominates y if it is nowhere worse and somewhere better. Equal points do not dominate each other: all duplicates of a
non-dominated point are kept. A row with a value that is not finite was not measured: it is never on a front and
dominates nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import moocore
import numpy as np
from numpy.typing import NDArray

from bench.objectives import Objective

UNRANKED = -1


def maximised(objectives: Sequence[Objective]) -> list[bool]:
    """The directions in the form moocore takes."""
    return [objective.direction == "maximize" for objective in objectives]


def measured(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which rows of `values` (N, M) are finite in every objective: (N,)."""
    return np.asarray(np.isfinite(values).all(axis=1))


def nondominated(values: NDArray[np.float64], objectives: Sequence[Objective]) -> NDArray[np.bool_]:
    """Which rows of `values` (N, M) no other row dominates: (N,)."""
    result = measured(values)
    result[result] = moocore.is_nondominated(values[result], maximise=maximised(objectives), keep_weakly=True)
    return result


def ranks(values: NDArray[np.float64], objectives: Sequence[Objective]) -> NDArray[np.int64]:
    """Non-dominated sorting (Deb et al., IEEE TEC 2002): (N,).

    0 is the front, 1 the front once those are taken away, and so on; `UNRANKED` for rows that were not measured.
    """
    rows = measured(values)
    result = np.full(len(values), UNRANKED, dtype=np.int64)
    # moocore 0.3 ranks a single column the wrong way round; the column twice has the same order
    copies = 2 if len(objectives) == 1 else 1
    points = np.repeat(values[rows], copies, axis=1)
    result[rows] = moocore.pareto_rank(points, maximise=maximised(objectives) * copies)
    return result
