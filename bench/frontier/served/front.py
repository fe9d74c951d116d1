"""What is told of kept serving points: bands, gains over the current point, P(non-dominated), and the hypervolume."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.frontier.hypervolume import hypervolume
from bench.frontier.intervals import LEVEL, Interval, reflected
from bench.frontier.simplex import lattice
from bench.objectives import Objective

Floats = NDArray[np.float64]
ENDS = (0.5 - LEVEL / 2, 0.5 + LEVEL / 2)
VOLUMES = 400
"""Draws that a hypervolume's interval takes."""
CLEAR = 0.95
"""From this share of draws on, a point is clearly dominated by another of its own candidate."""


def band(draws: NDArray[np.floating]) -> tuple[Floats, Floats]:
    """Ends of 90% intervals along the first axis; NaN without draws."""
    if not len(draws):
        nothing = np.full(draws.shape[1:], np.nan)
        return nothing, nothing
    low, high = np.quantile(draws, ENDS, axis=0)
    return low, high


def told(means: Floats, draws: Floats, current: int) -> dict[str, Floats]:
    """Values (S, M) and gains over the current point with their intervals, by the ending of their columns."""
    found: dict[str, Floats] = {}
    for name, value, about in (("", means, draws), (".gain", gains(means, current), gains(draws, current))):
        low, high = (np.where(np.isfinite(value), end, np.nan) for end in band(about))
        found |= {name: value, f"{name}.low": low, f"{name}.high": high}
    return found


def gains(values: NDArray[np.floating], current: int) -> Floats:
    """Differences of values (.., S, M) from the current point's, as fractions of its; NaN where it has none."""
    base = values[..., current : current + 1, :].astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(base > 0, values / base - 1, np.nan)


def reach(drawn: NDArray[np.floating], rows: NDArray[np.floating], current: int) -> float:
    """By how many standard errors a gain on test may be off, at `LEVEL`, in any outcome of a point that was picked.

    Confirmation rows, which chose it, and test have the luck of seeds in common, and nothing else. So the point is
    taken to be, in each draw, the one whose seeds were luckiest by their share of its standard error, in an outcome or
    in several together: what a policy picks where all points are equally good. The worst such policy counts.

    Args:
        drawn: (D, S, M) draws of test outcomes; rows: the same with the rows' part of the errors alone.

    Returns:
        NaN without draws.
    """
    if not len(drawn):
        return np.nan
    errors, luck = gains(drawn, current), gains(rows, current)
    errors -= errors.mean(axis=0)
    luck = errors - (luck - luck.mean(axis=0))
    sd = errors.std(axis=0)
    unit = np.where(sd > 1e-12, sd, np.inf)
    off, luck = np.nan_to_num(np.abs(errors / unit)).max(axis=2), np.nan_to_num(luck / unit)
    chosen = (luck @ lattice(drawn.shape[2], 2).T).argmax(axis=1)  # (D, policies)
    return float(np.quantile(np.take_along_axis(off, chosen, axis=1), LEVEL, axis=0).max())


def rivals(draws: Floats, points: Sequence[str]) -> NDArray[np.bool_]:
    """(S, S), whether the first of a pair counts where it dominates the second.

    Points of other candidates always do. Neighbouring weights of one candidate trade little for little, so that noise
    alone makes one dominate the other: a point of the same candidate counts where it dominates in `CLEAR` of draws.

    Args:
        points: the candidate of each.
    """
    names = np.array(points)
    found = np.asarray(names[:, None] != names[None])
    some = draws[:: max(1, len(draws) // VOLUMES)]
    for name in dict.fromkeys(points):
        own = np.flatnonzero(names == name)
        share = np.mean([_dominates(each) for each in some[:, own]], axis=0)
        found[np.ix_(own, own)] = share >= CLEAR
    return found


def share_nondominated(values: Floats, among: NDArray[np.bool_]) -> Floats:
    """(S,) in which share of draws (D, S, M) no rival (S, S) dominates each point; more is better in all outcomes."""
    return np.asarray(np.mean([~(_dominates(each) & among).any(axis=0) for each in values], axis=0))


def _dominates(values: Floats) -> NDArray[np.bool_]:
    """(S, S), whether the first of a pair of values (S, M) dominates the second."""
    enough = np.ones((len(values), len(values)), dtype=bool)
    more = ~enough
    for column in values.T:
        enough &= column[:, None] >= column[None]
        more |= column[:, None] > column[None]
    return enough & more


def volume_of(
    means: Floats, draws: Floats, outcomes: Sequence[Objective], random: Floats, ideal: Floats, known: bool
) -> Interval:
    """Hypervolume of points (S, M) over the outcomes of a random order, as a share of what the ideal has over them.

    The ideal ranks each task by its labels.

    Args:
        known: whether there is an interval, else it is NaN.
    """
    room = np.where(ideal > random, ideal - random, np.nan)
    reference = dict.fromkeys((each.name for each in outcomes), 0.0)
    at = hypervolume((means - random) / room, outcomes, reference)
    if not known:
        return Interval(at, np.nan, np.nan, np.nan, np.nan, np.nan)
    some = draws[:: max(1, len(draws) // VOLUMES)]
    return reflected(at, np.array([hypervolume((each - random) / room, outcomes, reference) for each in some]))
