"""Rungs: the numbers of training samples at which a trial is judged."""

from __future__ import annotations

import math

from bench.errors import UserError


def ladder(lowest: int, eta: float, full: int) -> tuple[int, ...]:
    """Rungs from the lowest to full length, each about `eta` times the one below.

    From the lowest upwards every step is a factor of `eta`, but the last, which is what is left to full length: between
    the root of `eta` and `eta` to the power 1.5. A rung nearer to full length than that would save next to nothing.
    Where nothing is ever stopped (`eta` = 1), or the lowest rung is no shorter than full length, full length is all.

    Args:
        lowest: training samples at which a trial is first judged.
        eta: of the trials at a rung, one in so many goes on.
        full: training samples of a trial that is never stopped.

    Returns:
        Samples at each rung, rising.

    Raises:
        UserError: `lowest` or `full` is below 1, or `eta` is below 1 or not finite.
    """
    if not (math.isfinite(eta) and eta >= 1):
        raise UserError(f"expected a reduction factor of at least 1, found {eta}")
    if lowest < 1 or full < 1:
        raise UserError(f"expected rungs of at least one sample, found lowest = {lowest} and full length = {full}")
    if eta == 1 or lowest >= full:
        return (full,)
    rungs = [float(lowest)]
    while rungs[-1] * eta * math.sqrt(eta) <= full:
        rungs.append(rungs[-1] * eta)
    # A small eta rounds small rungs to the same number of samples.
    return (*sorted({round(rung) for rung in rungs} - {full}), full)
