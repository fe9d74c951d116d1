"""Labels that are known."""

from __future__ import annotations

import numpy as np

from bench.data.inspection.labels import Label
from bench.data.tasks import TaskRule


def known(y: np.ndarray, binary: bool = True) -> Label:
    """A task called y."""
    return Label(TaskRule(name="y", column="y", kind="binary" if binary else "regression"), y)
