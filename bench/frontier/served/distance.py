"""How far one served front is beyond another at equal outcomes, and what one outcome costs in another along a front.

Which serving points are compared is chosen on confirmation rows; what is told is measured on test, paired over draws.
With two outcomes, a front at a given level of one is interpolated between neighbouring weights of one candidate, as a
weight in between can be served; a mix of two candidates cannot. With more outcomes single points are compared: the
best in one outcome that is, on confirmation rows, at least equal in all others. Where a front is so steep that equal
outcomes say little, as near the ends, a mean over it leaves points out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.errors import UserError
from bench.frontier.dominance import nondominated
from bench.frontier.served.front import band
from bench.frontier.served.served import Served
from bench.rows import CONFIRM, TEST

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

STEEP = 4.0
"""Where 1% of an outcome costs more than so many per cent of the other, noise in the one decides about the other."""


@dataclass(frozen=True)
class Distance:
    """A gain at equal outcomes, as a fraction: .012 is 1.2% more; its 90% interval is NaN where it is unknown.

    Attributes:
        outcome: what is gained.
        point: the row it is gained at, whose other outcomes are held; None for a mean over a front.
        by: the row of the serving point that gains it, the nearest one where it is interpolated.
    """

    outcome: str
    value: float
    low: float
    high: float
    point: int | None = None
    by: int | None = None

    @property
    def ahead(self) -> bool:
        """Whether it is a gain by more than noise."""
        return self.low > 0

    @property
    def sentence(self) -> str:
        """In words, such as `like.recall@10% at equal others: +1.2% (+.7 to +1.7)`."""
        about = f" ({self.low:+.1%} to {self.high:+.1%})" if np.isfinite(self.low) else ""
        return f"{self.outcome} at equal other outcomes: {self.value:+.1%}{about}"


def rows_of(served: Served, points: Sequence[str] | None = None, roles: Sequence[str] | None = None) -> Mask:
    """(S,), which rows are of these candidates, or of these roles."""
    found = np.ones(len(served.table), dtype=bool)
    if points is not None:
        found &= served.table["point"].isin(list(points)).to_numpy()
    if roles is not None:
        found &= served.table["role"].isin(list(roles)).to_numpy()
    return found


def distance_at(served: Served, front: Mask, row: int, outcome: str, split: str = TEST) -> Distance | None:
    """How much more of an outcome a front of rows (S,) has where it has as much of the others as a row has.

    Returns:
        None where the front has nowhere as much of the others.
    """
    column = _column(served, outcome)
    line = _match(served.means(CONFIRM), front, _lines(served, front), row, column)
    if not line:
        return None
    return _told(served, [(row, line)], column, split, row, _nearer(served, line, row, column))


def distance(served: Served, front: Mask, other: Mask, outcome: str, split: str = TEST) -> Distance | None:
    """How much more of an outcome a front of rows (S,) has than another front at equal other outcomes, on average.

    The average is over the other's non-dominated points, of sums: points with more of the outcome count more. Left out
    are points that the first front has no equal for, as they are beyond its end, and those where it is `STEEP`.

    Returns:
        None where no point is left.
    """
    column = _column(served, outcome)
    pairs = _pairs(served, front, other, column)
    return _told(served, pairs, column, split, None, None) if pairs else None


def ahead(served: Served, baseline: Mask, others: Mask, split: str = TEST) -> list[Distance]:
    """By outcome how far a baseline's front is beyond that of all others at equal outcomes.

    It is measured at the baseline's own points, as in `distance`: the others' front is the denser one, and
    interpolating it costs less. The baseline is ahead where there are distances and every one of them is `ahead`.
    With more than two outcomes it is measured at the others' points: a best single point has more of the outcomes that
    are held, and less of the other, so it is the baseline that must be ahead in spite of that.
    """
    if len(served.outcomes) > 2:
        each = (distance(served, baseline, others, outcome.name, split) for outcome in served.outcomes)
        return [one for one in each if one is not None]
    found = []
    for column in range(len(served.outcomes)):
        if pairs := _pairs(served, others, baseline, column):
            found.append(_told(served, pairs, column, split, None, None, turned=True))
    return found


def exchange(served: Served, row: int, paid: str, bought: str, split: str = TEST) -> Distance | None:
    """By how many per cent one outcome rises for one per cent less of another, along the row's own sweep.

    The slope of the logarithms: between the neighbouring weights on either side with two outcomes; with more, to the
    point of the same candidate that, on confirmation rows, moves the other outcomes least against what is paid.

    Returns:
        None where the candidate has no other point, or nothing is paid between them.
    """
    x, y = _column(served, paid), _column(served, bought)
    first, last = _neighbours(served, row, x, y)

    def slope(values: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.log(values[..., last, :]) - np.log(values[..., first, :])
            return np.asarray(-logs[..., y] / logs[..., x])

    value = float(slope(served.means(split)))
    if first == last or not np.isfinite(value):
        return None
    low, high = _interval(slope(served.drawn(split).astype(np.float64)))
    return Distance(bought, value, low, high, row, None)


def _neighbours(served: Served, row: int, x: int, y: int) -> tuple[int, int]:
    """The two rows that a slope at a row is taken between."""
    own = rows_of(served, points=[served.table["point"][row]])
    if len(served.outcomes) == 2:
        line = next((each for each in _lines(served, own) if row in each), [row])
        at = line.index(row)
        return line[max(0, at - 1)], line[min(len(line) - 1, at + 1)]
    values = np.log(np.maximum(served.means(CONFIRM), 1e-12))
    apart = np.abs(values - values[row])
    beside = np.delete(apart, [x, y], axis=1).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        cost = np.where(own & (apart[:, x] > 0), beside / apart[:, x], np.inf)
    best = int(cost.argmin())
    return row, best if np.isfinite(cost[best]) else row


def _column(served: Served, outcome: str) -> int:
    names = [each.name for each in served.outcomes]
    if outcome not in names:
        raise UserError(f"expected a served outcome of {', '.join(names)}, found '{outcome}'")
    return names.index(outcome)


def _front(served: Served, mask: Mask) -> list[int]:
    """Rows of a mask that are non-dominated within it, on confirmation rows."""
    rows = np.flatnonzero(mask)
    return rows[nondominated(served.means(CONFIRM)[rows], served.outcomes)].tolist() if len(rows) else []


def _lines(served: Served, mask: Mask) -> list[list[int]]:
    """Rows of each candidate's sweep in the order of weights, one line a kind; ends, of one task alone, are in both."""
    table = served.table
    points, kinds = table["point"].to_numpy(), table["kind"].to_numpy()
    weights = np.array([next(iter(each.values()), np.nan) for each in table["weights"]])
    ends, found = np.isin(weights, [0.0, 1.0]), []
    for point in dict.fromkeys(points[mask]):
        own = mask & (points == point)
        for kind in dict.fromkeys(kinds[own]):
            line = np.flatnonzero(own & ((kinds == kind) | ends))
            found.append(line[np.argsort(weights[line], kind="stable")].tolist())
    return found


def _pairs(served: Served, front: Mask, other: Mask, column: int) -> list[tuple[int, list[int]]]:
    """The other front's points, each with where the first front matches it."""
    values, lines = served.means(CONFIRM), _lines(served, front)
    found = [(row, line) for row in _front(served, other) if (line := _match(values, front, lines, row, column))]
    return [(row, line) for row, line in found if _slope(values, line, row, column) <= STEEP]


def _match(values: Floats, front: Mask, lines: list[list[int]], row: int, column: int) -> list[int]:
    """Which rows of a front have most of one outcome with as much of the others as a row has.

    Of two outcomes a sweep's line, else one point. Empty where the front has nowhere as much.

    Args:
        values: (S, M) on confirmation rows.
        lines: of the front.
    """
    others = np.delete(np.arange(values.shape[1]), column)
    enough = front & (values[:, others] >= values[row, others]).all(axis=1)
    if len(others) > 1:
        rows = np.flatnonzero(enough)
        return [int(rows[values[rows, column].argmax()])] if len(rows) else []
    able = [line for line in lines if enough[line].any()]
    return max(able, key=lambda line: float(_value(values, line, row, column)), default=[])


def _slope(values: Floats, line: list[int], row: int, column: int) -> float:
    """By how many per cent the outcome falls along a line for one per cent more of the other, near a row's level."""
    if len(line) < 2:
        return 0.0
    own = values.copy()
    x = 1 - column
    own[row, x] = values[row, x] * 0.99
    before = float(_value(own, line, row, column))
    own[row, x] = values[row, x] * 1.01
    after = float(_value(own, line, row, column))
    return float(np.log(before / after) / np.log(1.01 / 0.99)) if min(before, after) > 0 else np.inf


def _nearer(served: Served, line: list[int], row: int, column: int) -> int:
    values = np.delete(served.means(CONFIRM), column, axis=1)
    return min(line, key=lambda at: float(np.abs(values[at] - values[row]).sum()))


def _told(
    served: Served, pairs: Sequence[tuple[int, list[int]]], column: int, split: str, point: int | None, by: int | None,
    turned: bool = False,
) -> Distance:  # fmt: skip
    """The gain of the lines over their rows, all together; of the rows over the lines where `turned`."""

    def gain(values: Floats) -> Floats:
        own = sum(values[..., row, column] for row, _ in pairs)
        there = sum(_value(values, line, row, column) for row, line in pairs)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(own / there - 1 if turned else there / own - 1)

    low, high = _interval(gain(served.drawn(split).astype(np.float64)))
    name = served.outcomes[column].name
    return Distance(name, float(gain(served.means(split))), low, high, point, by)


def _value(values: Floats, line: list[int], row: int, column: int) -> Floats:
    """(..,) how much of an outcome of values (.., S, M) a line has with as much of the other as a row has.

    Between neighbours it is interpolated. A line that has nowhere as much counts with the point that has most.
    """
    if len(line) == 1:
        return np.asarray(values[..., line[0], column])
    x, y = values[..., line, 1 - column], values[..., line, column]
    level = values[..., row, 1 - column][..., None]
    found = np.where(x >= level, y, -np.inf).max(axis=-1)
    a, b = x[..., :-1], x[..., 1:]
    crosses = (np.minimum(a, b) <= level) & (level <= np.maximum(a, b)) & (a != b)
    share = (level - a) / np.where(a != b, b - a, 1.0)
    between = np.where(crosses, y[..., :-1] * (1 - share) + y[..., 1:] * share, -np.inf).max(axis=-1)
    most = np.take_along_axis(y, x.argmax(axis=-1)[..., None], axis=-1)[..., 0]
    found = np.maximum(found, between)
    return np.asarray(np.where(np.isfinite(found), found, most))


def _interval(drawn: Floats) -> tuple[float, float]:
    known = drawn[np.isfinite(drawn)]
    if not len(known):
        return np.nan, np.nan
    low, high = band(known)
    return float(low), float(high)
