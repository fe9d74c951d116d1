"""Rungs: the numbers of training samples at which a trial is judged."""

from __future__ import annotations

import math


def ladder(lowest: int, eta: float, full: int) -> tuple[int, ...]:
    """Rungs from the lowest to full length, each about `eta` times the one below.

    From the lowest upwards every step is a factor of `eta`, but the last, which is what is left to full length: between
    the root of `eta` and `eta` to the power 1.5. A rung nearer to full length than that would save next to nothing.
    Where the lowest rung is no shorter than full length, full length is all.

    Args:
        lowest: training samples at which a trial is first judged.
        eta: above 1.
        full: training samples of a trial that is never stopped.

    Returns:
        Samples at each rung, rising.
    """
    if lowest >= full:
        return (full,)
    rungs = [float(lowest)]
    while rungs[-1] * eta * math.sqrt(eta) <= full:
        rungs.append(rungs[-1] * eta)
    # A small eta rounds small rungs to the same number of samples.
    return (*sorted({round(rung) for rung in rungs} - {full}), full)
