"""Distance between two served fronts at equal outcomes, and the price of one outcome in another.

A weight between measured weights can be served, too, so the points of one candidate and kind are joined to a surface
over their weights: segments of two tasks, triangles of three. A mix of two candidates cannot be served. Which part of a
surface a point is compared with is chosen on confirmation rows; what is told is measured on test, paired over draws.
Where the outcomes are not as many as the tasks there is no such surface, and single points are compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import Delaunay, QhullError

from bench.results.effect import Effect
from bench.results.ledger import band
from bench.results.pareto import nondominated
from bench.results.served.served import Served
from bench.rows import CONFIRM, TEST

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

STEEP = 4.0
"""The steepest trade, in per cent of one outcome for 1% of another: beyond it noise in one decides about the other."""


def rows_of(served: Served, points: Sequence[str] | None = None, roles: Sequence[str] | None = None) -> Mask:
    """(S,), which rows are of these candidates, or of these roles."""
    found = np.ones(len(served.table), dtype=bool)
    if points is not None:
        found &= served.table["point"].isin(list(points)).to_numpy()
    if roles is not None:
        found &= served.table["role"].isin(list(roles)).to_numpy()
    return found


def distance(served: Served, front: Mask, other: Mask, outcome: str) -> Effect | None:
    """How much more of an outcome a front of rows (S,) has than another front at equal other outcomes, on average.

    The average is over the other's non-dominated points, of sums: points with more of the outcome count more. Left out
    are points that the first front has no equal for, as they are beyond its end, and those where it is `STEEP`.

    Returns:
        None where no point is left.
    """
    column, values, facets = served.names.index(outcome), served.at(CONFIRM), _facets(served, front)
    only = np.eye(len(served.measures))[column]
    found = [_match(values, front, facets, row, only) for row in _front(served, other)]
    matches = [match for match in found if match is not None and match.steepness(values, column) <= STEEP]
    return _told(served, matches, column) if matches else None


def ahead(served: Served, front: Mask, others: Mask) -> dict[str, Effect]:
    """By outcome how far a front is beyond that of others at equal outcomes, where that is known.

    The front is ahead where there are distances and every one of them is `gained`. Between points a surface lies below
    the front that it stands for, so of a baseline and all others it is the baseline's that is interpolated.
    """
    each = {name: distance(served, front, others, name) for name in served.names}
    return {name: one for name, one in each.items() if one is not None}


def gain_of_all(served: Served, front: Mask, row: int) -> tuple[Effect, int]:
    """By how much a front of rows (S,) is ahead of a row in every outcome at once, where it is most so.

    It is negative where the front is behind in some outcome under any weights.

    Returns:
        The gain, and the row that has it: where it is interpolated, the nearest one.
    """
    everything = np.ones(len(served.measures))
    match = _match(served.at(CONFIRM), front, _facets(served, front), row, everything)
    assert match is not None  # there is a row, and none of its outcomes is held
    return _told(served, [match], None), match.by[int(match.shares.argmax())]


def exchange(served: Served, row: int, paid: str, bought: str) -> Effect | None:
    """By which fraction one outcome rises for one per cent less of another, along the row's own sweep.

    The slope of the logarithms: between the neighbouring weights on either side with two outcomes; with more, to the
    point of the same candidate that, on confirmation rows, moves the other outcomes least against what is paid.

    Returns:
        None where the candidate has no other point, or nothing is paid between them.
    """
    x, y = served.names.index(paid), served.names.index(bought)
    first, last = _neighbours(served, row, x, y)

    def slope(values: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.log(values[..., last, :]) - np.log(values[..., first, :])
            return np.asarray(-logs[..., y] / logs[..., x])

    value = float(slope(served.at(TEST)))
    if first == last or not np.isfinite(value):
        return None
    return Effect(value / 100, *(end / 100 for end in _interval(slope(served.draws[TEST].astype(np.float64)))))


def _neighbours(served: Served, row: int, x: int, y: int) -> tuple[int, int]:
    """The two rows that a slope at a row is taken between."""
    own = rows_of(served, points=[served.table["point"][row]])
    if len(served.measures) == 2:
        beside = [facet for facet in _facets(served, own).tolist() if row in facet][:2]
        first = next((facet[0] for facet in beside if facet[1] == row), row)
        return first, next((facet[1] for facet in beside if facet[0] == row), row)
    values = np.log(np.maximum(served.at(CONFIRM), 1e-12))
    apart = np.abs(values - values[row])
    others = np.delete(apart, [x, y], axis=1).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        cost = np.where(own & (apart[:, x] > 0), others / apart[:, x], np.inf)
    best = int(cost.argmin())
    return row, best if np.isfinite(cost[best]) else row


@dataclass(frozen=True)
class _Match:
    """A row and the place on a front with which it is compared, chosen on confirmation rows.

    Attributes:
        towards: (M,), 1 for the outcomes that are gained, all by the same share, 0 for those that are held.
        by: vertices of a facet, or one row.
        shares: of the vertices, sum 1.
        normal: (M,), of the facet, at least 0; None for a single row.
    """

    row: int
    towards: Floats
    by: list[int]
    shares: Floats
    normal: Floats | None

    def gain(self, values: Floats) -> Floats:
        """(..,) of values (.., S, M): by which share all outcomes are gained, or how much of one, in its own unit.

        As far as a facet's place has not just as much of what is held, the facet's slope makes up for it.
        """
        own, there = values[..., self.row, :], np.einsum("...vm,v->...m", values[..., self.by, :], self.shares)
        unit = np.where(self.towards > 0, own if self.towards.all() else 1.0, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.normal is None:
                gained = self.towards > 0
                return np.asarray(((there - own) / unit)[..., gained].min(axis=-1))
            return np.asarray(((there - own) @ self.normal) / (unit @ self.normal))

    def steepness(self, values: Floats, column: int) -> float:
        """By how many per cent the outcome falls for one per cent more of another, where it falls most."""
        if self.normal is None:
            return 0.0
        slopes = self.normal * values[self.row]
        return float(np.delete(slopes, column).max() / max(slopes[column], 1e-30))


def _match(values: Floats, front: Mask, facets: NDArray[np.int64], row: int, towards: Floats) -> _Match | None:
    """The place of a front that gains most on a row; None where the front has nowhere as much of what is held.

    Args:
        values: (S, M) on confirmation rows.
        towards: see `_Match`.
    """
    own, gained = values[row], towards > 0
    rows = np.flatnonzero(front & (values[:, ~gained] >= own[~gained]).all(axis=1))
    best, found = -np.inf, None
    if len(rows):
        with np.errstate(divide="ignore", invalid="ignore"):
            gains = np.nan_to_num((values[rows] / own - 1)[:, gained].min(axis=1), nan=-np.inf)
        best, found = float(gains.max()), _Match(row, towards, [int(rows[gains.argmax()])], np.ones(1), None)
    if not len(facets):
        return found
    many, size = facets.shape
    system = np.zeros((many, size + 1, size + 1))
    system[:, :size, :size] = values[facets].transpose(0, 2, 1)
    system[:, :size, size] = -towards * own
    system[:, size, :size] = 1.0
    regular = np.abs(np.linalg.det(system)) > 1e-15
    facets, inverse = facets[regular], np.linalg.inv(system[regular])
    solved, normal = inverse @ np.append(own, 1.0), -inverse[:, size, :size]
    inside = (solved[:, :size] >= -1e-9).all(axis=1) & (normal >= 0).all(axis=1)
    gains = np.where(inside, solved[:, size], -np.inf)
    if len(gains) and gains.max() > best:
        at = int(gains.argmax())
        found = _Match(row, towards, facets[at].tolist(), solved[at, :size], normal[at])
    return found


def _facets(served: Served, mask: Mask) -> NDArray[np.int64]:
    """(F, T) rows of the surfaces of a mask's candidates and kinds; ends, of one task alone, are in both kinds'.

    With two tasks they are in the order of weights. None where outcomes are not as many as tasks.
    """
    table, found = served.table, []
    size = len(served.measures)
    known = np.array([len(each) == size for each in table["weights"]])
    weights = np.array([list(each.values()) if len(each) == size else [np.nan] * size for each in table["weights"]])
    roots = np.sqrt(weights)  # in which the lattice is even
    places = roots / roots.sum(axis=1, keepdims=True)
    ends = weights.max(axis=1) == 1.0
    points, kinds = table["point"].to_numpy(), table["kind"].to_numpy()
    for point in dict.fromkeys(points[mask & known]):
        own = mask & known & (points == point)
        for kind in dict.fromkeys(kinds[own]):
            rows = np.flatnonzero(own & ((kinds == kind) | ends))
            found.append(rows[_simplices(places[rows][:, :-1])])
    return np.concatenate(found).astype(np.int64) if found else np.zeros((0, size), np.int64)


def _simplices(places: Floats) -> NDArray[np.int64]:
    """(F, T) which places (n, T - 1) are joined."""
    size = places.shape[1]
    if size == 1:
        order = np.argsort(places[:, 0], kind="stable")
        return np.stack([order[:-1], order[1:]], axis=1)
    try:
        return np.asarray(Delaunay(places).simplices, dtype=np.int64)
    except (QhullError, ValueError):  # too few, or all in a line
        return np.zeros((0, size + 1), np.int64)


def _front(served: Served, mask: Mask) -> list[int]:
    """Rows of a mask that are non-dominated within it, on confirmation rows."""
    rows = np.flatnonzero(mask)
    return rows[nondominated(served.at(CONFIRM)[rows], served.measures)].tolist() if len(rows) else []


def _told(served: Served, matches: Sequence[_Match], column: int | None) -> Effect:
    """The gain of all matches together in one outcome, as a share of what their rows have; of one match in all."""

    def gain(values: Floats) -> Floats:
        gained = sum(each.gain(values) for each in matches)
        if column is None:
            return np.asarray(gained)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(gained / sum(values[..., each.row, column] for each in matches))

    low, high = _interval(gain(served.draws[TEST].astype(np.float64)))
    return Effect(float(gain(served.at(TEST))), low, high)


def _interval(drawn: Floats) -> tuple[float, float]:
    known = drawn[np.isfinite(drawn)]
    if not len(known):
        return np.nan, np.nan
    low, high = band(known)
    return float(low), float(high)
