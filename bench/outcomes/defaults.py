"""The outcomes of a served ranking where nobody names any."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.schema import Task

ROWS_A_GROUP = 2
"""Groups of fewer rows on average say little about an order within them."""


def default_outcomes(tasks: Sequence[Task], group: NDArray[Any]) -> tuple[str, ...]:
    """One of each task: `ndcg@5` where a group has two rows on average, else `recall@10%`, `value@10%` of a regression.

    Args:
        group: (N,), negative where a row has none.
    """
    known = group[group >= 0]
    if len(known) >= ROWS_A_GROUP * max(1, len(np.unique(known))):
        return tuple(f"{task.name}.ndcg@5" for task in tasks)
    return tuple(f"{task.name}.{'recall' if task.kind == 'binary' else 'value'}@10%" for task in tasks)
