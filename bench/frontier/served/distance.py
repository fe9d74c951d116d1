"""How far one served front is beyond another at equal outcomes, and what one outcome costs in another along a front.

Which serving points are compared is chosen on confirmation rows; what is told is measured on test, paired over draws.
With two outcomes, a front at a given level of one is interpolated between neighbouring weights of one candidate, as a
weight in between can be served; a mix of two candidates cannot. With more outcomes single points are compared: the
best in one outcome that is, on confirmation rows, at least equal in all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from bench.errors import UserError
from bench.frontier.dominance import nondominated
from bench.frontier.served.front import band
from bench.frontier.served.served import Served
from bench.rows import CONFIRM, TEST

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Distance:
    """A gain at equal outcomes, as a fraction: .012 is 1.2% more; its 90% interval is NaN where it is unknown.

    Attributes:
        outcome: what is gained.
        point: the row it is gained at, whose other outcomes are held; None for a mean over a front.
        by: the row of the serving point that gains it, the nearer one where two are interpolated.
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


@dataclass(frozen=True)
class _Match:
    """A place on a front: between two rows; the same row twice for a single point."""

    first: int
    last: int


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
    match = _match(served, front, row, column)
    if match is None:
        return None
    return _told(served, [(row, match)], column, split, row, _nearer(served, match, row, column))


def distance(served: Served, front: Mask, other: Mask, outcome: str, split: str = TEST) -> Distance | None:
    """The mean gain of one front of rows (S,) over another at equal outcomes, over the other's non-dominated points.

    Points that the first front has no equal for, as they are beyond its end, do not count.

    Returns:
        None where no point of the other front has one.
    """
    column = _column(served, outcome)
    pairs = [(row, match) for row in _front(served, other) if (match := _match(served, front, row, column))]
    return _told(served, pairs, column, split, None, None) if pairs else None


def ahead(served: Served, baseline: Mask, others: Mask, split: str = TEST) -> list[Distance]:
    """By outcome how far a baseline's front is beyond that of all others at equal outcomes.

    It is measured at the baseline's own points: the others' front is the denser one, and interpolating it costs less.
    The baseline is ahead where every one of these is `ahead`.
    """
    found = []
    for column in range(len(served.outcomes)):
        pairs = [(row, match) for row in _front(served, baseline) if (match := _match(served, others, row, column))]
        if pairs:
            found.append(_told(served, pairs, column, split, None, None, turned=True))
    return found


def exchange(served: Served, row: int, paid: str, bought: str, split: str = TEST) -> Distance | None:
    """By how many per cent one outcome rises for one per cent less of another, along the row's own sweep.

    The slope of the logarithms between the neighbouring weights on either side; an interval over draws.

    Returns:
        None with more than two outcomes, where a candidate has no neighbour, or where nothing is paid.
    """
    if len(served.outcomes) != 2:
        return None
    line = next((each for each in _lines(served, rows_of(served)) if row in each), [row])
    at = line.index(row)
    first, last = line[max(0, at - 1)], line[min(len(line) - 1, at + 1)]
    x, y = _column(served, paid), _column(served, bought)

    def slope(values: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.log(values[..., last, :]) - np.log(values[..., first, :])
            return np.asarray(-logs[..., y] / logs[..., x])

    value = float(slope(served.means(split)))
    if first == last or not np.isfinite(value):
        return None
    low, high = _interval(slope(served.drawn(split).astype(np.float64)))
    return Distance(bought, value, low, high, row, None)


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
    table, found = served.table, []
    weights = np.array([next(iter(each.values()), np.nan) for each in table["weights"]])
    for point in dict.fromkeys(table["point"][mask]):
        own = (table["point"] == point).to_numpy() & mask
        ends = own & np.isin(weights, [0.0, 1.0])
        for kind in dict.fromkeys(table["kind"][own]):
            line = np.flatnonzero(own & ((table["kind"] == kind).to_numpy() | ends))
            found.append(line[np.argsort(weights[line], kind="stable")].tolist())
    return found


def _match(served: Served, front: Mask, row: int, column: int) -> _Match | None:
    """Where, on confirmation rows, a front has most of one outcome with as much of the others as a row has."""
    values = served.means(CONFIRM)
    others = [at for at in range(values.shape[1]) if at != column]
    best, found = -np.inf, None
    if len(others) == 1:
        x = others[0]
        for line in _lines(served, front):
            for first, last in pairwise(line):
                a, b = values[first, x], values[last, x]
                if min(a, b) <= values[row, x] <= max(a, b) and a != b:
                    share = (values[row, x] - a) / (b - a)
                    value = (1 - share) * values[first, column] + share * values[last, column]
                    if value > best:
                        best, found = value, _Match(first, last)
    for at in np.flatnonzero(front):
        if (values[at, others] >= values[row, others]).all() and values[at, column] > best:
            best, found = values[at, column], _Match(int(at), int(at))
    return found


def _nearer(served: Served, match: _Match, row: int, column: int) -> int:
    values = np.delete(served.means(CONFIRM), column, axis=1)
    return min((match.first, match.last), key=lambda at: float(np.abs(values[at] - values[row]).sum()))


def _told(
    served: Served, pairs: Sequence[tuple[int, _Match]], column: int, split: str, point: int | None, by: int | None,
    turned: bool = False,
) -> Distance:  # fmt: skip
    """The mean gain over pairs of a row and its match; of the row over the match where `turned`."""

    def gain(values: Floats) -> Floats:
        found = []
        for row, match in pairs:
            own, there = values[..., row, column], _value(values, match, row, column)
            found.append(own / there - 1 if turned else there / own - 1)
        return np.asarray(np.mean(found, axis=0))

    low, high = _interval(gain(served.drawn(split).astype(np.float64)))
    name = served.outcomes[column].name
    return Distance(name, float(gain(served.means(split))), low, high, point, by)


def _value(values: Floats, match: _Match, row: int, column: int) -> Floats:
    """(..,) of values (.., S, M), interpolated to the row's level of the other outcome."""
    first, last = values[..., match.first, :], values[..., match.last, :]
    if match.first == match.last:
        return np.asarray(first[..., column])
    x = 1 - column
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (values[..., row, x] - first[..., x]) / (last[..., x] - first[..., x])
    share = np.nan_to_num(share, nan=0.5).clip(-1, 2)  # levels on other rows may lie a little outside
    return np.asarray((1 - share) * first[..., column] + share * last[..., column])


def _interval(drawn: Floats) -> tuple[float, float]:
    if not drawn.size:
        return np.nan, np.nan
    low, high = band(drawn[np.isfinite(drawn)])
    return float(low), float(high)
