"""Learning-rate schedules, as a factor on the base rate."""

from __future__ import annotations

import math


def factor(schedule: str, step: int, total: int) -> float:
    """The factor for step 0 .. total-1: 1 throughout, or a half cosine from 1 towards 0."""
    if schedule == "constant":
        return 1.0
    return 0.5 * (1.0 + math.cos(math.pi * step / total))
